//! Requests that found no place, remembered until the fleet gains something.
//!
//! A request that finds no place looks at every instance: milliseconds at 10,000 of them. A backlog that cannot be placed is
//! looked at whenever any task stops anywhere, so without this it would cost the others a look at the whole fleet each time.

use std::{cell::RefCell, collections::VecDeque};

use seawall_model::ClusterId;

use crate::{Constraints, Fargate, PlaceRequest, Plan, Requirement, Spread};

/// Requests that are remembered: of so many kinds.
pub const KINDS_MAX: usize = 64;

/// What is known to fit nowhere.
#[derive(Default)]
pub(crate) struct Nowhere(RefCell<VecDeque<Known>>);

struct Known {
    cluster: ClusterId,
    requirement: Requirement,
    priority: u32,
    fargate: Fargate,
    /// Where it matters whose tasks these are; else it holds for whoever needs the same.
    whose: Option<Spread>,
    plan: Plan,
}

impl Nowhere {
    /// What was found for a request that asks for the same.
    pub fn recall(&self, request: &PlaceRequest) -> Option<Plan> {
        let known = self.0.borrow();
        known.iter().find(|known| known.is_of(request)).map(|known| known.plan.clone())
    }

    /// Remembers that a request found no place. `is_own`: another that needs the same may be judged otherwise.
    pub fn note(&self, request: &PlaceRequest, is_own: bool, plan: &Plan) {
        if request.only.is_some() || !request.shares.is_empty() {
            return;
        }
        let mut known = self.0.borrow_mut();
        known.truncate(KINDS_MAX - 1);
        known.push_front(Known {
            cluster: request.cluster,
            requirement: request.requirement.clone(),
            priority: request.priority,
            fargate: request.fargate,
            whose: (is_own || is_constrained(&request.requirement.constraints)).then(|| request.spread.clone()),
            plan: plan.clone(),
        });
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Something may fit now that did not.
    pub fn forget(&self) {
        self.0.borrow_mut().clear();
    }

    /// Tasks came or went, and no room was gained: constraints look at tasks too.
    pub fn forget_constrained(&self) {
        self.0.borrow_mut().retain(|known| !is_constrained(&known.requirement.constraints));
    }
}

impl Known {
    fn is_of(&self, request: &PlaceRequest) -> bool {
        self.cluster == request.cluster
            && self.priority == request.priority
            && self.fargate == request.fargate
            && request.only.is_none()
            && request.shares.is_empty()
            && self.whose.as_ref().is_none_or(|whose| *whose == request.spread)
            && self.requirement == request.requirement
    }
}

fn is_constrained(constraints: &Constraints) -> bool {
    *constraints != Constraints::default()
}
