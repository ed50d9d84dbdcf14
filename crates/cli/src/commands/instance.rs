//! `seawall instance …`: the machines that run tasks.

use std::time::Duration;

use seawall_proto::v1::{
    Attribute, ContainerInstance, DeleteAttributesRequest, DeregisterContainerInstanceRequest, Failure as EcsFailure,
    PutAttributesRequest, ReclaimInstanceRequest, ReplaceLostRequest, Resource, StringListValue,
    UpdateContainerInstancesStateRequest,
};

use crate::{
    args::InstanceCommand,
    client::{
        Again, Connection,
        find::{self, Found},
    },
    context::Context,
    failure::{Exit, Failure},
    names,
    output::{
        self, Listing,
        table::{Table, column, wide},
    },
};

use super::{
    changes::Changes,
    wait::{self, Outlook},
};

const NONE: &str = "no instances. next: seawall token create, then seawall agent --token … on a machine";
const NONE_FITS: &str = "no instance fits the filter. next: seawall instance ls";

/// Runs `seawall instance …`.
pub async fn run(ctx: &Context, command: InstanceCommand) -> Result<(), Failure> {
    match command {
        InstanceCommand::Ls { filter } => list(ctx, filter).await,
        InstanceCommand::Show { names } => show(ctx, &names).await,
        InstanceCommand::Drain { names } => set_state(ctx, &names, "DRAINING").await,
        InstanceCommand::Activate { names } => set_state(ctx, &names, "ACTIVE").await,
        InstanceCommand::Reclaim { names, notice } => reclaim(ctx, &names, notice).await,
        InstanceCommand::Rm { names, force } => remove(ctx, &names, force).await,
        InstanceCommand::Attr { name, changes } => attributes(ctx, &name, &changes).await,
        InstanceCommand::ReplaceLost => replace_lost(ctx).await,
    }
}

async fn replace_lost(ctx: &Context) -> Result<(), Failure> {
    let ask = async |mut c: Connection, r| c.control.replace_lost(r).await;
    let Some(done) = ctx.change(Again::Never, ReplaceLostRequest {}, ask).await? else { return Ok(()) };
    output::done(&ctx.global, &done.held, "tasks of lost instances are replaced from now on", &done)
}

async fn list(ctx: &Context, filter: Option<String>) -> Result<(), Failure> {
    let client = ctx.client().await?;
    let cluster = ctx.cluster(None);
    let none = if filter.is_some() { NONE_FITS } else { NONE };
    let arns = client.instance_arns(&cluster, filter).await?;
    let (mut instances, failures) = client.instances(&cluster, &arns).await?;
    instances.sort_by_key(|i| (find::zone(i), i.ec2_instance_id().to_owned()));
    Listing { none, ..listing(&instances, &failures) }.print(&ctx.global)
}

async fn show(ctx: &Context, names: &[String]) -> Result<(), Failure> {
    let found: Vec<ContainerInstance> = all(ctx, names).await?.into_iter().map(|found| found.it).collect();
    listing(&found, &[]).print(&ctx.global)
}

async fn all(ctx: &Context, names: &[String]) -> Result<Vec<Found<ContainerInstance>>, Failure> {
    let mut found = Vec::new();
    for name in names {
        found.push(find::instance(ctx, name).await?);
    }
    Ok(found)
}

fn resource(resources: &[Resource], name: &str) -> i32 {
    resources.iter().find(|r| r.name() == name).map_or(0, Resource::integer_value)
}

fn listing(instances: &[ContainerInstance], failures: &[EcsFailure]) -> Listing {
    let mut table = Table::new(&[
        column("INSTANCE"),
        column("ZONE"),
        column("STATUS"),
        column("AGENT"),
        column("RUNNING"),
        column("PENDING"),
        column("CPU FREE"),
        column("MEMORY FREE"),
        wide("VERSION"),
        wide("ARN"),
        column("ID"),
    ]);
    for instance in instances {
        let (free, whole) = (&instance.remaining_resources, &instance.registered_resources);
        let arn = instance.container_instance_arn();
        table.row([
            instance.ec2_instance_id().to_owned(),
            find::zone(instance),
            instance.status().to_owned(),
            if instance.agent_connected() { "connected".to_owned() } else { "silent".to_owned() },
            instance.running_tasks_count().to_string(),
            instance.pending_tasks_count().to_string(),
            format!("{} of {}", resource(free, "CPU"), resource(whole, "CPU")),
            format!("{} of {}", resource(free, "MEMORY"), resource(whole, "MEMORY")),
            instance.version_info.as_ref().map(|v| v.agent_version().to_owned()).unwrap_or_default(),
            arn.to_owned(),
            names::abbreviated(names::short(arn)).to_owned(),
        ]);
    }
    Listing {
        table,
        names: instances.iter().map(|i| i.ec2_instance_id().to_owned()).collect(),
        json: serde_json::json!({ "containerInstances": instances, "failures": failures }),
        items: instances.iter().map(output::json).collect(),
        none: NONE,
    }
}

async fn set_state(ctx: &Context, names: &[String], status: &str) -> Result<(), Failure> {
    let found = all(ctx, names).await?;
    let mut refused = Vec::new();
    for Found { cluster, it } in &found {
        let request = UpdateContainerInstancesStateRequest {
            cluster: Some(cluster.clone()),
            container_instances: Some(StringListValue { items: vec![it.container_instance_arn().to_owned()] }),
            status: Some(status.to_owned()),
            ..Default::default()
        };
        let ask = async |mut c: Connection, r| c.ecs.update_container_instances_state(r).await;
        let Some(answer) = ctx.change(Again::Safe, request, ask).await? else { continue };
        match answer.failures.first() {
            Some(failure) => refused.push(format!("{}: {}", it.ec2_instance_id(), failure.reason())),
            None => {
                let sentence = format!("instance {} is {status}", it.ec2_instance_id());
                output::done(&ctx.global, it.ec2_instance_id(), &sentence, &answer)?;
            }
        }
    }
    partly(found.len(), &refused)?;
    if status == "DRAINING" && ctx.waits() {
        return drained(ctx, &found).await;
    }
    Ok(())
}

fn partly(asked: usize, refused: &[String]) -> Result<(), Failure> {
    match refused.len() {
        0 => Ok(()),
        count if count == asked => Err(Failure::refused(refused.join("; "))),
        _ => Err(Failure::new(Exit::Partly, refused.join("; "))),
    }
}

/// Waits until no service task is left. Tasks that no service owns stay: ECS leaves them too.
async fn drained(ctx: &Context, found: &[Found<ContainerInstance>]) -> Result<(), Failure> {
    wait::until(ctx, async || {
        let mut left = 0;
        for Found { cluster, it } in found {
            left += service_tasks(ctx, cluster, it.container_instance_arn()).await?;
        }
        Ok(match left {
            0 => Outlook::Done,
            left => Outlook::Waiting(format!("service tasks left: {left}")),
        })
    })
    .await
}

async fn reclaim(ctx: &Context, names: &[String], notice: Duration) -> Result<(), Failure> {
    let found = all(ctx, names).await?;
    // Past any notice there is, the cluster says what the longest is.
    let notice_seconds = u32::try_from(notice.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
    for Found { cluster, it } in &found {
        let request = ReclaimInstanceRequest {
            cluster: Some(cluster.clone()),
            container_instance: it.container_instance_arn().to_owned(),
            notice_seconds: Some(notice_seconds),
        };
        let ask = async |mut c: Connection, r| c.control.reclaim_instance(r).await;
        let Some(answer) = ctx.change(Again::Safe, request, ask).await? else { continue };
        let sentence = format!("instance {} goes in {notice_seconds} s; it is DRAINING", it.ec2_instance_id());
        output::done(&ctx.global, it.ec2_instance_id(), &sentence, &answer)?;
    }
    Ok(())
}

async fn service_tasks(ctx: &Context, cluster: &str, instance: &str) -> Result<usize, Failure> {
    let client = ctx.client().await?;
    let request = seawall_proto::v1::ListTasksRequest {
        cluster: Some(cluster.to_owned()),
        container_instance: Some(instance.to_owned()),
        ..Default::default()
    };
    let arns = client.task_arns(request).await?;
    let (tasks, _) = client.tasks(cluster, &arns).await?;
    Ok(tasks.iter().filter(|task| task.group().starts_with("service:")).count())
}

async fn remove(ctx: &Context, names: &[String], force: bool) -> Result<(), Failure> {
    let found = all(ctx, names).await?;
    ctx.confirm(&format!("deregister {}", names.join(", ")))?;
    for Found { cluster, it } in found {
        let request = DeregisterContainerInstanceRequest {
            cluster: Some(cluster),
            container_instance: it.container_instance_arn.clone(),
            force: Some(force),
            ..Default::default()
        };
        let ask = async |mut c: Connection, r| c.ecs.deregister_container_instance(r).await;
        let gone = ctx.change(Again::Safe, request, ask).await.map_err(|failure| match failure.exit {
            Exit::Refused if !force => {
                failure.next(format!("seawall instance drain {}; or --force", it.ec2_instance_id()))
            }
            _ => failure,
        })?;
        let Some(gone) = gone else { continue };
        let sentence = format!("instance {} deregistered", it.ec2_instance_id());
        output::done(&ctx.global, it.ec2_instance_id(), &sentence, &gone)?;
    }
    Ok(())
}

async fn attributes(ctx: &Context, name: &str, changes: &[String]) -> Result<(), Failure> {
    let Changes { set, removed } = Changes::parse(changes)?;
    let Found { cluster, it } = find::instance(ctx, name).await?;
    let attribute = |name: &str, value: Option<&String>| Attribute {
        name: Some(name.to_owned()),
        value: value.cloned(),
        target_id: it.container_instance_arn.clone(),
        ..Default::default()
    };
    let put: Vec<_> = set.iter().map(|(name, value)| attribute(name, Some(value))).collect();
    let removed: Vec<_> = removed.iter().map(|name| attribute(name, None)).collect();
    if !put.is_empty() {
        let request = PutAttributesRequest { cluster: Some(cluster.clone()), attributes: put, ..Default::default() };
        ctx.change(Again::Safe, request, async |mut c: Connection, r| c.ecs.put_attributes(r).await).await?;
    }
    if !removed.is_empty() {
        let request = DeleteAttributesRequest { cluster: Some(cluster), attributes: removed, ..Default::default() };
        ctx.change(Again::Safe, request, async |mut c: Connection, r| c.ecs.delete_attributes(r).await).await?;
    }
    if ctx.global.dry_run {
        return Ok(());
    }
    output::say(&format!("instance {} has its attributes", it.ec2_instance_id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_refusals_are_partly_done() {
        assert_eq!(partly(2, &[]), Ok(()));
        assert_eq!(partly(2, &["a: MISSING".into()]).unwrap_err().exit, Exit::Partly);
        assert_eq!(partly(1, &["a: MISSING".into()]).unwrap_err().exit, Exit::Refused);
    }
}
