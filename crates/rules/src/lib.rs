//! What a request may hold, for who asks without a member: the server's own files, so that there is one table.

#[path = "../../server/src/validate/mod.rs"]
mod validate;

pub use validate::{members, request, tags, task_definition};
