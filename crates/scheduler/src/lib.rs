//! Where a task goes: a pure function from the state to a plan.
//!
//! The leader runs it, followers never do: a plan is proposed as a command and `apply` checks it again. So this code may
//! change between versions without replicas diverging, and a stale plan costs another plan, never an overcommitted
//! instance.
//!
//! Where there are daemons, each of them is placed on every instance by [`place_on_each`], and the others see what
//! [`Reserved`] leaves of an instance.
//!
//! [`place`] filters the instances ([`filters`]), spreads over the zones and then over the instances of a zone
//! ([`spread`]), and says why it chose. [`explain`] says for each instance why it would or would not take the task.

mod candidate;
mod daemon;
mod explain;
pub mod filters;
mod overlay;
mod place;
mod plan;
mod request;
pub mod spread;

pub use candidate::Candidate;
pub use daemon::{Reserved, instances_for, place_on_each};
pub use explain::{Explanation, InstanceExplanation, explain};
pub use overlay::{Held, Overlay, Proposal};
pub use place::{FAILURES_MAX, NO_INSTANCES, fits_after, place};
pub use plan::{Failure, FilterCount, Placement, Plan};
pub use request::{PlaceRequest, Spread};
pub use seawall_state::{effective_size, parse_cpu, parse_memory};
