//! `seawall why`: the cluster explains a service, a task or an instance.

use std::io::{self, Write as _};

use seawall_proto::v1::{ExplainRequest, ExplainResponse, PlacementDecision};

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

/// What a name turned out to be.
pub enum Thing {
    /// A service.
    Service(find::Found<seawall_proto::v1::Service>),
    /// A task.
    Task(find::Found<seawall_proto::v1::Task>),
    /// An instance.
    Instance(find::Found<seawall_proto::v1::ContainerInstance>),
}

impl Thing {
    /// Its cluster and its ARN.
    pub fn cluster_and_arn(self) -> (String, String) {
        let (cluster, arn) = match self {
            Thing::Service(found) => (found.cluster, found.it.service_arn),
            Thing::Task(found) => (found.cluster, found.it.task_arn),
            Thing::Instance(found) => (found.cluster, found.it.container_instance_arn),
        };
        (cluster, arn.unwrap_or_default())
    }
}

/// Finds a name among services, then tasks, then instances.
pub async fn find_any(ctx: &Context, name: &str) -> Result<Thing, Failure> {
    let missing = match tolerant(find::service(ctx, name).await)? {
        Ok(found) => return Ok(Thing::Service(found)),
        Err(missing) => missing,
    };
    if let Ok(found) = tolerant(find::task(ctx, name).await)? {
        return Ok(Thing::Task(found));
    }
    if let Ok(found) = tolerant(find::instance(ctx, name).await)? {
        return Ok(Thing::Instance(found));
    }
    let what = missing.what.replacen("service ", "service, task or instance ", 1);
    Err(missing.reworded(what))
}

/// "Not found" and "not of this kind" lead to the next kind; no connection does not.
fn tolerant<T>(found: Result<T, Failure>) -> Result<Result<T, Failure>, Failure> {
    match found {
        Err(failure) if !matches!(failure.exit, Exit::Refused | Exit::Usage) => Err(failure),
        other => Ok(other),
    }
}

/// Runs `seawall why`.
pub async fn run(ctx: &Context, name: &str, all: bool) -> Result<(), Failure> {
    let (cluster, resource) = find_any(ctx, name).await?.cluster_and_arn();
    let request = ExplainRequest { cluster: Some(cluster), resource, all };
    let ask = async |mut c: Connection, r| c.control.explain(r).await;
    let explained = ctx.client().await?.call(Again::Safe, request, ask).await?;
    match output::effective(&ctx.global) {
        Format::Json => output::document(&explained),
        Format::Jsonl => output::item(&explained),
        _ => Ok(io::stdout().lock().write_all(for_people(&explained, output::style(&ctx.global)).as_bytes())?),
    }
}

fn for_people(explained: &ExplainResponse, style: Style) -> String {
    let mut out: String = explained.summary.iter().map(|line| format!("{}\n", visible(line))).collect();
    out.push_str(&explained.decision.as_ref().map(|decision| best(decision, style)).unwrap_or_default());
    if !explained.filters.is_empty() {
        let mut table = Table::new(&[column("LEFT OUT BY"), column("INSTANCES"), text("DETAIL")]);
        for filter in &explained.filters {
            table.row([filter.filter.clone(), filter.instances.to_string(), filter.detail.clone()]);
        }
        out.push_str(&format!("\n{}", table.render(style)));
    }
    if !explained.instances.is_empty() {
        let mut table = Table::new(&[
            column("INSTANCE"),
            column("ZONE"),
            column("FITS"),
            column("IN ZONE"),
            column("ON IT"),
            text("REASON"),
        ]);
        for verdict in &explained.instances {
            let reason = [verdict.reason.as_str(), verdict.detail.as_str()].join(" ");
            table.row([
                verdict.ec2_instance_id.clone(),
                verdict.zone.clone(),
                if verdict.fits { "yes".to_owned() } else { "no".to_owned() },
                verdict.service_tasks_in_zone.to_string(),
                verdict.service_tasks_on_instance.to_string(),
                reason.trim().to_owned(),
            ]);
        }
        out.push_str(&format!("\n{}", table.render(style)));
    }
    if !explained.next.is_empty() {
        out.push_str(&format!("next: {}\n", visible(&explained.next)));
    }
    out
}

/// The best instances when it was decided, as a table after an empty line.
pub fn best(decision: &PlacementDecision, style: Style) -> String {
    if decision.best.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[column("BEST"), column("INSTANCE"), column("ZONE"), column("TAKEN"), text("SCORES")]);
    for (best, place) in decision.best.iter().zip(1..) {
        table.row([
            place.to_string(),
            output::or_dash(Some(&best.ec2_instance_id)),
            output::or_dash(Some(&best.zone)),
            if best.taken { "yes".to_owned() } else { "no".to_owned() },
            best.scores.clone(),
        ]);
    }
    format!("\n{}", table.render(style))
}

#[cfg(test)]
mod tests {
    use seawall_proto::v1::{FilterCount, InstanceVerdict, ScoredInstance};

    use super::*;

    #[test]
    fn an_explanation_reads_from_the_sentence_to_the_instance() {
        let explained = ExplainResponse {
            summary: vec!["2 of 6 tasks cannot be placed: memory\x1b[2J".into()],
            filters: vec![FilterCount {
                filter: "RESOURCE:MEMORY".into(),
                instances: 1,
                detail: "needs 512 MiB; the best has 300".into(),
            }],
            instances: vec![InstanceVerdict {
                ec2_instance_id: "i-b1".into(),
                zone: "us-local-1b".into(),
                reason: "RESOURCE:MEMORY".into(),
                detail: "300 of 512 MiB".into(),
                service_tasks_in_zone: 2,
                service_tasks_on_instance: 2,
                ..Default::default()
            }],
            next: "seawall service set web taskDefinition=…".into(),
            decision: None,
        };
        insta::assert_snapshot!(for_people(&explained, Style { wide: false, width: Some(90), colours: false }), @r"
        2 of 6 tasks cannot be placed: memory␛[2J

        LEFT OUT BY      INSTANCES  DETAIL
        RESOURCE:MEMORY  1          needs 512 MiB; the best has 300

        INSTANCE  ZONE         FITS  IN ZONE  ON IT  REASON
        i-b1      us-local-1b  no    2        2      RESOURCE:MEMORY 300 of 512 MiB
        next: seawall service set web taskDefinition=…
        ");
    }

    #[test]
    fn a_decision_shows_its_best() {
        let scored = |id: &str, taken: bool, scores: &str| ScoredInstance {
            ec2_instance_id: id.into(),
            zone: if id.is_empty() { "" } else { "us-local-1a" }.into(),
            scores: scores.into(),
            taken,
            ..Default::default()
        };
        let best = vec![
            scored("i-a1", true, "zone had 0, instance had 0, 87 % free"),
            scored("", false, "zone had 1, instance had 0, 90 % free"),
        ];
        let decision = PlacementDecision { best, ..Default::default() };
        let explained = ExplainResponse {
            summary: vec!["task 1 is RUNNING, wanted RUNNING".into()],
            decision: Some(decision),
            ..Default::default()
        };
        insta::assert_snapshot!(for_people(&explained, Style { wide: false, width: Some(90), colours: false }), @r"
        task 1 is RUNNING, wanted RUNNING

        BEST  INSTANCE  ZONE         TAKEN  SCORES
        1     i-a1      us-local-1a  yes    zone had 0, instance had 0, 87 % free
        2     -         -            no     zone had 1, instance had 0, 90 % free
        ");
    }
}
