//! A container's log: read from the engine as fast as it is taken, and no faster.

use std::time::Duration;

use bollard::{container::LogOutput, errors::Error, query_parameters::LogsOptions};
use futures::{Stream, StreamExt};
use seawall_env::TaskKind;
use seawall_proto::internal::v1::LogRecord;
use tokio::sync::mpsc;

use super::{api::Api, lines::Lines};
use crate::{
    runtime::{Fault, LOG_RECORDS_WAITING, LogLines, LogQuery, RuntimeResult},
    spec::ContainerSpec,
};

const MS_PER_S: i64 = 1000;
/// Between two pieces of a log that is not followed: it is on disk.
const PIECE: Duration = Duration::from_secs(30);

type Out = mpsc::Sender<RuntimeResult<LogRecord>>;

/// Reads a log. What cannot be read shows as the first record.
pub fn open(api: &Api, container: &ContainerSpec, query: LogQuery) -> LogLines {
    let (out, receiver) = mpsc::channel(LOG_RECORDS_WAITING);
    let pieces = api.docker.logs(&container.runtime_name(), Some(options(query)));
    let lines = Lines::new(container.name().to_owned());
    api.env.spawn(TaskKind::request("docker log"), forward(api.clone(), pieces, out, lines, query));
    receiver
}

fn options(query: LogQuery) -> LogsOptions {
    LogsOptions {
        follow: query.follow,
        stdout: true,
        stderr: true,
        // To the second; the rest is left out here. A time past the reach of the option reads all.
        since: i32::try_from(query.since_ms / MS_PER_S).unwrap_or_default(),
        until: 0,
        timestamps: true,
        tail: if query.tail == 0 { "all".to_owned() } else { query.tail.to_string() },
    }
}

async fn forward(
    api: Api,
    pieces: impl Stream<Item = Result<LogOutput, Error>>,
    out: Out,
    mut lines: Lines,
    query: LogQuery,
) {
    let mut pieces = std::pin::pin!(pieces);
    loop {
        let next = tokio::select! {
            biased;
            () = out.closed() => return,
            next = piece(&api, pieces.next(), query.follow) => next,
        };
        let records = match next {
            Ok(Some(Ok(piece))) => take(&mut lines, piece),
            Ok(None) => {
                send(&out, lines.rest(), query.since_ms).await;
                return;
            }
            Ok(Some(Err(error))) => {
                let error = api.explain("read a log", error);
                let fault = if error.is_not_found() { Fault::Gone } else { Fault::Engine };
                return fail(&out, error.of(fault)).await;
            }
            Err(late) => return fail(&out, late).await,
        };
        if !send(&out, records, query.since_ms).await {
            return;
        }
    }
}

type Piece = Option<Result<LogOutput, Error>>;

/// A log that is followed may be silent for as long as its container lives.
async fn piece(api: &Api, next: impl Future<Output = Piece>, follow: bool) -> RuntimeResult<Piece> {
    if follow {
        return Ok(next.await);
    }
    Ok(api.ask("read a log", PIECE, async { Ok(next.await) }).await?)
}

fn take(lines: &mut Lines, piece: LogOutput) -> Vec<LogRecord> {
    match piece {
        LogOutput::StdErr { message } => lines.take(true, &message),
        LogOutput::StdOut { message } | LogOutput::Console { message } => lines.take(false, &message),
        LogOutput::StdIn { .. } => Vec::new(),
    }
}

/// False when nobody reads any more.
async fn send(out: &Out, records: Vec<LogRecord>, since_ms: i64) -> bool {
    for record in records.into_iter().filter(|record| record.at_ms >= since_ms) {
        if out.send(Ok(record)).await.is_err() {
            return false;
        }
    }
    true
}

async fn fail(out: &Out, error: crate::runtime::RuntimeError) {
    // Whoever read may have gone.
    let _ = out.send(Err(error)).await;
}
