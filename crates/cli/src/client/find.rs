//! From what people type to what the cluster knows.

use seawall_proto::v1::{ContainerInstance, ListTasksRequest, Service, Task};

use super::Client;
use crate::{
    context::Context,
    failure::Failure,
    names::{self, Kind},
};

/// Length of an id that is whole.
const ID_CHARS: usize = 32;
/// The attribute that says where an instance stands.
pub const ZONE_ATTRIBUTE: &str = "ecs.availability-zone";

/// A resource with the cluster that it stands in.
pub struct Found<T> {
    /// Its cluster.
    pub cluster: String,
    /// As it is now.
    pub it: T,
}

/// The service called `text`.
pub async fn service(ctx: &Context, text: &str) -> Result<Found<Service>, Failure> {
    match service_if_any(ctx, text).await? {
        Ok(found) => Ok(found),
        Err(missing) => Err(missing),
    }
}

/// The service called `text`; the inner error says that there is none.
pub async fn service_if_any(ctx: &Context, text: &str) -> Result<Result<Found<Service>, Failure>, Failure> {
    let named = names::parse(Kind::Service, text)?;
    let cluster = ctx.cluster(named.cluster.as_deref());
    let client = ctx.client().await?;
    let (mut found, _) = client.services(&cluster, &[named.sent()]).await?;
    match found.pop() {
        Some(it) => Ok(Ok(Found { cluster, it })),
        None => {
            let arns = client.service_arns(&cluster).await?;
            Ok(Err(names::unknown(Kind::Service, &named.id, arns.iter().map(|arn| names::short(arn)))))
        }
    }
}

/// The task called `text`.
pub async fn task(ctx: &Context, text: &str) -> Result<Found<Task>, Failure> {
    let named = names::parse(Kind::Task, text)?;
    let cluster = ctx.cluster(named.cluster.as_deref());
    let client = ctx.client().await?;
    let sent = match named.id.len() {
        ID_CHARS => named.sent(),
        _ => task_beginning(client, &cluster, &named.id).await?,
    };
    let (mut found, _) = client.tasks(&cluster, &[sent]).await?;
    match found.pop() {
        Some(it) => Ok(Found { cluster, it }),
        None => Err(task_beginning(client, &cluster, &named.id).await.err().unwrap_or_else(|| gone(Kind::Task, text))),
    }
}

async fn task_beginning(client: &Client, cluster: &str, text: &str) -> Result<String, Failure> {
    let request = ListTasksRequest { cluster: Some(cluster.to_owned()), ..Default::default() };
    let arns = client.all_task_arns(request).await?;
    let ids: Vec<String> = arns.iter().map(|arn| names::short(arn).to_owned()).collect();
    names::pick(Kind::Task, text, &ids).cloned()
}

/// The instance called `text`: by ec2InstanceId, id, beginning of an id, or ARN.
pub async fn instance(ctx: &Context, text: &str) -> Result<Found<ContainerInstance>, Failure> {
    let named = names::parse(Kind::Instance, text)?;
    let cluster = ctx.cluster(named.cluster.as_deref());
    let client = ctx.client().await?;
    let arns = client.instance_arns(&cluster, None).await?;
    let (mut found, _) = client.instances(&cluster, &arns).await?;
    if let Some(at) = found.iter().position(|i| i.ec2_instance_id.as_deref() == Some(&named.id)) {
        return Ok(Found { cluster, it: found.swap_remove(at) });
    }
    let ids: Vec<String> = found.iter().map(|i| names::short(i.container_instance_arn()).to_owned()).collect();
    let picked = names::pick(Kind::Instance, &named.id, &ids).map_err(|failure| match ids.contains(&named.id) {
        true => failure,
        false => {
            let named_so = found.iter().map(ContainerInstance::ec2_instance_id).filter(|id| !id.is_empty());
            names::unknown(Kind::Instance, &named.id, named_so)
        }
    })?;
    let at = ids.iter().position(|id| id == picked).ok_or_else(|| gone(Kind::Instance, text))?;
    Ok(Found { cluster, it: found.swap_remove(at) })
}

fn gone(kind: Kind, text: &str) -> Failure {
    Failure::refused(format!("{} {text:?} is gone", kind.word())).next(kind.list_command())
}

/// Where an instance stands.
pub fn zone(instance: &ContainerInstance) -> String {
    let found = instance.attributes.iter().find(|a| a.name() == ZONE_ATTRIBUTE);
    found.map(|a| a.value().to_owned()).unwrap_or_default()
}
