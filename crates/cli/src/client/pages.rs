//! Lists as a whole, and descriptions of more than one request may name.

use seawall_model::limits::{DESCRIBE_MAX, DESCRIBE_SERVICES_MAX};
use seawall_proto::v1::{
    Cluster, ContainerInstance, DescribeClustersRequest, DescribeContainerInstancesRequest, DescribeJobsRequest,
    DescribeSchedulesRequest, DescribeServicesRequest, DescribeTasksRequest, Failure as EcsFailure, Job,
    ListClustersRequest, ListContainerInstancesRequest, ListHistoryRequest, ListHistoryResponse, ListServicesRequest,
    ListTaskDefinitionsRequest, ListTasksRequest, Schedule, Service, Task,
};

use super::{Again, Client};
use crate::failure::Failure;

/// Pages of one list: beyond them something is wrong with the tokens.
const PAGES_MAX: usize = 10_000;

/// `$client` asks `$operation` for page after page; `$field` of each is gathered.
macro_rules! all_pages {
    ($client:expr, $request:expr, $operation:ident, $field:ident) => {
        all_pages!($client, ecs, $request, $operation, $field)
    };
    ($client:expr, $service:ident, $request:expr, $operation:ident, $field:ident) => {{
        let mut request = $request;
        let mut all = Vec::new();
        for _ in 0..PAGES_MAX {
            let ask = async |mut c: super::Connection, r| c.$service.$operation(r).await;
            let page = $client.call(Again::Safe, request.clone(), ask).await?;
            all.extend(page.$field);
            request.next_token = page.next_token;
            if request.next_token.is_none() {
                return Ok(all);
            }
        }
        Err(Failure::refused(concat!(stringify!($operation), " has no last page")))
    }};
}

impl Client {
    /// ARNs of all clusters.
    pub async fn cluster_arns(&self) -> Result<Vec<String>, Failure> {
        all_pages!(self, ListClustersRequest::default(), list_clusters, cluster_arns)
    }

    /// ARNs of a cluster's services.
    pub async fn service_arns(&self, cluster: &str) -> Result<Vec<String>, Failure> {
        let request = ListServicesRequest { cluster: Some(cluster.to_owned()), ..Default::default() };
        all_pages!(self, request, list_services, service_arns)
    }

    /// ARNs of tasks.
    pub async fn task_arns(&self, request: ListTasksRequest) -> Result<Vec<String>, Failure> {
        all_pages!(self, request, list_tasks, task_arns)
    }

    /// ARNs of a cluster's running and stopped tasks.
    pub async fn all_task_arns(&self, request: ListTasksRequest) -> Result<Vec<String>, Failure> {
        let mut all = Vec::new();
        for status in ["RUNNING", "STOPPED"] {
            all.extend(
                self.task_arns(ListTasksRequest { desired_status: Some(status.into()), ..request.clone() }).await?,
            );
        }
        Ok(all)
    }

    /// All pages of what was. What left the tables meanwhile may be in two of them.
    pub async fn history(&self, request: ListHistoryRequest) -> Result<Vec<ListHistoryResponse>, Failure> {
        let mut request = request;
        let mut all = Vec::new();
        for _ in 0..PAGES_MAX {
            let ask = async |mut c: super::Connection, r| c.control.list_history(r).await;
            let page = self.call(Again::Safe, request.clone(), ask).await?;
            request.next_token = page.next_token.clone();
            all.push(page);
            if request.next_token.is_none() {
                return Ok(all);
            }
        }
        Err(Failure::refused("list_history has no last page").next("--since TIME"))
    }

    /// A cluster's jobs, the newest first; of one schedule where it is named.
    pub async fn jobs(&self, cluster: &str, schedule: Option<String>) -> Result<Vec<Job>, Failure> {
        let request = DescribeJobsRequest { cluster: Some(cluster.to_owned()), schedule, ..Default::default() };
        all_pages!(self, control, request, describe_jobs, jobs)
    }

    /// A cluster's schedules, by name.
    pub async fn schedules(&self, cluster: &str) -> Result<Vec<Schedule>, Failure> {
        let request = DescribeSchedulesRequest { cluster: Some(cluster.to_owned()), ..Default::default() };
        all_pages!(self, control, request, describe_schedules, schedules)
    }

    /// ARNs of a cluster's instances, or of those that fit the filter.
    pub async fn instance_arns(&self, cluster: &str, filter: Option<String>) -> Result<Vec<String>, Failure> {
        let request = ListContainerInstancesRequest { cluster: Some(cluster.to_owned()), filter, ..Default::default() };
        all_pages!(self, request, list_container_instances, container_instance_arns)
    }

    /// ARNs of task definitions.
    pub async fn definition_arns(&self, request: ListTaskDefinitionsRequest) -> Result<Vec<String>, Failure> {
        all_pages!(self, request, list_task_definitions, task_definition_arns)
    }

    /// Clusters, with their tags.
    pub async fn clusters(&self, names: Vec<String>) -> Result<(Vec<Cluster>, Vec<EcsFailure>), Failure> {
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for some in names.chunks(DESCRIBE_MAX) {
            let request = DescribeClustersRequest { clusters: some.to_vec(), include: vec!["TAGS".into()] };
            let ask = async |mut c: super::Connection, r| c.ecs.describe_clusters(r).await;
            let page = self.call(Again::Safe, request, ask).await?;
            found.extend(page.clusters);
            failures.extend(page.failures);
        }
        Ok((found, failures))
    }

    /// Services of a cluster.
    pub async fn services(&self, cluster: &str, names: &[String]) -> Result<(Vec<Service>, Vec<EcsFailure>), Failure> {
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for some in names.chunks(DESCRIBE_SERVICES_MAX) {
            let request = DescribeServicesRequest {
                cluster: Some(cluster.to_owned()),
                services: some.to_vec(),
                include: vec!["TAGS".into()],
            };
            let ask = async |mut c: super::Connection, r| c.ecs.describe_services(r).await;
            let page = self.call(Again::Safe, request, ask).await?;
            found.extend(page.services);
            failures.extend(page.failures);
        }
        Ok((found, failures))
    }

    /// Tasks of a cluster.
    pub async fn tasks(&self, cluster: &str, arns: &[String]) -> Result<(Vec<Task>, Vec<EcsFailure>), Failure> {
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for some in arns.chunks(DESCRIBE_MAX) {
            let request = DescribeTasksRequest {
                cluster: Some(cluster.to_owned()),
                tasks: some.to_vec(),
                include: vec!["TAGS".into()],
            };
            let ask = async |mut c: super::Connection, r| c.ecs.describe_tasks(r).await;
            let page = self.call(Again::Safe, request, ask).await?;
            found.extend(page.tasks);
            failures.extend(page.failures);
        }
        Ok((found, failures))
    }

    /// Instances of a cluster.
    pub async fn instances(
        &self,
        cluster: &str,
        arns: &[String],
    ) -> Result<(Vec<ContainerInstance>, Vec<EcsFailure>), Failure> {
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for some in arns.chunks(DESCRIBE_MAX) {
            let request = DescribeContainerInstancesRequest {
                cluster: Some(cluster.to_owned()),
                container_instances: some.to_vec(),
                include: vec!["TAGS".into()],
            };
            let ask = async |mut c: super::Connection, r| c.ecs.describe_container_instances(r).await;
            let page = self.call(Again::Safe, request, ask).await?;
            found.extend(page.container_instances);
            failures.extend(page.failures);
        }
        Ok((found, failures))
    }
}
