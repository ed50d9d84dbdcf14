//! Where a task goes: a pure function from the state to a plan.
//!
//! The leader runs it, followers never do: a plan is proposed as a command and `apply` checks it again. So this code may
//! change between versions without replicas diverging, and a stale plan costs another plan, never an overcommitted
//! instance.
//!
//! Where there are daemons, each of them is placed on every instance by [`place_on_each`], and the others see what
//! [`Reserved`] leaves of an instance.
//!
//! [`place()`] filters the instances ([`filters`]), takes the best by the strategy ([`Strategy`]), and says why it chose; a
//! [`Fleet`] decides the same without looking at every instance. Where a task fits nowhere, [`preempt()`] says whose tasks of lower
//! classes would make room. What a plan saw is kept ([`PlaceRequest::decision`]), so that [`plan_again`] can be compared with it.
//! [`explain()`] says for each instance why it would or would not
//! take the task. [`InstanceSubject`] is what expressions of the cluster query language are asked of.

mod asked;
mod candidate;
mod choose;
mod constraints;
mod daemon;
mod decision;
mod explain;
pub mod filters;
mod first;
mod fleet;
mod key;
mod mirror;
mod nowhere;
mod overlay;
mod place;
mod plan;
mod pool;
mod preempt;
mod request;
mod reservation;
mod skew;
pub mod spread;
mod strategy;
mod subject;
mod values;
mod zone_loss;
mod zone_proof;

pub use asked::{ask, find_again, plan_again};
pub use candidate::Candidate;
pub use constraints::{CONSTRAINTS_MAX, Constraints};
pub use daemon::{Reserved, instances_for, place_on_each};
pub use decision::{BEST_MAX, Best, DECISION_BYTES_MAX, PLANNER_VERSION, Seen, stamp};
pub use explain::{Explanation, InstanceExplanation, explain};
pub use fleet::{Fleet, NEAR_MAX};
pub use mirror::{Mirror, Rank};
pub use overlay::{Held, Overlay, Proposal};
pub use place::{FAILURES_MAX, NO_INSTANCES, fits_after, is_same_obstacle, place};
pub use plan::{Failure, FilterCount, Placement, Plan};
pub use pool::{Fargate, Pool, Share, is_fargate};
pub use preempt::{Preemption, PreemptionPlan, Room, Spared, VICTIMS_MAX, preempt};
pub use request::{PlaceRequest, Requirement, Spread};
pub use reservation::{Reservation, reservations, waiting_of_service};
pub use seawall_state::{effective_size, parse_cpu, parse_memory};
pub use strategy::{Packed, STEPS_MAX, Step, Strategy};
pub use subject::{InstanceSubject, ZONE_ATTRIBUTE};
pub use zone_loss::{SHORTFALLS_MAX, Shortfall, ZoneLoss, lose_zone, place_without, short_without};
pub use zone_proof::ZoneProof;
