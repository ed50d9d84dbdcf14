//! `seawall taskdef …`.

use std::path::Path;

use seawall_proto::v1::{
    DeregisterTaskDefinitionRequest, DeregisterTaskDefinitionResponse, DescribeTaskDefinitionRequest,
    DescribeTaskDefinitionResponse, ListTaskDefinitionsRequest, RegisterTaskDefinitionRequest, TaskDefinition,
};

use crate::{
    args::{Format, TaskdefCommand},
    client::{Again, Connection},
    context::Context,
    failure::{Exit, Failure},
    input,
    names::{self, Kind},
    output::{
        self, Listing,
        table::{Table, column, wide},
    },
};

/// Runs `seawall taskdef …`.
pub async fn run(ctx: &Context, command: TaskdefCommand) -> Result<(), Failure> {
    match command {
        TaskdefCommand::Register { file } => register_file(ctx, &file).await,
        TaskdefCommand::Ls { family, all } => list(ctx, family, all).await,
        TaskdefCommand::Show { names } => show(ctx, &names).await,
        TaskdefCommand::Rm { names } => remove(ctx, &names).await,
    }
}

/// Reads a task definition's file.
pub fn read(ctx: &Context, file: &Path) -> Result<RegisterTaskDefinitionRequest, Failure> {
    input::request(&ctx.env, "task definition", "RegisterTaskDefinitionRequest", file)
}

async fn register_file(ctx: &Context, file: &Path) -> Result<(), Failure> {
    let request = read(ctx, file)?;
    let Some(made) = register(ctx, request).await? else { return Ok(()) };
    let name = names::short(made.task_definition_arn()).to_owned();
    let answer = serde_json::json!({ "taskDefinition": made });
    output::done(&ctx.global, &name, &format!("task definition {name} registered"), &answer)
}

/// Registers a revision; none with `--dry-run`.
pub async fn register(
    ctx: &Context,
    request: RegisterTaskDefinitionRequest,
) -> Result<Option<TaskDefinition>, Failure> {
    let family = request.family().to_owned();
    let ask = async |mut c: Connection, r| c.ecs.register_task_definition(r).await;
    let made = ctx.change(Again::Never, request, ask).await.map_err(|failure| match failure.exit {
        Exit::Refused => {
            let what = format!("task definition {family}: {}", failure.what);
            failure.reworded(what)
        }
        _ => failure,
    })?;
    Ok(made.map(|made| made.task_definition.unwrap_or_default()))
}

/// The task definition called `text`; `None` where there is none.
pub async fn describe(ctx: &Context, text: &str) -> Result<Option<DescribeTaskDefinitionResponse>, Failure> {
    let named = names::parse(Kind::Definition, text)?;
    let request = DescribeTaskDefinitionRequest { task_definition: Some(named.sent()), include: vec!["TAGS".into()] };
    let ask = async |mut c: Connection, r| c.ecs.describe_task_definition(r).await;
    match ctx.client().await?.call(Again::Safe, request, ask).await {
        Ok(found) => Ok(Some(found)),
        Err(failure) if failure.exit == Exit::Refused && failure.what.contains("nable to describe") => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Nothing is called `text`.
pub async fn unknown(ctx: &Context, text: &str) -> Result<Failure, Failure> {
    let arns = ctx.client().await?.definition_arns(ListTaskDefinitionsRequest::default()).await?;
    Ok(names::unknown(Kind::Definition, text, arns.iter().map(|arn| names::short(arn))))
}

/// The cluster says that a definition is missing, but not which: this names `text`, with the nearest that there are.
pub async fn named_if_missing(ctx: &Context, failure: Failure, text: &str) -> Failure {
    if failure.exit != Exit::Refused || failure.what != "TaskDefinition not found" {
        return failure;
    }
    unknown(ctx, text).await.unwrap_or(failure)
}

async fn list(ctx: &Context, family: Option<String>, all: bool) -> Result<(), Failure> {
    let mut arns = Vec::new();
    for status in if all { &["ACTIVE", "INACTIVE"][..] } else { &["ACTIVE"] } {
        let request = ListTaskDefinitionsRequest {
            family_prefix: family.clone(),
            status: Some((*status).to_owned()),
            ..Default::default()
        };
        let found = ctx.client().await?.definition_arns(request).await?;
        arns.extend(found.into_iter().map(|arn| (arn, *status)));
    }
    let mut table = Table::new(&[column("TASK DEFINITION"), column("STATUS"), wide("ARN")]);
    for (arn, status) in &arns {
        table.row([names::short(arn).to_owned(), (*status).to_owned(), arn.clone()]);
    }
    let listing = Listing {
        table,
        names: arns.iter().map(|(arn, _)| names::short(arn).to_owned()).collect(),
        json: serde_json::json!({ "taskDefinitionArns": arns.iter().map(|(arn, _)| arn).collect::<Vec<_>>() }),
        items: arns.iter().map(|(arn, _)| serde_json::json!({ "taskDefinitionArn": arn })).collect(),
        none: "no task definitions. next: seawall taskdef register FILE",
    };
    listing.print(&ctx.global)
}

async fn show(ctx: &Context, names: &[String]) -> Result<(), Failure> {
    for name in names {
        let Some(found) = describe(ctx, name).await? else { return Err(unknown(ctx, name).await?) };
        let definition = found.task_definition.as_ref();
        match output::effective(&ctx.global) {
            Format::Name => output::say(names::short(definition.map_or("", TaskDefinition::task_definition_arn)))?,
            Format::Jsonl => output::item(&definition)?,
            // A definition is a document: a table would leave out what people look for.
            Format::Json | Format::Table | Format::Wide => output::document(&found)?,
        }
    }
    Ok(())
}

async fn remove(ctx: &Context, names: &[String]) -> Result<(), Failure> {
    for name in names {
        if !name.contains(':') {
            let what = format!("{name:?} names a family: give the revision to deregister, such as {name}:1");
            return Err(Failure::usage(what).next(format!("seawall taskdef ls {name}")));
        }
        if describe(ctx, name).await?.is_none() {
            return Err(unknown(ctx, name).await?);
        }
    }
    ctx.confirm(&format!("deregister {}", names.join(", ")))?;
    for name in names {
        let Some(gone) = deregister(ctx, name.clone()).await? else { continue };
        let name = names::short(name);
        output::done(&ctx.global, name, &format!("task definition {name} deregistered"), &gone)?;
    }
    Ok(())
}

/// Deregisters a revision; no answer with `--dry-run`.
pub async fn deregister(ctx: &Context, revision: String) -> Result<Option<DeregisterTaskDefinitionResponse>, Failure> {
    let request = DeregisterTaskDefinitionRequest { task_definition: Some(revision), ..Default::default() };
    let ask = async |mut c: Connection, r| c.ecs.deregister_task_definition(r).await;
    ctx.change(Again::Safe, request, ask).await
}
