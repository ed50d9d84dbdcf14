//! The instance has the attributes that the task definition asks for.

use seawall_proto::internal::v1::TaskSize;

use super::Filter;
use crate::Candidate;

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

    fn check(&self, size: &TaskSize, candidate: &Candidate<'_>) -> bool {
        first_missing(size, candidate).is_none()
    }

    fn explain(&self, size: &TaskSize, candidate: &Candidate<'_>) -> String {
        format!("lacks the attribute {}", first_missing(size, candidate).unwrap_or_default())
    }
}

fn first_missing<'s>(size: &'s TaskSize, candidate: &Candidate<'_>) -> Option<&'s str> {
    let has = |name: &&String| candidate.row.attributes.iter().any(|a| a.name == **name);
    size.required_attributes.iter().find(|name| !has(name)).map(String::as_str)
}
