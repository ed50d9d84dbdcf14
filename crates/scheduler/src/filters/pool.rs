//! The instance belongs to the capacity provider whose tasks these are.

use super::Filter;
use crate::{Candidate, Pool, Requirement, is_fargate};

/// See the module.
pub struct InPool;

impl Filter for InPool {
    fn name(&self) -> &'static str {
        "capacity-provider"
    }

    fn reason(&self) -> &'static str {
        "CAPACITY"
    }

    fn closest(&self) -> &'static str {
        "belongs to another capacity provider."
    }

    fn check(&self, needs: &Requirement, candidate: &Candidate<'_>) -> bool {
        let provider = &candidate.row.capacity_provider;
        match &needs.pool {
            Pool::Open => !is_fargate(provider),
            Pool::Provider(name) => provider == name,
        }
    }

    fn explain(&self, needs: &Requirement, candidate: &Candidate<'_>) -> String {
        let of = match candidate.row.capacity_provider.as_str() {
            "" => "belongs to no capacity provider".to_owned(),
            name => format!("belongs to {name}"),
        };
        match &needs.pool {
            Pool::Open => of,
            Pool::Provider(name) => format!("{of}; the task is for {name}"),
        }
    }
}
