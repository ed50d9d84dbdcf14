//! What a member shows of the cluster, turned into what the convergence checker reads.

use seawall_proto::v1::{
    ContainerInstance, DescribeContainerInstancesRequest, DescribeServicesRequest, DescribeTasksRequest,
    ListContainerInstancesRequest, ListServicesRequest, ListTasksRequest, Service, Task,
};

use crate::{
    checker::{
        belief::State,
        convergence::{ServiceView, TaskView, View},
    },
    client::{CallError, Clients, call},
};

/// DescribeServices takes this many names.
const SERVICES_PER_CALL: usize = 10;
/// DescribeTasks and DescribeContainerInstances take this many.
const TASKS_PER_CALL: usize = 100;
/// Pages of one listing: far more than the workload makes.
const PAGES_MAX: usize = 50;

/// Those of `names` that exist.
///
/// # Errors
/// The member did not answer.
pub async fn describe_services(clients: &Clients, member: usize, names: &[String]) -> Result<Vec<Service>, CallError> {
    let mut services = Vec::new();
    for some in names.chunks(SERVICES_PER_CALL) {
        let request = DescribeServicesRequest { services: some.to_vec(), ..Default::default() };
        services.extend(call(clients.ecs(member).describe_services(request)).await?.services);
    }
    Ok(services)
}

/// A service as its owner sees it; one that drains is as good as gone.
pub fn state_of(service: Option<&Service>, revisions: &[String]) -> State {
    match service {
        Some(service) if service.status() == "ACTIVE" => {
            let revision = revisions.iter().position(|arn| arn == service.task_definition());
            let revision = revision.map_or(0, |i| i as i32 + 1);
            State::Present { desired: service.desired_count(), revision }
        }
        _ => State::Absent,
    }
}

/// All that `member` shows: the services listed and the `known` ones, the tasks that should run, the instances.
///
/// # Errors
/// It did not answer one of the calls.
pub async fn view_through(clients: &Clients, member: usize, known: &[String]) -> Result<View, CallError> {
    let mut names = known.to_vec();
    for arn in list_services(clients, member).await? {
        let name = arn.rsplit('/').next().unwrap_or_default().to_owned();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let services = describe_services(clients, member, &names).await?.into_iter().map(service_view).collect();
    let mut tasks = Vec::new();
    for some in list_tasks(clients, member).await?.chunks(TASKS_PER_CALL) {
        let request = DescribeTasksRequest { tasks: some.to_vec(), ..Default::default() };
        tasks.extend(call(clients.ecs(member).describe_tasks(request)).await?.tasks.into_iter().map(task_view));
    }
    let listed = call(clients.ecs(member).list_container_instances(ListContainerInstancesRequest::default())).await?;
    let request =
        DescribeContainerInstancesRequest { container_instances: listed.container_instance_arns, ..Default::default() };
    let answer = call(clients.ecs(member).describe_container_instances(request)).await?;
    Ok(View { services, tasks, instances: answer.container_instances.into_iter().map(instance_view).collect() })
}

async fn list_services(clients: &Clients, member: usize) -> Result<Vec<String>, CallError> {
    let mut arns = Vec::new();
    let mut next_token = None;
    for _ in 0..PAGES_MAX {
        let request = ListServicesRequest { next_token, ..Default::default() };
        let page = call(clients.ecs(member).list_services(request)).await?;
        arns.extend(page.service_arns);
        next_token = page.next_token;
        if next_token.is_none() {
            break;
        }
    }
    Ok(arns)
}

async fn list_tasks(clients: &Clients, member: usize) -> Result<Vec<String>, CallError> {
    let mut arns = Vec::new();
    let mut next_token = None;
    for _ in 0..PAGES_MAX {
        let request = ListTasksRequest { next_token, desired_status: Some("RUNNING".into()), ..Default::default() };
        let page = call(clients.ecs(member).list_tasks(request)).await?;
        arns.extend(page.task_arns);
        next_token = page.next_token;
        if next_token.is_none() {
            break;
        }
    }
    Ok(arns)
}

fn service_view(service: Service) -> ServiceView {
    ServiceView {
        name: service.service_name().into(),
        status: service.status().into(),
        desired: service.desired_count(),
        running: service.running_count(),
        pending: service.pending_count(),
        task_definition: service.task_definition().into(),
        deployments: service.deployments.len(),
    }
}

fn task_view(task: Task) -> TaskView {
    TaskView {
        arn: task.task_arn().into(),
        group: task.group().into(),
        last_status: task.last_status().into(),
        task_definition: task.task_definition_arn().into(),
        instance: task.container_instance_arn().into(),
    }
}

fn instance_view(instance: ContainerInstance) -> (String, i32, i32) {
    (instance.container_instance_arn().into(), instance.running_tasks_count(), instance.pending_tasks_count())
}
