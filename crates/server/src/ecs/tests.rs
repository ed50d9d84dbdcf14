//! Every operation against any JSON: an answer or an error, never a panic, and nothing changed on an error.

use std::collections::BTreeSet;

use super::unsupported::UNSUPPORTED;

/// All that ECS has, from the model that the messages are made of, is either an operation or known not to be one.
#[test]
fn no_operation_is_both_there_and_unsupported() {
    let there: BTreeSet<&str> = crate::ops::NAMES.iter().copied().collect();
    let not: Vec<&str> = UNSUPPORTED.iter().flat_map(|(names, _)| names.iter().copied()).collect();
    assert!(not.iter().all(|name| !there.contains(name)));
    assert_eq!(not.len(), not.iter().collect::<BTreeSet<_>>().len());
}
