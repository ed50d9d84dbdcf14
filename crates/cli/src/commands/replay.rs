//! `seawall replay`: the decision that placed a task, made again.

use std::io::{self, Write as _};

use seawall_proto::v1::{ReplayDecisionRequest, ReplayDecisionResponse};

use super::why;
use crate::{
    args::Format,
    client::{Again, Connection, find},
    context::Context,
    failure::{Exit, Failure},
    output::{
        self,
        table::{Style, Table, column, text},
        visible,
    },
};

/// The outcome of a replay that found no difference.
const SAME: &str = "SAME";

/// Prints what was recorded and what became of it; exits 1 unless the same was decided.
pub async fn run(ctx: &Context, task: &str) -> Result<(), Failure> {
    let found = find::task(ctx, task).await?;
    let request = ReplayDecisionRequest { cluster: Some(found.cluster), task: found.it.task_arn.unwrap_or_default() };
    let ask = async |mut c: Connection, r| c.control.replay_decision(r).await;
    let answer = ctx.client().await?.call(Again::Safe, request, ask).await?;
    match output::effective(&ctx.global) {
        Format::Json => output::document(&answer)?,
        Format::Jsonl => output::item(&answer)?,
        _ => io::stdout().lock().write_all(for_people(&answer, output::style(&ctx.global)).as_bytes())?,
    }
    match (answer.outcome.as_str(), answer.reason.is_empty()) {
        (SAME, _) => Ok(()),
        (_, false) => Err(Failure::new(Exit::Refused, format!("not replayed: {}", answer.reason))),
        (_, true) => Err(Failure::new(Exit::Refused, "the same state leads to another decision")),
    }
}

fn for_people(answer: &ReplayDecisionResponse, style: Style) -> String {
    let mut out = String::new();
    if let Some(decision) = &answer.decision {
        out.push_str(&format!(
            "planner {} decided on the state of log entry {}; entry {} placed {} tasks; requirement class {}\n",
            decision.planner_version,
            decision.base_index,
            decision.placed_index,
            decision.tasks,
            decision.requirement_class
        ));
        let left_out: Vec<String> =
            decision.left_out.iter().map(|count| format!("{} by {}", count.instances, count.filter)).collect();
        let without = if left_out.is_empty() { String::new() } else { format!("; left out: {}", left_out.join(", ")) };
        out.push_str(&format!(
            "{} of {} instances were looked at, {} fitted{without}\n",
            decision.looked_at, decision.instances, decision.fitted
        ));
        out.push_str(&why::best(decision, style));
        out.push('\n');
    }
    if answer.outcome == SAME {
        let from = match answer.checkpoint_index {
            0 => "the log alone".to_owned(),
            index => format!("the snapshot at entry {index} and the log"),
        };
        out.push_str(&format!(
            "same: replayed from {from}, with {} placements that were on their way\n",
            answer.in_flight
        ));
    }
    if !answer.differences.is_empty() {
        let mut table = Table::new(&[column("DIFFERS"), text("RECORDED"), text("REPLAYED")]);
        for difference in &answer.differences {
            let [what, recorded, replayed] =
                [&difference.what, &difference.recorded, &difference.replayed].map(|text| visible(text).to_string());
            table.row([what, recorded, replayed]);
        }
        out.push_str(&table.render(style));
    }
    out
}

#[cfg(test)]
mod tests {
    use seawall_proto::v1::{FilterCount, PlacementDecision, PlacementDifference};

    use super::*;

    fn decision() -> PlacementDecision {
        let left_out = vec![FilterCount { filter: "memory".into(), instances: 2, ..Default::default() }];
        PlacementDecision {
            planner_version: 1,
            base_index: 41,
            placed_index: 43,
            requirement_class: "1f2e3d4c".into(),
            tasks: 3,
            instances: 6,
            looked_at: 5,
            fitted: 3,
            left_out,
            ..Default::default()
        }
    }

    fn shown(answer: &ReplayDecisionResponse) -> String {
        for_people(answer, Style { wide: false, width: Some(90), colours: false })
    }

    #[test]
    fn a_replay_says_what_it_came_to() {
        let same = ReplayDecisionResponse {
            decision: Some(decision()),
            outcome: SAME.into(),
            checkpoint_index: 40,
            in_flight: 2,
            ..Default::default()
        };
        insta::assert_snapshot!(shown(&same), @r"
        planner 1 decided on the state of log entry 41; entry 43 placed 3 tasks; requirement class 1f2e3d4c
        5 of 6 instances were looked at, 3 fitted; left out: 2 by memory

        same: replayed from the snapshot at entry 40 and the log, with 2 placements that were on their way
        ");
        let difference = PlacementDifference {
            what: "task 1".into(),
            recorded: "on i-a1 in zone a".into(),
            replayed: "on i-b1 in zone b".into(),
        };
        let other = ReplayDecisionResponse { differences: vec![difference], outcome: "DIFFERENT".into(), ..same };
        insta::assert_snapshot!(shown(&other), @r"
        planner 1 decided on the state of log entry 41; entry 43 placed 3 tasks; requirement class 1f2e3d4c
        5 of 6 instances were looked at, 3 fitted; left out: 2 by memory

        DIFFERS  RECORDED           REPLAYED
        task 1   on i-a1 in zone a  on i-b1 in zone b
        ");
    }
}
