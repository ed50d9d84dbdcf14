//! The instance has the attributes that the task definition asks for.

use super::Filter;
use crate::{Candidate, Requirement};

/// See the module.
pub struct Attributes;

impl Filter for Attributes {
    fn name(&self) -> &'static str {
        "attribute"
    }

    fn reason(&self) -> &'static str {
        "ATTRIBUTE"
    }

    fn closest(&self) -> &'static str {
        "is missing an attribute required by your task."
    }

    fn check(&self, needs: &Requirement, candidate: &Candidate<'_>) -> bool {
        first_missing(needs, candidate).is_none()
    }

    fn explain(&self, needs: &Requirement, candidate: &Candidate<'_>) -> String {
        format!("lacks the attribute {}", first_missing(needs, candidate).unwrap_or_default())
    }
}

fn first_missing<'s>(needs: &'s Requirement, candidate: &Candidate<'_>) -> Option<&'s str> {
    let has = |name: &&String| candidate.row.attributes.iter().any(|a| a.name == **name);
    needs.size.required_attributes.iter().find(|name| !has(name)).map(String::as_str)
}
