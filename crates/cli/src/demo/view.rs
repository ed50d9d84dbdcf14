//! What the cluster says of the demo's service, and waiting until it says what it should.

use std::{collections::BTreeMap, time::Duration};

use seawall_env::Env;
use seawall_proto::v1::{
    CreateServiceRequest, DeleteServiceRequest, Endpoint, GetStatusResponse, ListEndpointsRequest, ListTasksRequest,
    RegisterTaskDefinitionRequest, Service, Task, TaskDefinition, UpdateServiceRequest,
};

use crate::{
    client::{Again, Connection},
    commands::taskdef,
    context::Context,
    dev::ready,
    failure::{Exit, Failure},
};

/// The demo's service, and its task definitions' family.
pub const SERVICE: &str = "web";
/// The longest wait for anything: several times of what it takes on a slow machine.
pub const WAIT_MAX: Duration = Duration::from_secs(60);
/// Longest wait for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// The cluster through some of its members.
pub struct View {
    ctx: Context,
}

impl View {
    /// Asks these members alone.
    pub fn new(ctx: &Context, endpoints: &[String]) -> Self {
        View { ctx: ready::context_of(ctx, endpoints, ANSWER_MAX) }
    }

    /// The machine.
    pub fn env(&self) -> &Env {
        &self.ctx.env
    }

    fn cluster(&self) -> Option<String> {
        Some(self.ctx.cluster(None))
    }

    /// The cluster at a glance.
    pub async fn status(&self) -> Result<GetStatusResponse, Failure> {
        ready::status(&self.ctx).await
    }

    /// The ARN of the cluster that all this is in.
    pub async fn cluster_arn(&self) -> Result<String, Failure> {
        let arns = self.ctx.client().await?.cluster_arns().await?;
        arns.into_iter().next().ok_or_else(|| Failure::refused("there is no cluster"))
    }

    /// Registers a task definition.
    pub async fn register(&self, request: RegisterTaskDefinitionRequest) -> Result<TaskDefinition, Failure> {
        taskdef::register(&self.ctx, request).await.map(Option::unwrap_or_default)
    }

    /// Creates the service.
    pub async fn create(&self, mut request: CreateServiceRequest) -> Result<(), Failure> {
        request.cluster = self.cluster();
        let ask = async |mut c: Connection, r| c.ecs.create_service(r).await;
        self.ctx.client().await?.call(Again::Safe, request, ask).await.map(|_| ())
    }

    /// Changes the service.
    pub async fn update(&self, mut request: UpdateServiceRequest) -> Result<(), Failure> {
        request.cluster = self.cluster();
        request.service = Some(SERVICE.to_owned());
        let ask = async |mut c: Connection, r| c.ecs.update_service(r).await;
        self.ctx.client().await?.call(Again::Safe, request, ask).await.map(|_| ())
    }

    /// Deletes the service.
    pub async fn delete(&self) -> Result<(), Failure> {
        let request = DeleteServiceRequest {
            cluster: self.cluster(),
            service: Some(SERVICE.to_owned()),
            force: Some(true),
            ..Default::default()
        };
        let ask = async |mut c: Connection, r| c.ecs.delete_service(r).await;
        self.ctx.client().await?.call(Again::Safe, request, ask).await.map(|_| ())
    }

    /// The service as it is.
    pub async fn service(&self) -> Result<Service, Failure> {
        let (found, _) = self.ctx.client().await?.services(&self.ctx.cluster(None), &[SERVICE.to_owned()]).await?;
        found.into_iter().next().ok_or_else(|| Failure::refused(format!("there is no service {SERVICE}")))
    }

    /// The tasks that should run, those of a lost zone that were replaced left out.
    pub async fn tasks(&self) -> Result<Vec<Task>, Failure> {
        let request =
            ListTasksRequest { cluster: self.cluster(), service_name: Some(SERVICE.to_owned()), ..Default::default() };
        let client = self.ctx.client().await?;
        let arns = client.task_arns(request).await?;
        Ok(client.tasks(&self.ctx.cluster(None), &arns).await?.0)
    }

    /// These tasks as they are now.
    pub async fn these(&self, tasks: &[Task]) -> Result<Vec<Task>, Failure> {
        let arns: Vec<String> = tasks.iter().map(|task| task.task_arn().to_owned()).collect();
        Ok(self.ctx.client().await?.tasks(&self.ctx.cluster(None), &arns).await?.0)
    }

    /// Where the tasks can be reached now: not those that are lost or being stopped.
    pub async fn endpoints(&self) -> Result<Vec<Endpoint>, Failure> {
        let request = ListEndpointsRequest { cluster: self.cluster(), service: SERVICE.to_owned() };
        let ask = async |mut c: Connection, r| c.control.list_endpoints(r).await;
        let found = self.ctx.client().await?.call(Again::Safe, request, ask).await?.endpoints;
        Ok(found.into_iter().filter(|endpoint| endpoint.ready).collect())
    }

    /// Waits until `count` tasks run, none of them in `lost`; how many in each zone.
    pub async fn running(&self, count: usize, lost: Option<&str>) -> Result<Zones, Failure> {
        self.until(async || {
            let running: Vec<Task> = self.tasks().await?.into_iter().filter(is_running).collect();
            let there = running.iter().filter(|task| Some(task.availability_zone()) != lost).count();
            Ok(match there {
                there if there == count && there == running.len() => Ok(Zones::of(&running)),
                there => Err(format!("{there} of {count} tasks run")),
            })
        })
        .await
    }

    /// How many tasks run in each zone now.
    pub async fn zones(&self) -> Result<Zones, Failure> {
        let running: Vec<Task> = self.tasks().await?.into_iter().filter(is_running).collect();
        Ok(Zones::of(&running))
    }

    /// Waits until one deployment is left and all of its tasks run.
    pub async fn stable(&self) -> Result<Service, Failure> {
        self.until(async || {
            let service = self.service().await?;
            let (running, desired) = (service.running_count(), service.desired_count());
            let deployments = service.deployments.len();
            Ok(match deployments == 1 && running == desired {
                true => Ok(service),
                false => Err(format!("{running} of {desired} tasks run in {deployments} deployments")),
            })
        })
        .await
    }

    /// Looks until it is so. Nobody answering, or leading, is a part of losing a zone: it is waited out.
    pub async fn until<T>(
        &self,
        mut look: impl AsyncFnMut() -> Result<Result<T, String>, Failure>,
    ) -> Result<T, Failure> {
        let deadline = self.env().now() + WAIT_MAX;
        loop {
            let stands = match look().await {
                Ok(Ok(found)) => return Ok(found),
                Ok(Err(stands)) => stands,
                Err(failure) if failure.exit == Exit::NoConnection => failure.what,
                Err(failure) => return Err(failure),
            };
            if self.env().now() >= deadline {
                return Err(Failure::refused(format!("{stands} after {} s", WAIT_MAX.as_secs())));
            }
            self.env().sleep(LOOK_EVERY).await;
        }
    }
}

/// A task counts once it runs and should.
pub fn is_running(task: &Task) -> bool {
    task.last_status() == "RUNNING" && task.desired_status() == "RUNNING"
}

/// How many tasks are in each zone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Zones(BTreeMap<String, usize>);

impl Zones {
    fn of(tasks: &[Task]) -> Self {
        let mut zones = BTreeMap::new();
        for task in tasks {
            *zones.entry(task.availability_zone().to_owned()).or_default() += 1;
        }
        Zones(zones)
    }

    /// Whether a zone has a task.
    pub fn holds(&self, zone: &str) -> bool {
        self.0.contains_key(zone)
    }

    /// In how many zones there are tasks.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether no zone has more than one task more than another of these.
    pub fn is_even(&self) -> bool {
        let (most, fewest) = (self.0.values().max(), self.0.values().min());
        most.zip(fewest).is_none_or(|(most, fewest)| most - fewest <= 1)
    }
}

impl std::fmt::Display for Zones {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let each: Vec<String> = self.0.iter().map(|(zone, count)| format!("{count} in {zone}")).collect();
        f.write_str(&each.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_even_up_to_one_task() {
        let zones = |zones: &[&str]| {
            let task = |zone: &&str| Task { availability_zone: Some((*zone).into()), ..Default::default() };
            Zones::of(&zones.iter().map(task).collect::<Vec<_>>())
        };
        assert!(zones(&["a", "b", "a", "b", "c"]).is_even());
        assert!(!zones(&["a", "a", "a", "b"]).is_even());
        assert_eq!(zones(&["b", "a", "a"]).to_string(), "2 in a, 1 in b");
        assert_eq!(zones(&["b", "a", "a"]).count(), 2);
    }
}
