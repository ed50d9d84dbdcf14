//! What clients ask, through any member.

use std::time::Duration;

use prost::Message;
use seawall_model::ClusterId;
use seawall_proto::{
    internal::v1::{ServiceRow, TaskRow},
    v1::{
        ContainerDefinition, CreateServiceRequest, CreateServiceResponse, DeploymentConfiguration,
        DescribeServicesRequest, DescribeServicesResponse, GetStatusRequest, GetStatusResponse, KeyValuePair,
        RegisterTaskDefinitionRequest, RegisterTaskDefinitionResponse, Service, UpdateServiceRequest,
        UpdateServiceResponse,
    },
};
use seawall_server::simulated::{self, CallError, Options};

use super::{TASK_CPU, TASK_MEMORY_MIB, World};

/// The cluster that everything is in.
pub const CLUSTER: &str = "default";
/// Longer than any call's own deadline.
const CALL: Duration = Duration::from_secs(60);

/// A task definition with one container, whose variables say how it behaves (`FAKE_RUN_MS`, …).
pub fn definition(family: &str, variables: &[(&str, &str)]) -> RegisterTaskDefinitionRequest {
    let variable = |(name, value): &(&str, &str)| KeyValuePair {
        name: Some((*name).to_owned()),
        value: Some((*value).to_owned()),
    };
    RegisterTaskDefinitionRequest {
        family: Some(family.to_owned()),
        container_definitions: vec![ContainerDefinition {
            name: Some("main".into()),
            image: Some("image".into()),
            cpu: Some(TASK_CPU),
            memory: Some(TASK_MEMORY_MIB),
            essential: Some(true),
            environment: variables.iter().map(variable).collect(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// A service that may roll out one task at a time.
pub fn service(name: &str, family: &str, count: i32) -> CreateServiceRequest {
    CreateServiceRequest {
        service_name: Some(name.to_owned()),
        task_definition: Some(family.to_owned()),
        desired_count: Some(count),
        deployment_configuration: Some(DeploymentConfiguration {
            minimum_healthy_percent: Some(50),
            maximum_percent: Some(150),
            ..Default::default()
        }),
        ..Default::default()
    }
}

impl World {
    /// Calls an operation of one member.
    ///
    /// # Errors
    /// What the member said, or that it was not reached.
    pub fn call<A: Message + Default + 'static>(
        &self,
        member: &str,
        operation: &'static str,
        request: &(impl Message + Clone + 'static),
    ) -> Result<A, CallError> {
        self.call_with(member, operation, request, Options::default())
    }

    /// The same with a deadline, or stale.
    ///
    /// # Errors
    /// As of [`World::call`].
    pub fn call_with<A: Message + Default + 'static>(
        &self,
        member: &str,
        operation: &'static str,
        request: &(impl Message + Clone + 'static),
        options: Options,
    ) -> Result<A, CallError> {
        let (env, address, request) = (self.client().clone(), self.member(member).client_address(), request.clone());
        self.run(CALL, async move { simulated::call(&env, &address, operation, &request, options).await })
    }

    /// Calls an operation that must succeed, of a member that serves, again and again as a client library does.
    pub fn must<A: Message + Default + 'static>(
        &self,
        operation: &'static str,
        request: &(impl Message + Clone + 'static),
    ) -> A {
        let tried = std::cell::Cell::new(0);
        self.wait_for(operation, CALL, |world| {
            let serves = world.members().iter().filter(|(_, node)| node.member().is_some());
            let serves: Vec<&String> = serves.map(|(name, _)| name).collect();
            // Another one each time: the first may be cut off.
            tried.set(tried.get() + 1);
            let member = serves.get(tried.get() % serves.len().max(1)).ok_or("no member serves")?;
            world.call(member, operation, request).map_err(|error| error.to_string())
        })
    }

    /// Registers a definition; its family and revision.
    pub fn register(&self, family: &str, variables: &[(&str, &str)]) -> String {
        let response: RegisterTaskDefinitionResponse =
            self.must("RegisterTaskDefinition", &definition(family, variables));
        let made = response.task_definition.unwrap_or_default();
        format!("{}:{}", made.family(), made.revision())
    }

    /// Creates a service and waits until all its tasks run.
    pub fn create_service(&self, name: &str, family: &str, count: i32) {
        let _: CreateServiceResponse = self.must("CreateService", &service(name, family, count));
        self.wait_running(name, count);
    }

    /// Changes a service.
    pub fn update_service(&self, name: &str, change: UpdateServiceRequest) -> Service {
        let request = UpdateServiceRequest { service: Some(name.to_owned()), ..change };
        let response: UpdateServiceResponse = self.must("UpdateService", &request);
        response.service.unwrap_or_default()
    }

    /// Waits until so many tasks of a service run.
    pub fn wait_running(&self, name: &str, count: i32) {
        self.wait_for("the service's tasks to run", super::SOON, |world| {
            let running = world.running(name);
            (running == count as usize).then_some(()).ok_or_else(|| format!("{running} of {count} run"))
        });
    }

    /// A service as a member shows it.
    pub fn describe_service(&self, name: &str) -> Service {
        let request = DescribeServicesRequest { services: vec![name.to_owned()], ..Default::default() };
        let response: DescribeServicesResponse = self.must("DescribeServices", &request);
        response.services.into_iter().next().unwrap_or_default()
    }

    /// The cluster's status, by the leader.
    pub fn status(&self) -> GetStatusResponse {
        let leader = self.wait_leader();
        match self.call(&leader, "GetStatus", &GetStatusRequest::default()) {
            Ok(status) => status,
            Err(error) => self.fail(&format!("no status: {error}")),
        }
    }

    /// A service's row in the newest state.
    pub fn service_row(&self, name: &str) -> Option<ServiceRow> {
        let state = self.state();
        let cluster = state.cluster_by_name(0, CLUSTER)?;
        state.service_by_name(ClusterId(cluster.id), name).map(|row| ServiceRow::clone(row))
    }

    /// A service's tasks that are not known to have stopped, in the newest state.
    pub fn tasks(&self, name: &str) -> Vec<TaskRow> {
        let state = self.state();
        let Some(row) = self.service_row(name) else { return Vec::new() };
        state.live_tasks_of_service(seawall_model::ServiceId(row.id)).map(|task| TaskRow::clone(task)).collect()
    }

    /// How many tasks of a service run where they can be reached, and should.
    pub fn running(&self, name: &str) -> usize {
        let runs = |task: &&TaskRow| {
            task.last_status() == seawall_proto::internal::v1::TaskStatus::Running
                && task.desired_running
                && task.unreachable_since_ms == 0
        };
        self.tasks(name).iter().filter(runs).count()
    }
}
