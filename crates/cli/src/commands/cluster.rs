//! `seawall cluster …`.

use seawall_proto::v1::{
    Cluster, CreateClusterRequest, DeleteClusterRequest, DescribeCapacityRequest, DescribeCapacityResponse,
    Failure as EcsFailure, Tag,
};

use crate::{
    args::ClusterCommand,
    client::{Again, Connection},
    context::Context,
    failure::Failure,
    names::{self, Kind},
    output::{
        self, Listing,
        table::{Table, column, wide},
    },
};

/// Runs `seawall cluster …`.
pub async fn run(ctx: &Context, command: ClusterCommand) -> Result<(), Failure> {
    match command {
        ClusterCommand::Ls => list(ctx).await,
        ClusterCommand::Show { names } => show(ctx, names).await,
        ClusterCommand::Capacity => capacity(ctx).await,
        ClusterCommand::Create { name, tags } => create(ctx, name, tags).await,
        ClusterCommand::Rm { names } => remove(ctx, names).await,
    }
}

async fn list(ctx: &Context) -> Result<(), Failure> {
    let client = ctx.client().await?;
    let (clusters, failures) = client.clusters(client.cluster_arns().await?).await?;
    listing(&clusters, &failures).print(&ctx.global)
}

async fn show(ctx: &Context, mut given: Vec<String>) -> Result<(), Failure> {
    if given.is_empty() {
        given.push(ctx.cluster(None));
    }
    let client = ctx.client().await?;
    let (clusters, failures) = client.clusters(given).await?;
    if let Some(missing) = failures.first() {
        return Err(unknown(ctx, names::short(missing.arn())).await?);
    }
    listing(&clusters, &failures).print(&ctx.global)
}

async fn unknown(ctx: &Context, name: &str) -> Result<Failure, Failure> {
    let arns = ctx.client().await?.cluster_arns().await?;
    Ok(names::unknown(Kind::Cluster, name, arns.iter().map(|arn| names::short(arn))))
}

fn listing(clusters: &[Cluster], failures: &[EcsFailure]) -> Listing {
    let mut table = Table::new(&[
        column("NAME"),
        column("STATUS"),
        column("INSTANCES"),
        column("SERVICES"),
        column("RUNNING"),
        column("PENDING"),
        wide("ARN"),
    ]);
    for cluster in clusters {
        table.row([
            cluster.cluster_name().to_owned(),
            cluster.status().to_owned(),
            cluster.registered_container_instances_count().to_string(),
            cluster.active_services_count().to_string(),
            cluster.running_tasks_count().to_string(),
            cluster.pending_tasks_count().to_string(),
            cluster.cluster_arn().to_owned(),
        ]);
    }
    Listing {
        table,
        names: clusters.iter().map(|c| c.cluster_name().to_owned()).collect(),
        json: serde_json::json!({ "clusters": clusters, "failures": failures }),
        items: clusters.iter().map(output::json).collect(),
        none: "no clusters. next: seawall cluster create NAME",
    }
}

async fn capacity(ctx: &Context) -> Result<(), Failure> {
    let request = DescribeCapacityRequest { cluster: Some(ctx.cluster(None)) };
    let ask = async |mut c: Connection, r| c.control.describe_capacity(r).await;
    let answer = ctx.client().await?.call(Again::Safe, request, ask).await?;
    providers(&answer).print(&ctx.global)
}

fn providers(answer: &DescribeCapacityResponse) -> Listing {
    let mut table = Table::new(&[
        column("PROVIDER"),
        column("INSTANCES"),
        column("NEEDED"),
        column("WAITING"),
        column("TOO LARGE"),
        column("RESERVATION"),
        column("TARGET"),
    ]);
    for provider in &answer.providers {
        table.row([
            provider.capacity_provider.clone(),
            provider.instances.to_string(),
            provider.needed_instances.to_string(),
            provider.waiting_tasks.to_string(),
            provider.too_large_tasks.to_string(),
            format!("{} %", provider.reservation),
            format!("{} %", provider.target_capacity),
        ]);
    }
    Listing {
        table,
        names: answer.providers.iter().map(|provider| provider.capacity_provider.clone()).collect(),
        json: output::json(answer),
        items: answer.providers.iter().map(output::json).collect(),
        none: "no capacity provider of the cluster has managed scaling",
    }
}

async fn create(ctx: &Context, name: String, tags: Vec<(String, String)>) -> Result<(), Failure> {
    let tags = tags.into_iter().map(|(key, value)| Tag { key: Some(key), value: Some(value) }).collect();
    let request = CreateClusterRequest { cluster_name: Some(name.clone()), tags, ..Default::default() };
    let ask = async |mut c: Connection, r| c.ecs.create_cluster(r).await;
    let Some(made) = ctx.change(Again::Safe, request, ask).await? else { return Ok(()) };
    output::done(&ctx.global, &name, &format!("cluster {name} created"), &made)
}

async fn remove(ctx: &Context, names: Vec<String>) -> Result<(), Failure> {
    let (_, missing) = ctx.client().await?.clusters(names.clone()).await?;
    if let Some(missing) = missing.first() {
        return Err(unknown(ctx, names::short(missing.arn())).await?);
    }
    ctx.confirm(&format!("delete {}", names.join(", ")))?;
    for name in names {
        let request = DeleteClusterRequest { cluster: Some(name.clone()), ..Default::default() };
        let ask = async |mut c: Connection, r| c.ecs.delete_cluster(r).await;
        let Some(gone) = ctx.change(Again::Safe, request, ask).await? else { continue };
        output::done(&ctx.global, &name, &format!("cluster {} deleted", names::short(&name)), &gone)?;
    }
    Ok(())
}
