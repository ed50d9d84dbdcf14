//! The instance is what the `memberOf` constraints ask for.

use super::Filter;
use crate::{Candidate, Requirement};

/// See the module.
pub struct MemberOf;

impl Filter for MemberOf {
    fn name(&self) -> &'static str {
        "member-of"
    }

    fn reason(&self) -> &'static str {
        "MemberOf placement constraint unsatisfied."
    }

    fn closest(&self) -> &'static str {
        "encountered error \"MemberOf placement constraint unsatisfied.\"."
    }

    fn check(&self, needs: &Requirement, candidate: &Candidate<'_>) -> bool {
        needs.constraints.member_of.iter().all(|expression| expression.matches(candidate))
    }

    fn explain(&self, needs: &Requirement, candidate: &Candidate<'_>) -> String {
        let unmet = needs.constraints.member_of.iter().find(|expression| !expression.matches(candidate));
        unmet.map_or_else(String::new, |expression| format!("does not match {expression}"))
    }
}
