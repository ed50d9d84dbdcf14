//! One request of a client, from its beginning to however it ends.

use std::sync::Arc;

use seawall_env::Instant;

use super::{OfRequest, operation};
use crate::api::Node;

/// The code of a request that was done.
pub(crate) const OK: &str = "OK";
/// The code of one whose client left before the answer.
const GONE: &str = "gone";

/// What carried a request.
#[derive(Clone, Copy)]
pub(crate) enum Protocol {
    /// `seawall.v1`.
    Grpc,
    /// AWS JSON, ECS's.
    Json,
    /// AWS Query, STS's.
    Query,
}

/// A request that is being answered; it is counted when this is dropped.
pub(crate) struct Asked {
    node: Arc<Node>,
    began: Instant,
    of: OfRequest,
}

impl Asked {
    /// A request for the operation called `name` begins.
    pub(crate) fn new(node: &Arc<Node>, protocol: Protocol, name: &str) -> Asked {
        let protocol = match protocol {
            Protocol::Grpc => "grpc",
            Protocol::Json => "json",
            Protocol::Query => "query",
        };
        let of = OfRequest { operation: operation(name), protocol, code: GONE };
        Asked { node: node.clone(), began: node.env.now(), of }
    }

    /// Its answer is ready, with this code.
    pub(crate) fn ends(mut self, code: &'static str) {
        self.of.code = code;
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let took = self.node.env.now() - self.began;
        self.node.metrics.answered(self.of.clone(), took);
    }
}
