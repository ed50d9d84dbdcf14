//! A decision made again, from what this member still has of the past, and compared with what was recorded.
//!
//! The state that the planner looked at is built from the newest snapshot and the log. What was on its way then is in the log
//! too: the placements right before the decision, of which its record says how many.

mod compare;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use seawall_consensus::PastError;
use seawall_model::{ApiError, ErrorCode, InstanceId};
use seawall_proto::{
    internal::v1::{
        Command, Decision, DecisionRow, PlaceTasks, PlaceWaiting, TaskRow, command, place_tasks::Placement,
    },
    v1::{PlacementDifference, ReplayDecisionResponse},
};
use seawall_scheduler::{Overlay, PLANNER_VERSION, PlaceRequest, Plan, find_again, plan_again};
use seawall_state::State;

use crate::{api::Node, render};

/// Words of `outcome`.
const SAME: &str = "SAME";
const DIFFERENT: &str = "DIFFERENT";
const NOT_REPLAYED: &str = "NOT_REPLAYED";
/// Entries before the state that was planned on, whose placements may have been on their way still.
const EARLIER_ENTRIES_MAX: u64 = 64;
/// Entries between the state that was planned on and the one that placed: the proposer has few on their way.
const ENTRIES_BETWEEN_MAX: u64 = 4096;

/// What is recorded of the decision that placed a task, and what a replay of it came to.
///
/// # Errors
/// As [`replay`], or the record does not decode.
pub(crate) async fn answer(
    node: &Arc<Node>,
    state: &State,
    task: &TaskRow,
    row: Option<&DecisionRow>,
) -> Result<ReplayDecisionResponse, ApiError> {
    let beyond = |reason: String| ReplayDecisionResponse { outcome: NOT_REPLAYED.into(), reason, ..Default::default() };
    let Some(row) = row else {
        return Ok(beyond("nothing was recorded when it was placed: an earlier version decided it".into()));
    };
    let decision = render::decision::decoded(row)?;
    let rendered = Some(render::decision::render(state, row, &decision, InstanceId(task.instance_id)));
    let replayed = match replay(node, row, &decision).await? {
        Replay::Beyond(why) => beyond(why),
        Replay::Compared { checkpoint_index, in_flight, differences } => ReplayDecisionResponse {
            outcome: if differences.is_empty() { SAME } else { DIFFERENT }.into(),
            differences,
            checkpoint_index,
            in_flight,
            ..Default::default()
        },
    };
    Ok(ReplayDecisionResponse { decision: rendered, ..replayed })
}

/// What became of a replay.
enum Replay {
    /// It was decided again.
    Compared {
        /// The snapshot that the state was built from; 0: the log alone.
        checkpoint_index: u64,
        /// Placements that were on their way.
        in_flight: u32,
        /// Empty: the same was decided.
        differences: Vec<PlacementDifference>,
    },
    /// Why it cannot be decided again here.
    Beyond(String),
}

/// Decides again. One at a time: each holds a second state.
///
/// # Errors
/// Another one runs, or files cannot be read.
async fn replay(node: &Arc<Node>, row: &DecisionRow, decision: &Decision) -> Result<Replay, ApiError> {
    if decision.planner != PLANNER_VERSION {
        let (recorded, here) = (decision.planner, PLANNER_VERSION);
        let why =
            format!("it was decided by planner {recorded}; this member has planner {here}, which may decide otherwise");
        return Ok(Replay::Beyond(why));
    }
    let Ok(_one) = node.replays.try_lock() else {
        let why =
            "this member replays another decision; it replays one at a time. next: try again, or ask another member";
        return Err(ApiError::new(ErrorCode::Overloaded, why));
    };
    match Past::find(node, row, decision).await {
        Ok(past) => past.decide(node, decision.clone()).await,
        Err(Lack::Past(why)) => Ok(Replay::Beyond(why)),
        Err(Lack::Failed(error)) => Err(error),
    }
}

/// Why the past is not whole.
enum Lack {
    /// The member does not hold it.
    Past(String),
    Failed(ApiError),
}

impl From<PastError> for Lack {
    fn from(error: PastError) -> Self {
        match error {
            PastError::Gone { .. } | PastError::NotYet { .. } => Lack::Past(error.to_string()),
            PastError::Io(_) => Lack::Failed(ApiError::new(ErrorCode::Server, error.to_string())),
        }
    }
}

/// What a decision was made from.
struct Past {
    state: State,
    checkpoint_index: u64,
    /// In the order they were proposed.
    on_their_way: Vec<command::Kind>,
    command: Decided,
}

/// What placed it.
enum Decided {
    Tasks(Box<PlaceTasks>),
    /// One item of several.
    Waiting {
        place: PlaceWaiting,
        at: usize,
    },
}

impl Decided {
    /// The command, if the row is of it.
    fn of(row: &DecisionRow, kind: &command::Kind) -> Option<Decided> {
        match kind {
            command::Kind::PlaceTasks(place) if !row.waited && place.base == row.base => {
                Some(Decided::Tasks(Box::new(place.clone())))
            }
            command::Kind::PlaceWaiting(place) if row.waited => {
                let at = place.items.iter().position(|item| item.task == row.base)?;
                Some(Decided::Waiting { place: place.clone(), at })
            }
            _ => None,
        }
    }

    /// Plans again.
    ///
    /// # Errors
    /// Why what was asked for makes no request.
    fn again(&self, state: &State, overlay: &Overlay) -> Result<(PlaceRequest, Plan), String> {
        match self {
            Decided::Tasks(place) => plan_again(state, overlay, place),
            Decided::Waiting { place, at } => find_again(state, overlay, place, *at),
        }
    }

    fn placements(self) -> Vec<Placement> {
        match self {
            Decided::Tasks(place) => place.placements,
            Decided::Waiting { place, at } => {
                let item = place.items.into_iter().nth(at).unwrap_or_default();
                vec![Placement { instance_id: item.instance_id, note: item.note, ..Placement::default() }]
            }
        }
    }
}

impl Past {
    async fn find(node: &Arc<Node>, row: &DecisionRow, decision: &Decision) -> Result<Past, Lack> {
        let (base_index, placed_index) = (decision.base_index, row.placed_index);
        if placed_index <= base_index || placed_index - base_index > ENTRIES_BETWEEN_MAX {
            return Err(Lack::Past(format!("entry {placed_index} placed what was planned on entry {base_index}")));
        }
        // The log first: it says at once whether it goes back far enough.
        let between = node.consensus.commands(base_index + 1..placed_index + 1).await?;
        let mut before: Vec<command::Kind> = between.into_iter().flat_map(|(_, commands)| proposed(commands)).collect();
        let found = before.iter().enumerate().rev().find_map(|(at, kind)| Some((at, Decided::of(row, kind)?)));
        let (at, command) =
            found.ok_or_else(|| Lack::Past(format!("entry {placed_index} of the log does not hold it")))?;
        before.truncate(at);
        let on_their_way = on_their_way(node, before, decision).await?;
        let past = node.consensus.state_at(base_index).await?;
        Ok(Past { state: past.state, checkpoint_index: past.checkpoint_index, on_their_way, command })
    }

    async fn decide(self, node: &Arc<Node>, decision: Decision) -> Result<Replay, ApiError> {
        let Past { state, checkpoint_index, on_their_way, command } = self;
        let places =
            |kind: &&command::Kind| matches!(kind, command::Kind::PlaceTasks(_) | command::Kind::PlaceWaiting(_));
        let in_flight = on_their_way.iter().filter(places).count() as u32;
        let again = move || {
            let mut overlay = Overlay::default();
            on_their_way.iter().for_each(|earlier| overlay.note(&state, earlier));
            let (request, plan) = command.again(&state, &overlay)?;
            Ok(compare::differences(&state, &decision, &command.placements(), &request, &plan))
        };
        match node.env.thread("replay", again).await {
            Ok(differences) => Ok(Replay::Compared { checkpoint_index, in_flight, differences }),
            Err(why) => Ok(Replay::Beyond(why)),
        }
    }
}

/// Which of the placements `before` the decision were on their way. One that was applied may have counted a moment longer, so
/// they may begin before the state that was planned on.
async fn on_their_way(
    node: &Arc<Node>,
    mut before: Vec<command::Kind>,
    decision: &Decision,
) -> Result<Vec<command::Kind>, Lack> {
    let wanted: usize = decision.in_flight.iter().map(|run| *run as usize).sum();
    let first = decision.base_index.saturating_sub(EARLIER_ENTRIES_MAX);
    let mut next = decision.base_index;
    while before.len() < wanted && next > first {
        let entry = node.consensus.commands(next..next + 1).await?;
        let earlier: Vec<command::Kind> = entry.into_iter().flat_map(|(_, commands)| proposed(commands)).collect();
        before.splice(0..0, earlier);
        next -= 1;
    }
    if before.len() < wanted {
        return Err(Lack::Past("placements that were on their way then are not in the log".into()));
    }
    Ok(picked(before, &decision.in_flight))
}

/// Goes back from the last one: so many are taken, so many not, by turns.
fn picked<T>(mut before: Vec<T>, runs: &[u32]) -> Vec<T> {
    let mut taken = Vec::new();
    for (run, nth) in runs.iter().zip(0..) {
        let some = before.split_off(before.len().saturating_sub(*run as usize));
        if nth % 2 == 0 {
            taken.splice(0..0, some);
        }
    }
    taken
}

/// Those that plans heed, as the proposer noted them.
fn proposed(commands: Vec<Command>) -> impl Iterator<Item = command::Kind> {
    commands.into_iter().filter_map(|command| command.kind).filter(Overlay::heeds)
}
