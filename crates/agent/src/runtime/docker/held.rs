//! What the engine holds of an agent's.

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use bollard::{
    models::{ContainerSummary, ContainerSummaryStateEnum as State},
    query_parameters::ListContainersOptions,
};
use futures::{StreamExt, stream};

use super::{
    api::{ANSWER, Api},
    labels::{self, Marks},
    observe,
};
use crate::{
    runtime::{Held, Observed, Phase, RuntimeResult},
    spec::{ContainerSpec, Kept, TaskSpec},
};

/// An engine with thousands of containers is slow to list them.
const LIST: Duration = Duration::from_secs(60);
/// Containers looked at together.
const LOOKS_AT_ONCE: usize = 8;

/// Every container that an agent of `instance` made, of whatever cluster.
pub async fn list(api: &Api, host_ip: Option<IpAddr>, instance: &str) -> RuntimeResult<Vec<Held>> {
    let label = format!("{}={instance}", labels::INSTANCE_ID);
    let filters = HashMap::from([("label".to_owned(), vec![label])]);
    let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
    let found = api.ask("list its containers", LIST, api.docker.list_containers(Some(options))).await?;
    let ours: Vec<Listed> =
        found.iter().filter_map(listed).filter(|one| one.marks.owner.instance == instance).collect();
    let looks: Vec<_> = ours.into_iter().map(|one| look_at(api, host_ip, one)).collect();
    let looked: Vec<Option<Held>> = stream::iter(looks).buffer_unordered(LOOKS_AT_ONCE).collect().await;
    Ok(looked.into_iter().flatten().collect())
}

/// One container; `None` where it is not on the engine, or is a stranger's of the same name.
pub async fn inspect(api: &Api, host_ip: Option<IpAddr>, container: &ContainerSpec) -> RuntimeResult<Option<Observed>> {
    let name = container.runtime_name();
    let found = match api.ask("show a container", ANSWER, api.docker.inspect_container(&name, None)).await {
        Ok(found) => found,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let labels = found.config.as_ref().and_then(|config| config.labels.as_ref());
    let is_ours = labels.and_then(Marks::read) == Some(Marks::of(container));
    Ok(is_ours.then(|| observe::observed(container, host_ip, &found)))
}

/// What the list tells of one.
struct Listed {
    marks: Marks,
    kept: Kept,
    observed: Observed,
}

fn listed(found: &ContainerSummary) -> Option<Listed> {
    let labels = found.labels.as_ref()?;
    let whole = Marks::read(labels).zip(labels::kept(labels));
    if whole.is_none() {
        tracing::warn!(id = found.id, "a container of this instance has damaged labels: it is left alone");
    }
    let (marks, kept) = whole?;
    let phase = match found.state {
        Some(State::CREATED) => Phase::Created,
        Some(State::EXITED | State::DEAD | State::REMOVING) => Phase::Exited,
        _ => Phase::Running,
    };
    let runtime_id = found.id.clone().unwrap_or_default();
    Some(Listed { marks, kept, observed: Observed { phase, runtime_id, ..Default::default() } })
}

/// `None` where it has gone meanwhile. One that the engine cannot describe must not keep the others from being taken up: it
/// is as far as the list says.
async fn look_at(api: &Api, host_ip: Option<IpAddr>, one: Listed) -> Option<Held> {
    let Listed { marks, kept, observed } = one;
    let task = Arc::new(TaskSpec::new(marks.owner.clone(), kept.clone()));
    if marks.index >= task.containers.len() || task.id != marks.task {
        tracing::warn!(task = %marks.task, "the labels of a container contradict each other: it is left alone");
        return None;
    }
    let seen = inspect(api, host_ip, &ContainerSpec { task, index: marks.index }).await.unwrap_or_else(|error| {
        tracing::warn!(task = %marks.task, %error, "the engine does not describe a container that it lists");
        Some(observed)
    });
    seen.map(|observed| Held { owner: marks.owner, kept, index: marks.index, observed })
}
