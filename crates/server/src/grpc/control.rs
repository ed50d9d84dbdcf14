//! `seawall.v1.Control`: what Seawall has beyond ECS.

use std::{pin::Pin, sync::Arc};

use futures::{Stream, StreamExt, stream};
use seawall_model::{ApiError, ErrorCode};
use seawall_proto::v1::{self, LogLine, TaskLogsRequest, WatchEvent, WatchRequest, control_server::Control};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{Shared, answered, call_of, status};
use crate::{
    api::{MEMBERS_DEADLINE, Node, READ_DEADLINE, REPLAY_DEADLINE, WRITE_DEADLINE},
    calls::control::{self, for_each_control},
    watch::{self, WatchEnd},
};

/// Metadata of the end of a watch: where to list.
const POSITION: &str = "x-seawall-position";
const STOPS: &str = "this member stops; ask another one";

/// Serves what Seawall has beyond ECS.
#[derive(Clone)]
pub(crate) struct ControlService(pub(crate) Shared);

type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;
type Answer<T> = Result<Response<T>, Status>;

macro_rules! service {
    ($($name:ident, $method:ident, $request:ident, $response:ident, $deadline:ident;)*) => {
        #[tonic::async_trait]
        impl Control for ControlService {
            type WatchStream = Streamed<WatchEvent>;
            type TaskLogsStream = Streamed<LogLine>;

            async fn watch(&self, request: Request<WatchRequest>) -> Answer<Self::WatchStream> {
                let node = &self.0.0;
                let call = call_of(node, &request, READ_DEADLINE);
                let events =
                    watch::start(node, request.into_inner()).map_err(|error| status(&error, &call.request_id))?;
                let events = ReceiverStream::new(events);
                let stream = events.map(move |item| item.map_err(|end| watch_end(end, &call.request_id)));
                Ok(Response::new(until_stop(node, stream)))
            }

            async fn task_logs(&self, request: Request<TaskLogsRequest>) -> Answer<Self::TaskLogsStream> {
                let node = &self.0.0;
                let call = call_of(node, &request, READ_DEADLINE);
                let read = control::task_logs(node, &call, request.get_ref()).await;
                let (chunks, task) = read.map_err(|error| status(&error, &call.request_id))?;
                let lines = ReceiverStream::new(chunks).flat_map(move |chunk| {
                    let lines = control::log_lines(chunk, &task).into_iter();
                    stream::iter(lines.map(|line| line.map_err(Status::unavailable)).collect::<Vec<_>>())
                });
                Ok(Response::new(until_stop(node, lines)))
            }

            $(
                async fn $method(&self, request: Request<v1::$request>) -> Answer<v1::$response> {
                    let node = &self.0.0;
                    let call = call_of(node, &request, $deadline);
                    answered(&call, control::$method(node, &call, request.get_ref()).await)
                }
            )*
        }
    };
}

for_each_control!(service);

/// A stream without an end must not hold up a member that goes down: its reader goes on at another.
fn until_stop<T: Send + 'static>(
    node: &Arc<Node>,
    stream: impl Stream<Item = Result<T, Status>> + Send + 'static,
) -> Streamed<T> {
    let end = {
        let node = node.clone();
        stream::once(async move { node.condition.is_stopping().then(|| Err(Status::unavailable(STOPS))) })
    };
    Box::pin(stream.take_until(node.condition.stopping()).chain(end.filter_map(std::future::ready)))
}

fn watch_end(end: WatchEnd, request_id: &str) -> Status {
    match end {
        WatchEnd::Refused(error) => status(&error, request_id),
        WatchEnd::OutOfRange(at) => {
            let text = "changes after this position are no longer kept: list again, then watch from the new position";
            let mut status = status(&ApiError::new(ErrorCode::OutOfRange, text), request_id);
            if let Ok(value) = format!("{}:{}:{}", at.epoch, at.index, at.ordinal).parse() {
                status.metadata_mut().insert(POSITION, value);
            }
            status
        }
    }
}
