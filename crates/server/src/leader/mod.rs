//! What runs on the member that leads: the proposer, which owns the order of writes, and those who watch for it.

mod batch;
mod drive;
mod flights;
mod grants;
mod liveness;
mod moves;
mod proposer;
mod relay;
mod wake;

pub(crate) use drive::drive;
pub(crate) use grants::answer as answer_relay;
pub(crate) use liveness::{CLOCK_OFF_MS, Liveness, MemberView};
pub(crate) use proposer::{Ids, Proposer, run as run_proposer};
pub(crate) use relay::relay_loop;
