//! `seawall task …` and `seawall ps`.

use std::collections::{BTreeMap, BTreeSet};

use seawall_proto::v1::{
    ContainerInstance, Failure as EcsFailure, ListHistoryRequest, ListTasksRequest, ResourceKind, StartTaskRequest,
    StopTaskRequest, Task,
};

use crate::{
    args::{TaskCommand, TaskListArgs},
    client::{
        Again, Connection,
        find::{self, Found},
    },
    context::Context,
    failure::{Exit, Failure},
    names::{self, Kind},
    output::{
        self, Listing,
        table::{Table, column, text, wide},
    },
};

use super::{taskdef, wait};

/// The status of a deleted service.
const DELETED: &str = "INACTIVE";

/// Runs `seawall task …`.
pub async fn run(ctx: &Context, command: TaskCommand) -> Result<(), Failure> {
    match command {
        TaskCommand::Ls(args) => list(ctx, &args).await,
        TaskCommand::Show { names } => show(ctx, &names).await,
        TaskCommand::Start { definition, on } => start(ctx, &definition, &on).await,
        TaskCommand::Stop { names, reason } => stop(ctx, &names, reason).await,
    }
}

/// Lists tasks.
pub async fn list(ctx: &Context, args: &TaskListArgs) -> Result<(), Failure> {
    let mut request = ListTasksRequest { family: args.family.clone(), ..Default::default() };
    let mut cluster = ctx.cluster(None);
    let mut is_deleted = false;
    if let Some(name) = &args.service {
        let service = find::service(ctx, name).await?;
        cluster = service.cluster;
        is_deleted = service.it.status.as_deref() == Some(DELETED);
        request.service_name = service.it.service_name;
    }
    if let Some(name) = &args.on {
        let instance = find::instance(ctx, name).await?;
        cluster = instance.cluster;
        request.container_instance = instance.it.container_instance_arn;
    }
    request.cluster = Some(cluster.clone());
    let client = ctx.client().await?;
    let arns = match args.all {
        // A deleted service has no tasks that live, and lists none.
        true if is_deleted => Vec::new(),
        true => client.all_task_arns(request.clone()).await?,
        false => client.task_arns(request.clone()).await?,
    };
    let (mut tasks, failures) = client.tasks(&cluster, &arns).await?;
    if args.all {
        let known: BTreeSet<String> = tasks.iter().filter_map(|task| task.task_arn.clone()).collect();
        let past = past(ctx, &request).await?.into_iter();
        tasks.extend(past.filter(|(arn, _)| !known.contains(arn)).map(|(_, task)| task));
    }
    tasks.sort_by_key(|t| (t.group().to_owned(), t.availability_zone().to_owned(), t.task_arn().to_owned()));
    let instances = instances_of(ctx, &cluster, &tasks).await?;
    listing(&tasks, &failures, &instances, ctx.env.wall_ms()).print(&ctx.global)
}

/// Every stopped task that a list asks for, as far back as they are kept, by ARN.
async fn past(ctx: &Context, list: &ListTasksRequest) -> Result<BTreeMap<String, Task>, Failure> {
    let request = ListHistoryRequest {
        cluster: list.cluster.clone(),
        kind: ResourceKind::Task.into(),
        service: list.service_name.clone(),
        ..Default::default()
    };
    let pages = ctx.client().await?.history(request).await?;
    let tasks = pages.into_iter().flat_map(|page| page.tasks);
    let asked = |task: &Task| {
        let family = names::short(task.task_definition_arn()).split(':').next();
        (list.container_instance.is_none() || list.container_instance == task.container_instance_arn)
            && (list.family.is_none() || list.family.as_deref() == family)
    };
    Ok(tasks.filter(asked).filter_map(|task| Some((task.task_arn.clone()?, task))).collect())
}

async fn show(ctx: &Context, names: &[String]) -> Result<(), Failure> {
    let mut tasks = Vec::new();
    let mut instances = BTreeMap::new();
    for name in names {
        let Found { cluster, it } = find::task(ctx, name).await?;
        instances.extend(instances_of(ctx, &cluster, std::slice::from_ref(&it)).await?);
        tasks.push(it);
    }
    listing(&tasks, &[], &instances, ctx.env.wall_ms()).print(&ctx.global)
}

/// What instances are called, by ARN.
async fn instances_of(ctx: &Context, cluster: &str, tasks: &[Task]) -> Result<BTreeMap<String, String>, Failure> {
    let mut arns: Vec<String> = tasks.iter().filter_map(|task| task.container_instance_arn.clone()).collect();
    arns.sort();
    arns.dedup();
    let (found, _) = ctx.client().await?.instances(cluster, &arns).await?;
    let called = |i: ContainerInstance| Some((i.container_instance_arn?, i.ec2_instance_id?));
    Ok(found.into_iter().filter_map(called).collect())
}

fn listing(tasks: &[Task], failures: &[EcsFailure], instances: &BTreeMap<String, String>, now_ms: i64) -> Listing {
    let mut table = Table::new(&[
        column("TASK"),
        column("OF"),
        column("DEFINITION"),
        column("STATUS"),
        wide("DESIRED"),
        wide("HEALTH"),
        column("ZONE"),
        column("INSTANCE"),
        column("AGE"),
        column("PORTS"),
        wide("ARN"),
        text("WHY"),
    ]);
    for task in tasks {
        let arn = task.task_arn();
        let instance = instances.get(task.container_instance_arn()).map(String::as_str);
        table.row([
            names::abbreviated(names::short(arn)).to_owned(),
            output::or_dash(Some(task.group().trim_start_matches("service:").trim_start_matches("family:"))),
            names::short(task.task_definition_arn()).to_owned(),
            task.last_status().to_owned(),
            task.desired_status().to_owned(),
            output::or_dash(task.health_status.as_deref()),
            output::or_dash(task.availability_zone.as_deref()),
            output::or_dash(instance),
            output::age(task.started_at.as_ref().or(task.created_at.as_ref()), now_ms),
            ports(task),
            arn.to_owned(),
            why(task),
        ]);
    }
    Listing {
        table,
        names: tasks.iter().map(|t| names::short(t.task_arn()).to_owned()).collect(),
        json: serde_json::json!({ "tasks": tasks, "failures": failures }),
        items: tasks.iter().map(output::json).collect(),
        none: "no tasks. next: seawall run IMAGE",
    }
}

fn ports(task: &Task) -> String {
    let bindings = task.containers.iter().flat_map(|container| &container.network_bindings);
    let each: Vec<String> =
        bindings.map(|b| format!("{}:{}→{}", b.bind_ip(), b.host_port(), b.container_port())).collect();
    output::or_dash(Some(&each.join(" ")))
}

/// Why it stopped, with the exit codes that say more.
fn why(task: &Task) -> String {
    if task.last_status() != "STOPPED" && task.stopped_reason.is_none() {
        return String::new();
    }
    let mut why = task.stopped_reason().to_owned();
    for container in &task.containers {
        if let Some(code) = container.exit_code.filter(|code| *code != 0) {
            why.push_str(&format!(" [{} exit {code}]", container.name()));
        }
        // A container that could not be started is why its task stopped: said once.
        let reason = container.reason.as_deref().filter(|reason| !reason.is_empty());
        if let Some(reason) = reason.filter(|reason| *reason != task.stopped_reason()) {
            why.push_str(&format!(" [{}: {reason}]", container.name()));
        }
    }
    why
}

async fn start(ctx: &Context, definition: &str, on: &[String]) -> Result<(), Failure> {
    let mut cluster = ctx.cluster(None);
    let mut instances = Vec::new();
    for name in on {
        let found = find::instance(ctx, name).await?;
        cluster = found.cluster;
        instances.push(found.it.container_instance_arn().to_owned());
    }
    let request = StartTaskRequest {
        cluster: Some(cluster),
        container_instances: instances,
        task_definition: Some(names::parse(Kind::Definition, definition)?.sent()),
        started_by: Some(STARTED_BY.to_owned()),
        ..Default::default()
    };
    let asked = request.container_instances.len();
    let ask = async |mut c: Connection, r| c.ecs.start_task(r).await;
    let started = match ctx.change(Again::Never, request, ask).await {
        Ok(Some(started)) => started,
        Ok(None) => return Ok(()),
        Err(failure) => return Err(taskdef::named_if_missing(ctx, failure, definition).await),
    };
    announce(ctx, &started.tasks)?;
    refuse_failures(asked, started.tasks.len(), &started.failures, definition)?;
    if !ctx.waits() {
        return Ok(());
    }
    let arns: Vec<String> = started.tasks.iter().map(|t| t.task_arn().to_owned()).collect();
    wait::tasks(ctx, &arns, "RUNNING").await
}

/// `startedBy` of what the command line starts.
pub const STARTED_BY: &str = "seawall-cli";

/// Says which tasks were started.
pub fn announce(ctx: &Context, tasks: &[Task]) -> Result<(), Failure> {
    for task in tasks {
        let id = names::short(task.task_arn());
        let zone = task.availability_zone.as_deref().map_or_else(String::new, |zone| format!(" in {zone}"));
        output::done(&ctx.global, id, &format!("task {id} placed{zone}"), task)?;
    }
    Ok(())
}

/// ECS answers success with failures in it, one for each instance that was tried; people and scripts need an exit code.
pub fn refuse_failures(asked: usize, placed: usize, failures: &[EcsFailure], what: &str) -> Result<(), Failure> {
    if failures.is_empty() {
        return Ok(());
    }
    let mut reasons: BTreeMap<&str, Vec<&EcsFailure>> = BTreeMap::new();
    for failure in failures {
        reasons.entry(failure.reason()).or_default().push(failure);
    }
    let reasons: Vec<String> = reasons.iter().map(|(reason, of_it)| told(reason, of_it)).collect();
    let exit = if placed > 0 { Exit::Partly } else { Exit::Refused };
    let missing = asked.saturating_sub(placed);
    Err(Failure::new(exit, format!("{what}: {missing} of {asked} tasks not placed: {}", reasons.join("; "))))
}

/// "RESOURCE:MEMORY on 3 instances (needs 512 MiB; has 300)", with the detail of one of them.
fn told(reason: &str, failures: &[&EcsFailure]) -> String {
    let instances = failures.iter().filter(|f| f.arn().contains(":container-instance/")).count();
    let on = match instances {
        0 => String::new(),
        1 => " on 1 instance".to_owned(),
        count => format!(" on {count} instances"),
    };
    let detail = failures.iter().map(|f| f.detail()).find(|detail| !detail.is_empty());
    format!("{reason}{on}{}", detail.map(|detail| format!(" ({detail})")).unwrap_or_default())
}

async fn stop(ctx: &Context, names: &[String], reason: Option<String>) -> Result<(), Failure> {
    let mut found = Vec::new();
    for name in names {
        found.push(find::task(ctx, name).await?);
    }
    ctx.confirm(&format!("stop {}", names.join(", ")))?;
    let arns: Vec<String> = found.iter().map(|f| f.it.task_arn().to_owned()).collect();
    for Found { cluster, it } in found {
        let request = StopTaskRequest {
            cluster: Some(cluster),
            task: it.task_arn.clone(),
            reason: reason.clone(),
            ..Default::default()
        };
        let ask = async |mut c: Connection, r| c.ecs.stop_task(r).await;
        let Some(answer) = ctx.change(Again::Safe, request, ask).await? else { continue };
        let id = names::short(it.task_arn());
        output::done(&ctx.global, id, &format!("task {id} is being stopped"), &answer)?;
    }
    if !ctx.waits() {
        return Ok(());
    }
    wait::tasks(ctx, &arns, "STOPPED").await
}

#[cfg(test)]
mod tests {
    use seawall_proto::v1::{Container, NetworkBinding};

    use super::*;

    #[test]
    fn ports_and_reasons_are_short() {
        let binding = NetworkBinding {
            bind_ip: Some("127.74.0.11".into()),
            container_port: Some(80),
            host_port: Some(32_768),
            ..Default::default()
        };
        let container = Container {
            name: Some("web".into()),
            exit_code: Some(137),
            reason: Some("OutOfMemoryError: Container killed due to memory usage".into()),
            network_bindings: vec![binding],
            ..Default::default()
        };
        let task = Task {
            last_status: Some("STOPPED".into()),
            stopped_reason: Some("Essential container in task exited".into()),
            containers: vec![container],
            ..Default::default()
        };
        assert_eq!(ports(&task), "127.74.0.11:32768→80");
        assert_eq!(
            why(&task),
            "Essential container in task exited [web exit 137] [web: OutOfMemoryError: Container killed due to memory usage]"
        );
    }

    #[test]
    fn a_reason_that_is_the_tasks_too_is_said_once() {
        let reason = Some("CannotStartContainerError: no such program".to_owned());
        let container = Container { name: Some("web".into()), reason: reason.clone(), ..Default::default() };
        let task = Task { stopped_reason: reason, containers: vec![container], ..Default::default() };
        assert_eq!(why(&task), "CannotStartContainerError: no such program");
    }

    #[test]
    fn failures_become_an_exit_code() {
        let on = |instance: &str| EcsFailure {
            reason: Some("RESOURCE:MEMORY".into()),
            detail: Some("needs 512 MiB; has 300".into()),
            arn: Some(format!("arn:aws:ecs:us-local-1:000000000000:container-instance/default/{instance}")),
        };
        assert_eq!(refuse_failures(1, 1, &[], "web:1"), Ok(()));
        let all = refuse_failures(2, 0, &[on("a"), on("b"), on("c")], "web:1").unwrap_err();
        assert_eq!(all.exit, Exit::Refused);
        let what = "web:1: 2 of 2 tasks not placed: RESOURCE:MEMORY on 3 instances (needs 512 MiB; has 300)";
        assert_eq!(all.what, what);
        let none = EcsFailure { reason: Some("EMPTY CAPACITY".into()), ..Default::default() };
        let some = refuse_failures(3, 1, &[none], "web:1").unwrap_err();
        assert_eq!((some.exit, some.what.as_str()), (Exit::Partly, "web:1: 2 of 3 tasks not placed: EMPTY CAPACITY"));
    }
}
