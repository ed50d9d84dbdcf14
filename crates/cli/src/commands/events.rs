//! `seawall events`: what happened, and with `-f` what happens.

use std::collections::BTreeMap;

use seawall_proto::{
    millis,
    v1::{
        ContainerInstance, ListHistoryRequest, ResourceKind, Service, ServiceEvent, Task, WatchEvent, WatchRequest,
        watch_event::Change,
    },
};

use crate::{
    args::{EventsArgs, Format},
    client::{Again, Connection},
    context::Context,
    failure::Failure,
    names, output,
};

use super::why::{Thing, find_any};

/// One thing that happened.
struct Line {
    at_ms: i64,
    subject: String,
    text: String,
}

/// What the lines are about.
enum About {
    Everything,
    Service(String),
    Task(String),
    Instance(String),
}

/// Runs `seawall events`.
pub async fn run(ctx: &Context, args: EventsArgs) -> Result<(), Failure> {
    let thing = match &args.name {
        Some(name) => Some(find_any(ctx, name).await?),
        None => None,
    };
    let from_ms = args.since.map_or(0, |since| ctx.env.wall_ms() - since.as_millis() as i64);
    let mut lines = past(ctx, thing.as_ref(), from_ms).await?;
    lines.retain(|line| line.at_ms >= from_ms);
    lines.sort_by_key(|line| line.at_ms);
    for line in &lines {
        show(ctx, line)?;
    }
    if !args.follow {
        return Ok(());
    }
    let about = match thing {
        None => About::Everything,
        Some(Thing::Service(found)) => About::Service(found.it.service_name.unwrap_or_default()),
        Some(Thing::Task(found)) => About::Task(found.it.task_arn.unwrap_or_default()),
        Some(Thing::Instance(found)) => About::Instance(found.it.container_instance_arn.unwrap_or_default()),
    };
    follow(ctx, &about).await
}

async fn past(ctx: &Context, thing: Option<&Thing>, from_ms: i64) -> Result<Vec<Line>, Failure> {
    Ok(match thing {
        Some(Thing::Service(found)) => all_of_service(ctx, &found.cluster, found.it.service_name(), from_ms).await?,
        Some(Thing::Task(found)) => of_task(&found.it),
        Some(Thing::Instance(found)) => vec![of_instance(&found.it, found.it.registered_at.as_ref().map_or(0, millis))],
        None => {
            let client = ctx.client().await?;
            let cluster = ctx.cluster(None);
            let arns = client.service_arns(&cluster).await?;
            client.services(&cluster, &arns).await?.0.iter().flat_map(of_service).collect()
        }
    })
}

/// A service's events as far back as they are kept; a description holds the last hundred.
async fn all_of_service(ctx: &Context, cluster: &str, name: &str, from_ms: i64) -> Result<Vec<Line>, Failure> {
    let request = ListHistoryRequest {
        cluster: Some(cluster.to_owned()),
        kind: ResourceKind::ServiceEvent.into(),
        service: Some(name.to_owned()),
        since: (from_ms > 0).then(|| seawall_proto::timestamp_of(from_ms)),
        ..Default::default()
    };
    let pages = ctx.client().await?.history(request).await?;
    let events = pages.into_iter().flat_map(|page| page.events).filter_map(|change| change.event);
    // One that leaves the service's row meanwhile comes twice.
    let each: BTreeMap<String, ServiceEvent> = events.filter_map(|event| Some((event.id.clone()?, event))).collect();
    Ok(each.values().map(|event| of_event(name, event)).collect())
}

fn of_service(service: &Service) -> Vec<Line> {
    service.events.iter().map(|event| of_event(service.service_name(), event)).collect()
}

fn of_event(service: &str, event: &ServiceEvent) -> Line {
    Line {
        at_ms: event.created_at.as_ref().map_or(0, millis),
        subject: format!("service {service}"),
        text: event.message().trim_start_matches(&format!("(service {service}) ")).to_owned(),
    }
}

/// A task's life, from the times that it carries.
fn of_task(task: &Task) -> Vec<Line> {
    let why = task.stopped_reason();
    let steps = [
        (&task.created_at, "created".to_owned()),
        (&task.pull_started_at, "pull started".to_owned()),
        (&task.pull_stopped_at, "pull stopped".to_owned()),
        (&task.started_at, "RUNNING".to_owned()),
        (&task.stopping_at, format!("being stopped: {why}")),
        (&task.execution_stopped_at, "containers ended".to_owned()),
        (&task.stopped_at, format!("STOPPED: {why}")),
    ];
    let subject = subject_of_task(task);
    let line = |(at, text): (&Option<prost_types::Timestamp>, String)| {
        Some(Line { at_ms: millis(at.as_ref()?), subject: subject.clone(), text })
    };
    steps.into_iter().filter_map(line).collect()
}

fn subject_of_task(task: &Task) -> String {
    format!("task {}", names::abbreviated(names::short(task.task_arn())))
}

fn of_instance(instance: &ContainerInstance, at_ms: i64) -> Line {
    let agent = if instance.agent_connected() { "agent connected" } else { "agent silent" };
    Line {
        at_ms,
        subject: format!("instance {}", instance.ec2_instance_id()),
        text: format!("{}, {agent}, {} tasks running", instance.status(), instance.running_tasks_count()),
    }
}

/// Shows changes until interrupted; goes on after the last one seen when a connection breaks.
async fn follow(ctx: &Context, about: &About) -> Result<(), Failure> {
    let mut request = WatchRequest {
        kinds: match about {
            About::Instance(_) => vec![ResourceKind::ContainerInstance.into()],
            About::Task(_) => vec![ResourceKind::Task.into()],
            _ => vec![
                ResourceKind::ServiceEvent.into(),
                ResourceKind::Task.into(),
                ResourceKind::ContainerInstance.into(),
            ],
        },
        cluster: Some(ctx.cluster(None)),
        service: match about {
            About::Service(name) => Some(name.clone()),
            _ => None,
        },
        ..Default::default()
    };
    let client = ctx.client().await?;
    loop {
        let ask = async |mut c: Connection, mut r: tonic::Request<WatchRequest>| {
            // A watch has no end to wait for.
            r.metadata_mut().remove("grpc-timeout");
            c.control.watch(r).await
        };
        let mut changes = client.call(Again::Safe, request.clone(), ask).await?;
        let broken = loop {
            match changes.message().await {
                Ok(Some(event)) => {
                    if let Some(line) = of_change(ctx.env.wall_ms(), about, &event) {
                        show(ctx, &line)?;
                    }
                    request.after = event.position.or(request.after);
                }
                Ok(None) => break tonic::Status::unavailable("the watch ended"),
                Err(status) => break status,
            }
        };
        if broken.code() == tonic::Code::OutOfRange {
            show(
                ctx,
                &Line {
                    at_ms: ctx.env.wall_ms(),
                    subject: "watch".into(),
                    text: "changes in between are no longer kept; going on from now".into(),
                },
            )?;
            request.after = None;
        }
        client.after_broken_stream(&broken).await?;
    }
}

fn of_change(now_ms: i64, about: &About, event: &WatchEvent) -> Option<Line> {
    let gone = if event.deleted { " (gone)" } else { "" };
    let line = match event.change.as_ref()? {
        Change::ServiceEvent(change) => of_event(change.service_name(), change.event.as_ref()?),
        Change::Task(task) => {
            if matches!(about, About::Task(arn) if arn != task.task_arn()) {
                return None;
            }
            let mut text = format!(
                "{} (desired {}) in {}{gone}",
                task.last_status(),
                task.desired_status(),
                task.availability_zone()
            );
            if let Some(reason) = task.stopped_reason.as_deref().filter(|reason| !reason.is_empty()) {
                text.push_str(&format!(": {reason}"));
            }
            Line { at_ms: now_ms, subject: subject_of_task(task), text }
        }
        Change::ContainerInstance(instance) => {
            if matches!(about, About::Instance(arn) if arn != instance.container_instance_arn()) {
                return None;
            }
            // A service's watch carries its tasks and events; instances are another matter.
            if matches!(about, About::Service(_)) {
                return None;
            }
            let line = of_instance(instance, now_ms);
            Line { text: format!("{}{gone}", line.text), ..line }
        }
        _ => return None,
    };
    Some(line)
}

fn show(ctx: &Context, line: &Line) -> Result<(), Failure> {
    if matches!(output::effective(&ctx.global), Format::Json | Format::Jsonl) {
        let value = serde_json::json!({
            "at": line.at_ms as f64 / 1000.0,
            "subject": line.subject,
            "message": line.text,
        });
        return output::item(&value);
    }
    let at = output::clock(&seawall_proto::timestamp_of(line.at_ms));
    output::say(&format!("{at}  {}  {}", line.subject, line.text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tasks_life_is_told_in_order() {
        let time = |ms| Some(seawall_proto::timestamp_of(ms));
        let task = Task {
            task_arn: Some("arn:aws:ecs:us-local-1:000000000000:task/default/0199aaaabbbb".into()),
            created_at: time(1000),
            started_at: time(2000),
            stopped_at: time(3000),
            stopped_reason: Some("Scaling activity".into()),
            ..Default::default()
        };
        let told: Vec<String> =
            of_task(&task).iter().map(|l| format!("{} {} {}", l.at_ms, l.subject, l.text)).collect();
        assert_eq!(
            told,
            [
                "1000 task 0199aaaa created",
                "2000 task 0199aaaa RUNNING",
                "3000 task 0199aaaa STOPPED: Scaling activity"
            ]
        );
    }

    #[test]
    fn another_tasks_change_is_not_shown() {
        let task = Task { task_arn: Some("a/b/1".into()), ..Default::default() };
        let event = WatchEvent { change: Some(Change::Task(task)), ..Default::default() };
        assert!(of_change(0, &About::Task("a/b/2".into()), &event).is_none());
        assert!(of_change(0, &About::Task("a/b/1".into()), &event).is_some());
        assert!(of_change(0, &About::Everything, &event).is_some());
    }
}
