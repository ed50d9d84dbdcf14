//! What differs between a decision and the same made again.

use seawall_model::InstanceId;
use seawall_proto::{
    internal::v1::{Decision, decision::Scored, place_tasks::Placement},
    v1::PlacementDifference,
};
use seawall_scheduler::{PlaceRequest, Plan, stamp};
use seawall_state::State;

use crate::render::decision::{left_out_in_words, scores_in_words};

/// Differences that are listed.
const DIFFERENCES_MAX: usize = 20;

/// Placement by placement, then what was recorded of the plan.
pub(super) fn differences(
    state: &State,
    recorded: &Decision,
    placed: &[Placement],
    request: &PlaceRequest,
    plan: &Plan,
) -> Vec<PlacementDifference> {
    let mut again = request.decision(plan);
    stamp(&mut again, recorded.base_index, recorded.in_flight.clone());
    let replayed = plan.clone().into_placements();
    let mut found = Vec::new();
    for at in 0..placed.len().max(replayed.len()) {
        let (was, is) = (placed.get(at), replayed.get(at));
        note(&mut found, format!("task {}", at + 1), placement(state, was), placement(state, is));
    }
    let parts = [recorded, &again].map(|decision| of_record(state, decision));
    let [was, is] = parts;
    for ((what, was), (_, is)) in was.into_iter().zip(is) {
        note(&mut found, what.into(), was, is);
    }
    let surplus = found.len().saturating_sub(DIFFERENCES_MAX);
    if surplus > 0 {
        found.truncate(DIFFERENCES_MAX);
        found.push(PlacementDifference { what: format!("{surplus} more"), ..PlacementDifference::default() });
    }
    found
}

fn note(found: &mut Vec<PlacementDifference>, what: String, recorded: String, replayed: String) {
    if recorded != replayed {
        found.push(PlacementDifference { what, recorded, replayed });
    }
}

fn placement(state: &State, placement: Option<&Placement>) -> String {
    let Some(placement) = placement else { return "not placed".into() };
    let provider = match placement.capacity_provider.as_str() {
        "" => String::new(),
        name => format!(" for {name}"),
    };
    match placement.instance_id {
        0 => format!("waits for room{provider}"),
        instance => format!("on {}{provider}: {}", named(state, instance), placement.note),
    }
}

fn named(state: &State, instance: u64) -> String {
    match state.instances.get(&InstanceId(instance)) {
        Some(row) => format!("{} in zone {}", row.ec2_instance_id, row.zone),
        None => format!("instance {instance}, which was not there"),
    }
}

fn of_record(state: &State, decision: &Decision) -> [(&'static str, String); 4] {
    let best = |best: &Scored| format!("{} ({})", named(state, best.instance_id), scores_in_words(decision, best));
    [
        ("requirement class", format!("{:08x}", decision.class)),
        (
            "instances",
            format!("{} of {} looked at, {} fitted", decision.looked_at, decision.instances, decision.fitted),
        ),
        ("left out", left_out_in_words(&decision.left_out)),
        ("best", decision.best.iter().map(best).collect::<Vec<_>>().join("; ")),
    ]
}
