//! `seawall service …`.

use std::path::Path;

use seawall_model::own_tags::{self, PRIORITY_DEFAULT};
use seawall_proto::v1::{
    CreateServiceRequest, DeleteServiceRequest, Failure as EcsFailure, ListEndpointsRequest, Service,
    UpdateServiceRequest,
};

use crate::{
    args::{Format, ServiceCommand},
    client::{
        Again, Connection,
        find::{self, Found},
    },
    context::Context,
    failure::{Exit, Failure},
    input, names,
    output::{
        self, Listing,
        table::{Table, column, text, wide},
    },
};

use super::{set, taskdef, wait};

/// The scheduling strategy of services that have one task on each instance.
pub const DAEMON: &str = "DAEMON";

/// Runs `seawall service …`.
pub async fn run(ctx: &Context, command: ServiceCommand) -> Result<(), Failure> {
    match command {
        ServiceCommand::Create { file } => create_from(ctx, &file).await,
        ServiceCommand::Ls => list(ctx).await,
        ServiceCommand::Show { names } => show(ctx, &names).await,
        ServiceCommand::Set { name, changes } => change(ctx, &name, &changes).await,
        ServiceCommand::Rm { names, force } => remove(ctx, &names, force).await,
        ServiceCommand::Endpoints { name } => endpoints(ctx, &name).await,
    }
}

async fn create_from(ctx: &Context, file: &Path) -> Result<(), Failure> {
    let mut request: CreateServiceRequest = input::request(&ctx.env, "service", "CreateServiceRequest", file)?;
    request.cluster.get_or_insert_with(|| ctx.cluster(None));
    let made = create(ctx, request).await?;
    settle(ctx, made).await
}

/// Creates a service and gives its ARN; none with `--dry-run`.
pub async fn create(ctx: &Context, mut request: CreateServiceRequest) -> Result<Option<String>, Failure> {
    // With a token a connection that breaks is no reason to give up: the service is created once.
    request.client_token.get_or_insert_with(|| ctx.env.new_id().to_string());
    let (called, definition) = (request.service_name().to_owned(), request.task_definition().to_owned());
    let ask = async |mut c: Connection, r| c.ecs.create_service(r).await;
    let made = match ctx.change(Again::Safe, request, ask).await {
        Ok(Some(made)) => made,
        Ok(None) => return Ok(None),
        Err(failure) => return Err(of_service(&called, taskdef::named_if_missing(ctx, failure, &definition).await)),
    };
    let service = made.service.clone().unwrap_or_default();
    let name = service.service_name();
    output::done(&ctx.global, name, &format!("service {name} created"), &made)?;
    Ok(Some(service.service_arn().to_owned()))
}

/// A refusal says which of several files it is about.
fn of_service(name: &str, failure: Failure) -> Failure {
    match failure.exit {
        Exit::Refused => {
            let what = format!("service {name}: {}", failure.what);
            failure.reworded(what)
        }
        _ => failure,
    }
}

/// Updates a service and gives its ARN; none with `--dry-run`.
pub async fn update(ctx: &Context, request: UpdateServiceRequest) -> Result<Option<String>, Failure> {
    let ask = async |mut c: Connection, r| c.ecs.update_service(r).await;
    let again = if request.force_new_deployment() { Again::Never } else { Again::Safe };
    let definition = request.task_definition().to_owned();
    let made = match ctx.change(again, request, ask).await {
        Ok(Some(made)) => made,
        Ok(None) => return Ok(None),
        Err(failure) => return Err(taskdef::named_if_missing(ctx, failure, &definition).await),
    };
    let service = made.service.clone().unwrap_or_default();
    let name = service.service_name();
    output::done(&ctx.global, name, &format!("service {name} updated"), &made)?;
    Ok(Some(service.service_arn().to_owned()))
}

/// Waits until a service that was created or updated is stable.
pub async fn settle(ctx: &Context, changed: Option<String>) -> Result<(), Failure> {
    match changed {
        Some(arn) if ctx.waits() => wait::services_stable(ctx, &[arn]).await,
        _ => Ok(()),
    }
}

async fn list(ctx: &Context) -> Result<(), Failure> {
    let client = ctx.client().await?;
    let cluster = ctx.cluster(None);
    let arns = client.service_arns(&cluster).await?;
    let (mut services, failures) = client.services(&cluster, &arns).await?;
    services.sort_by_key(|service| service.service_name().to_owned());
    listing(&services, &failures, ctx.env.wall_ms()).print(&ctx.global)
}

async fn show(ctx: &Context, names: &[String]) -> Result<(), Failure> {
    let mut services = Vec::new();
    for name in names {
        services.push(find::service(ctx, name).await?.it);
    }
    listing(&services, &[], ctx.env.wall_ms()).print(&ctx.global)?;
    match output::effective(&ctx.global) {
        Format::Table | Format::Wide => {
            let lines =
                services.iter().flat_map(|service| [priority(service), loss_policy(service), without_effect(service)]);
            lines.into_iter().flatten().try_for_each(|line| output::say(&line))
        }
        Format::Name | Format::Json | Format::Jsonl => Ok(()),
    }
}

/// The class of a service that says one.
fn priority(service: &Service) -> Option<String> {
    let tag = service.tags.iter().find(|tag| tag.key() == own_tags::PRIORITY)?;
    Some(format!("{}: its priority is {}; what has none has {PRIORITY_DEFAULT}", service.service_name(), tag.value()))
}

/// What a service says of tasks whose instances fall silent, where it says something.
fn loss_policy(service: &Service) -> Option<String> {
    let tag = service.tags.iter().find(|tag| tag.key() == own_tags::LOSS_POLICY)?;
    let name = service.service_name();
    Some(format!("{name}: loss policy {}; what it waits for tells: seawall why {name}", tag.value()))
}

/// What a service asks for and this version only stores.
fn without_effect(service: &Service) -> Option<String> {
    let members = seawall_rules::stored_members(service);
    let name = service.service_name();
    (!members.is_empty()).then(|| format!("{name}: stored, without effect in this version: {}", members.join(", ")))
}

fn listing(services: &[Service], failures: &[EcsFailure], now_ms: i64) -> Listing {
    let mut table = Table::new(&[
        column("SERVICE"),
        column("STATUS"),
        column("RUNNING"),
        column("PENDING"),
        column("DEFINITION"),
        column("ROLLOUT"),
        column("AGE"),
        wide("ARN"),
        text("LAST EVENT"),
    ]);
    for service in services {
        let primary = service.deployments.iter().find(|d| d.status() == "PRIMARY");
        let event = service.events.first().map_or("", |event| event.message());
        table.row([
            service.service_name().to_owned(),
            service.status().to_owned(),
            format!("{} of {}", service.running_count(), service.desired_count()),
            service.pending_count().to_string(),
            names::short(service.task_definition()).to_owned(),
            output::or_dash(primary.map(|d| d.rollout_state())),
            output::age(service.created_at.as_ref(), now_ms),
            service.service_arn().to_owned(),
            event.to_owned(),
        ]);
    }
    Listing {
        table,
        names: services.iter().map(|s| s.service_name().to_owned()).collect(),
        json: serde_json::json!({ "services": services, "failures": failures }),
        items: services.iter().map(output::json).collect(),
        none: "no services. next: seawall run IMAGE --name NAME",
    }
}

async fn change(ctx: &Context, name: &str, changes: &[(String, String)]) -> Result<(), Failure> {
    let Found { cluster, it } = find::service(ctx, name).await?;
    let mut request: UpdateServiceRequest = set::request("UpdateServiceRequest", changes)?;
    request.cluster = Some(cluster);
    request.service = it.service_arn;
    let changed = update(ctx, request).await?;
    settle(ctx, changed).await
}

async fn remove(ctx: &Context, names: &[String], force: bool) -> Result<(), Failure> {
    let mut found = Vec::new();
    for name in names {
        found.push(find::service(ctx, name).await?);
    }
    ctx.confirm(&format!("delete {}", names.join(", ")))?;
    for Found { cluster, it } in found {
        let request = DeleteServiceRequest {
            cluster: Some(cluster),
            service: it.service_arn.clone(),
            force: Some(force),
            ..Default::default()
        };
        let ask = async |mut c: Connection, r| c.ecs.delete_service(r).await;
        let gone = ctx.change(Again::Safe, request, ask).await.map_err(|failure| match failure.exit {
            Exit::Refused if !force => failure.next(format!("seawall scale {}=0; or --force", it.service_name())),
            _ => failure,
        })?;
        let Some(gone) = gone else { continue };
        output::done(&ctx.global, it.service_name(), &format!("service {} drains", it.service_name()), &gone)?;
    }
    if !ctx.waits() {
        return Ok(());
    }
    wait::services_inactive(ctx, names).await
}

async fn endpoints(ctx: &Context, name: &str) -> Result<(), Failure> {
    let Found { cluster, it } = find::service(ctx, name).await?;
    let request = ListEndpointsRequest { cluster: Some(cluster), service: it.service_name().to_owned() };
    let ask = async |mut c: Connection, r| c.control.list_endpoints(r).await;
    let found = ctx.client().await?.call(Again::Safe, request, ask).await?;
    let mut table =
        Table::new(&[column("ENDPOINT"), column("PROTOCOL"), column("CONTAINER"), column("READY"), column("TASK")]);
    for endpoint in &found.endpoints {
        table.row([
            format!("{}:{}", endpoint.host_ip, endpoint.host_port),
            endpoint.protocol.clone(),
            format!("{}:{}", endpoint.container_name, endpoint.container_port),
            if endpoint.ready { "yes".to_owned() } else { "no".to_owned() },
            names::abbreviated(names::short(&endpoint.task_arn)).to_owned(),
        ]);
    }
    let listing = Listing {
        table,
        names: found.endpoints.iter().map(|e| format!("{}:{}", e.host_ip, e.host_port)).collect(),
        json: output::json(&found),
        items: found.endpoints.iter().map(output::json).collect(),
        none: "no endpoints: no running task publishes a port. next: seawall ps",
    };
    listing.print(&ctx.global)
}
