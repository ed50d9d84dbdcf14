//! What a request may hold, for who asks without a member: the server's own files, so that there is one table.
//!
//! Their tests run where they stand, and need the server around them: built as a test this crate is empty.

#[cfg(not(test))]
#[path = "../../server/src/validate/mod.rs"]
mod validate;

#[cfg(not(test))]
pub use validate::{members, request, tags, task_definition};
