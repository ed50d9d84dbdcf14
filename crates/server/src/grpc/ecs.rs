//! `seawall.v1.Ecs`: one method an operation, all made from the one list.

use seawall_proto::v1::{self, ecs_server::Ecs};
use tonic::{Request, Response, Status};

use super::{Shared, answered, call_of};
use crate::{
    api::{READ_DEADLINE, WRITE_DEADLINE},
    calls, ops,
};

/// Serves the operations of ECS.
#[derive(Clone)]
pub(crate) struct EcsService(pub(crate) Shared);

macro_rules! method_body {
    (read $name:ident, $node:expr, $request:ident) => {{
        let call = call_of($node, &$request, READ_DEADLINE);
        answered(&call, calls::read::<ops::$name>($node, &call, $request.get_ref()).await)
    }};
    (write $name:ident, $node:expr, $request:ident) => {{
        let call = call_of($node, &$request, WRITE_DEADLINE);
        answered(&call, calls::write::<ops::$name>($node, stringify!($name), &call, $request.get_ref()).await)
    }};
}

macro_rules! service {
    ($($kind:ident $name:ident, $method:ident, $request:ident, $response:ident;)*) => {
        #[tonic::async_trait]
        impl Ecs for EcsService {
            $(
                async fn $method(
                    &self,
                    request: Request<v1::$request>,
                ) -> Result<Response<v1::$response>, Status> {
                    method_body!($kind $name, &self.0.0, request)
                }
            )*
        }
    };
}

ops::for_each_operation!(service);
