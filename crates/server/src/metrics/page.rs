//! The page itself: what was counted, and what is. Its registry is made for each one, since half of it is read then.

use std::{fmt, sync::Arc};

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use prometheus_client::{
    encoding::prometheus_text::{CONTENT_TYPE, encode},
    registry::Registry,
};

use super::{PREFIX, cluster, member, process::Process};
use crate::api::Node;

/// Answers whoever scrapes this member, in the text format of Prometheus. Nothing of the cluster is asked for it.
pub(crate) async fn page(node: Arc<Node>) -> Response {
    let of = node.clone();
    // Reads files, and plans what the loss of each zone would mean.
    match node.env.thread("metrics", move || text(&of, Process::read(&*of.env.fs()))).await {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("the metrics have no text form: {error}\n")).into_response()
        }
    }
}

pub(super) fn text(node: &Node, process: Process) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix(PREFIX);
    node.metrics.register(&mut registry);
    member::register(&mut registry, node);
    process.register(&mut registry);
    if node.consensus.leadership().is_leader {
        cluster::register(&mut registry, node);
    }
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}
