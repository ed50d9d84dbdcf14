//! The names of operations, which are all that a label may be: what a client calls its operation is the client's to choose.

use super::OTHER;
use crate::{calls::control, ops};

/// The operation called `name`.
pub(super) fn operation(name: &str) -> &'static str {
    let mut known = ops::NAMES.iter().chain(control::NAMES);
    known.find(|known| **known == name).copied().unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_an_operation_or_other() {
        assert_eq!(operation("RunTask"), "RunTask");
        assert_eq!(operation("GetStatus"), "GetStatus");
        assert_eq!(operation("Watch"), "Watch");
        assert_eq!(operation("RunTasks"), OTHER);
        assert_eq!(operation(""), OTHER);
    }
}
