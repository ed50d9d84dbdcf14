//! `seawall run`: an image, a family or a file; once, or with `--name` as a service.

use std::path::Path;

use seawall_model::limits::{RUN_TASK_COUNT_MAX, SERVICE_TASKS_MAX};
use seawall_proto::v1::{
    ContainerDefinition, CreateServiceRequest, KeyValuePair, PortMapping, RegisterTaskDefinitionRequest,
    RunTaskRequest, RunTaskResponse, Task, TaskDefinition, TaskOverride, UpdateServiceRequest,
};

use crate::{
    args::RunArgs,
    client::{Again, Connection, find},
    context::Context,
    failure::{Exit, Failure},
    names,
};

use super::{logs, service, task, taskdef, wait};

/// Reserved where `--memory` says nothing: enough for small programs, and no limit.
const MEMORY_RESERVATION_MIB: i32 = 64;

/// Runs `seawall run`.
pub async fn run(ctx: &Context, args: RunArgs) -> Result<(), Failure> {
    // Before a revision is registered that nothing would run.
    check_count(&args)?;
    let (definition, is_new) = match choose(ctx, &args).await? {
        Chosen::Existing(definition) => (*definition, false),
        Chosen::New(request) => (registered(ctx, *request).await?, true),
    };
    let begun = match &args.name {
        Some(name) => as_service(ctx, name, &args, &definition).await.map(Begun::Service),
        None => as_tasks(ctx, &args, &definition, is_new).await.map(Begun::Tasks),
    };
    let was_refused = begun.as_ref().is_err_and(|failure| failure.exit == Exit::Refused);
    let ended = match begun {
        Ok(begun) => end(ctx, &args, &definition, begun).await,
        Err(failure) => Err(failure),
    };
    if is_new && (args.rm || was_refused) {
        let removed = taskdef::deregister(ctx, definition.task_definition_arn().to_owned()).await;
        // Why nothing runs matters more than a revision that is left.
        return ended.and(removed.map(|_| ()));
    }
    ended
}

/// The limits of RunTask and of a service.
fn check_count(args: &RunArgs) -> Result<(), Failure> {
    let count = i64::from(args.count);
    let (least, most, what) = match args.name {
        Some(_) => (0, SERVICE_TASKS_MAX, "a service runs"),
        None => (1, RUN_TASK_COUNT_MAX, "one run starts"),
    };
    if (least..=i64::from(most)).contains(&count) {
        return Ok(());
    }
    let failure = Failure::usage(format!("--count {count}: {what} {least} to {most} tasks"));
    Err(if args.name.is_none() && count > least {
        failure.next("--name NAME runs more, as a service")
    } else {
        failure
    })
}

enum Chosen {
    Existing(Box<TaskDefinition>),
    New(Box<RegisterTaskDefinitionRequest>),
}

/// What was started; nothing with `--dry-run`.
enum Begun {
    /// The ARN of a service.
    Service(Option<String>),
    Tasks(Option<RunTaskResponse>),
}

/// Registers a definition. With `--dry-run` there is no revision: what would run it names its family.
async fn registered(ctx: &Context, request: RegisterTaskDefinitionRequest) -> Result<TaskDefinition, Failure> {
    let family = request.family.clone();
    let made = taskdef::register(ctx, request).await?;
    Ok(made.unwrap_or_else(|| TaskDefinition { task_definition_arn: family, ..Default::default() }))
}

/// Waits for what was started.
async fn end(ctx: &Context, args: &RunArgs, definition: &TaskDefinition, begun: Begun) -> Result<(), Failure> {
    match begun {
        Begun::Service(arn) => service::settle(ctx, arn).await,
        Begun::Tasks(Some(placed)) => placed_tasks(ctx, args, definition, &placed).await,
        Begun::Tasks(None) => Ok(()),
    }
}

/// A file is a definition to register; what a family is called is that family; anything else is an image.
async fn choose(ctx: &Context, args: &RunArgs) -> Result<Chosen, Failure> {
    if args.what.ends_with(".json") {
        return Ok(Chosen::New(Box::new(taskdef::read(ctx, Path::new(&args.what))?)));
    }
    if may_be_family(&args.what)
        && let Some(found) = taskdef::describe(ctx, &args.what).await?
        && let Some(definition) = found.task_definition
    {
        return Ok(Chosen::Existing(Box::new(definition)));
    }
    Ok(Chosen::New(Box::new(of_image(args))))
}

/// Families hold no slash and no dot; what follows a colon is a revision.
fn may_be_family(text: &str) -> bool {
    let (name, revision) = text.split_once(':').unwrap_or((text, "1"));
    text.starts_with("arn:") || (seawall_model::is_ecs_name(name) && revision.parse::<u32>().is_ok())
}

/// A task definition with one container of an image.
fn of_image(args: &RunArgs) -> RegisterTaskDefinitionRequest {
    let name = args.name.clone().unwrap_or_else(|| family_of(&args.what));
    let container = ContainerDefinition {
        name: Some(name.clone()),
        image: Some(args.what.clone()),
        cpu: args.cpu,
        memory: args.memory,
        memory_reservation: args.memory.is_none().then_some(MEMORY_RESERVATION_MIB),
        command: args.command.clone(),
        environment: environment(args),
        port_mappings: args
            .publish
            .iter()
            .map(|port| PortMapping {
                container_port: Some(port.container.into()),
                host_port: Some(port.host.unwrap_or(0).into()),
                protocol: Some(port.protocol.into()),
                ..Default::default()
            })
            .collect(),
        essential: Some(true),
        ..Default::default()
    };
    RegisterTaskDefinitionRequest { family: Some(name), container_definitions: vec![container], ..Default::default() }
}

fn environment(args: &RunArgs) -> Vec<KeyValuePair> {
    args.env.iter().map(|(name, value)| KeyValuePair { name: Some(name.clone()), value: Some(value.clone()) }).collect()
}

/// `registry:5000/team/web:2` → `web`.
fn family_of(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    let name = last.split([':', '@']).next().unwrap_or(last);
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' }).collect()
}

async fn as_service(
    ctx: &Context,
    name: &str,
    args: &RunArgs,
    definition: &TaskDefinition,
) -> Result<Option<String>, Failure> {
    if let Ok(found) = find::service_if_any(ctx, name).await?
        && found.it.status() == "ACTIVE"
    {
        let request = UpdateServiceRequest {
            cluster: Some(found.cluster),
            service: found.it.service_arn,
            desired_count: (!args.daemon).then_some(args.count),
            task_definition: definition.task_definition_arn.clone(),
            ..Default::default()
        };
        return service::update(ctx, request).await;
    }
    let request = CreateServiceRequest {
        cluster: Some(ctx.cluster(None)),
        service_name: Some(name.to_owned()),
        task_definition: definition.task_definition_arn.clone(),
        desired_count: (!args.daemon).then_some(args.count),
        scheduling_strategy: args.daemon.then(|| service::DAEMON.to_owned()),
        ..Default::default()
    };
    service::create(ctx, request).await
}

async fn as_tasks(
    ctx: &Context,
    args: &RunArgs,
    definition: &TaskDefinition,
    is_new: bool,
) -> Result<Option<RunTaskResponse>, Failure> {
    let request = RunTaskRequest {
        cluster: Some(ctx.cluster(None)),
        count: Some(args.count),
        task_definition: definition.task_definition_arn.clone(),
        started_by: Some(task::STARTED_BY.to_owned()),
        client_token: Some(ctx.env.new_id().to_string()),
        overrides: (!is_new).then(|| overrides(args, definition)).flatten(),
        ..Default::default()
    };
    let ask = async |mut c: Connection, r| c.ecs.run_task(r).await;
    ctx.change(Again::Safe, request, ask).await
}

async fn placed_tasks(
    ctx: &Context,
    args: &RunArgs,
    definition: &TaskDefinition,
    placed: &RunTaskResponse,
) -> Result<(), Failure> {
    task::announce(ctx, &placed.tasks)?;
    let asked = usize::try_from(args.count).unwrap_or_default();
    let called = names::short(definition.task_definition_arn());
    task::refuse_failures(asked, placed.tasks.len(), &placed.failures, called)?;
    if args.attach || args.rm {
        return attached(ctx, &placed.tasks).await;
    }
    if ctx.global.detach {
        return Ok(());
    }
    let arns: Vec<String> = placed.tasks.iter().map(|t| t.task_arn().to_owned()).collect();
    wait::until(ctx, async || started(ctx, &arns).await).await
}

/// A task that was quick has run by the time one looks: that is no failure.
async fn started(ctx: &Context, arns: &[String]) -> Result<wait::Outlook, Failure> {
    let (tasks, _) = ctx.client().await?.tasks(&ctx.cluster(None), arns).await?;
    if let Some(task) = tasks.iter().find(|t| t.last_status() == "STOPPED" && t.started_at.is_none()) {
        return Err(not_started(task));
    }
    let there = tasks.iter().filter(|t| t.started_at.is_some()).count();
    if there == arns.len() {
        return Ok(wait::Outlook::Done);
    }
    Ok(wait::Outlook::Waiting(format!("{there} of {} tasks RUNNING", arns.len())))
}

fn not_started(task: &Task) -> Failure {
    let id = names::abbreviated(names::short(task.task_arn()));
    let container = task.containers.iter().find_map(|c| c.reason.as_deref()).unwrap_or_default();
    // A container that could not be started is why its task stopped: said once.
    let mut why = vec![task.stopped_reason(), container];
    why.dedup();
    Failure::refused(format!("task {id} did not start: {}", why.join(" ").trim())).next(format!("seawall why {id}"))
}

/// Follows what the tasks write until all have stopped; their exit codes decide.
async fn attached(ctx: &Context, tasks: &[Task]) -> Result<(), Failure> {
    let cluster = ctx.cluster(None);
    let arns: Vec<String> = tasks.iter().map(|t| t.task_arn().to_owned()).collect();
    tokio::select! {
        biased;
        followed = logs::of_tasks(ctx, &cluster, tasks, true) => followed?,
        // A task that never starts has no output that could end.
        Err(failure) = wait::until(ctx, async || started(ctx, &arns).await) => return Err(failure),
    }
    wait::tasks(ctx, &arns, "STOPPED").await?;
    let (ended, _) = ctx.client().await?.tasks(&cluster, &arns).await?;
    for task in &ended {
        if task.started_at.is_none() {
            return Err(not_started(task));
        }
        if let Some((name, code)) =
            task.containers.iter().find_map(|c| Some((c.name(), c.exit_code.filter(|code| *code != 0)?)))
        {
            let id = names::abbreviated(names::short(task.task_arn()));
            return Err(Failure::refused(format!("task {id}: container {name} exited with {code}")));
        }
    }
    Ok(())
}

/// `--env`, `--cpu`, `--memory` and CMD change the first container of a family that exists.
fn overrides(args: &RunArgs, definition: &TaskDefinition) -> Option<TaskOverride> {
    let changed = !args.env.is_empty() || !args.command.is_empty() || args.cpu.is_some() || args.memory.is_some();
    let container = definition.container_definitions.first().filter(|_| changed)?;
    let one = seawall_proto::v1::ContainerOverride {
        name: container.name.clone(),
        command: args.command.clone(),
        environment: environment(args),
        cpu: args.cpu,
        memory: args.memory,
        ..Default::default()
    };
    Some(TaskOverride { container_overrides: vec![one], ..Default::default() })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    fn args(words: &[&str]) -> RunArgs {
        let all = ["seawall", "run"].iter().chain(words);
        match Cli::try_parse_from(all).unwrap().command {
            Command::Run(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn images_and_families_are_told_apart() {
        for family in ["web", "web:7", "arn:aws:ecs:us-local-1:000000000000:task-definition/web:7"] {
            assert!(may_be_family(family), "{family}");
        }
        for image in ["nginx:alpine", "library/nginx", "registry.local:5000/web", "examples/web"] {
            assert!(!may_be_family(image), "{image}");
        }
        assert_eq!(family_of("registry.local:5000/team/web.app:2"), "web-app");
        assert_eq!(family_of("nginx@sha256:00"), "nginx");
    }

    #[test]
    fn a_count_is_checked_before_anything_is_sent() {
        let told = |words: &[&str]| check_count(&args(words)).map_err(|failure| failure.to_string());
        for good in [&["web"][..], &["web", "--count", "10"], &["web", "--name", "w", "--count", "0"]] {
            assert_eq!(told(good), Ok(()), "{good:?}");
        }
        let many = "--count 11: one run starts 1 to 10 tasks. next: --name NAME runs more, as a service";
        assert_eq!(told(&["web", "--count", "11"]), Err(many.into()));
        assert_eq!(told(&["web", "--count=-1"]), Err("--count -1: one run starts 1 to 10 tasks".into()));
        let service = told(&["web", "--name", "w", "--count", "5001"]);
        assert_eq!(service, Err("--count 5001: a service runs 0 to 5000 tasks".into()));
    }

    #[test]
    fn a_daemon_is_a_service_without_a_count() {
        assert!(args(&["agent", "--name", "agent", "--daemon"]).daemon);
        for bad in [&["agent", "--daemon"][..], &["agent", "--name", "a", "--daemon", "--count", "2"]] {
            let all = ["seawall", "run"].iter().chain(bad);
            assert!(Cli::try_parse_from(all).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_image_becomes_a_definition() {
        let request =
            of_image(&args(&["nginx:alpine", "--name", "web", "-p", "8080:80", "--env", "A=b", "--", "sh", "-c"]));
        let container = &request.container_definitions[0];
        assert_eq!(request.family.as_deref(), Some("web"));
        assert_eq!(container.port_mappings[0].host_port, Some(8080));
        assert_eq!(container.memory_reservation, Some(MEMORY_RESERVATION_MIB));
        assert_eq!(container.command, ["sh", "-c"]);
        assert_eq!(container.environment[0].name(), "A");
        let hard = of_image(&args(&["nginx:alpine", "--memory", "128"]));
        assert_eq!(hard.container_definitions[0].memory, Some(128));
        assert_eq!(hard.container_definitions[0].memory_reservation, None);
    }

    #[test]
    fn a_family_is_overridden_only_where_asked() {
        let definition = TaskDefinition {
            container_definitions: vec![ContainerDefinition { name: Some("web".into()), ..Default::default() }],
            ..Default::default()
        };
        assert_eq!(overrides(&args(&["web"]), &definition), None);
        let changed = overrides(&args(&["web", "--", "x"]), &definition).unwrap();
        assert_eq!(changed.container_overrides[0].command, ["x"]);
        assert_eq!(changed.container_overrides[0].name(), "web");
    }
}
