//! What should change: pure functions from the state to commands.
//!
//! A controller is level-triggered: it takes no input but the state, reads again what it owns, and says what to propose
//! and when to look again. Effects and timers only wake it, so a lost wake-up costs delay and an election nothing.
//! Whoever runs it stamps the commands and draws the ids (`PlaceTasks.base`), adds what it proposes to the planner's
//! overlay, and runs it again when the proposals are applied, refused or lost.

pub mod instances;
pub mod jobs;
pub mod mass_loss;
pub mod reclaim;
pub mod schedules;
pub mod service;
pub mod sick;
pub mod voters;
pub mod waiting;

use std::fmt;

use seawall_proto::internal::v1::command;
use seawall_scheduler::Fargate;

/// What the executor knows that the state does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The cluster time that commands proposed now would carry.
    pub cluster_time_ms: i64,
    /// Too many agents fell silent at once ([`mass_loss`]): what cannot be reached is not replaced.
    pub hold_replacement: bool,
    /// As many tasks were moved in the last minute as may be: no move begins.
    pub hold_moves: bool,
    /// What serves tasks for FARGATE.
    pub fargate: Fargate,
}

/// What a controller decided.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ControllerPlan {
    /// To be proposed in this order, by one proposer: each is checked again when it is applied.
    pub commands: Vec<command::Kind>,
    /// Moves of tasks to a better place that begin with it.
    pub moves: u32,
    /// Look again at this cluster time even if nothing changes.
    pub wake_at_ms: Option<i64>,
    /// Why, for people; empty where there is nothing to do.
    pub text: String,
}

impl ControllerPlan {
    /// Asks to be woken at `at_ms`, or earlier.
    pub(crate) fn wake(&mut self, at_ms: i64) {
        self.wake_at_ms = Some(self.wake_at_ms.map_or(at_ms, |now| now.min(at_ms)));
    }

    /// Adds a line of text.
    pub(crate) fn say(&mut self, line: impl fmt::Display) {
        self.text.push_str(&line.to_string());
        self.text.push('\n');
    }
}
