//! Reads. Each finds its rows by an index, never by a scan.

use std::{ops::Bound, sync::Arc};

use imbl::ordmap::DiffItem;
use seawall_model::{
    ArnScope, ClusterId, DeploymentId, Id128, InstanceId, JobId, ScheduleId, ServiceId, TaskDefinitionId, TaskId,
};
use seawall_proto::internal::v1::{
    ClusterRow, InstanceRow, JobRow, ScheduleRow, ServiceDeploymentRow, ServiceRevisionRow, ServiceRow,
    TaskDefinitionRow, TaskRow,
};

use crate::{
    ClusterCounts, Counts, PREDEFINED_CAPACITY_PROVIDERS, State, Usage,
    index::counts_of,
    tally::{SpreadKey, Tally},
};

const LAST: TaskId = Id128(u128::MAX);
const SERVICE_GROUP: &str = "service:";
const JOB_GROUP: &str = "job:";

impl State {
    /// Region and account of every ARN.
    pub fn arns(&self) -> ArnScope {
        ArnScope { region: self.meta.region.clone(), account: self.meta.account.clone() }
    }

    /// The cluster of that name that was made last.
    pub fn cluster_by_name(&self, account: u32, name: &str) -> Option<&Arc<ClusterRow>> {
        let id = self.index.cluster_names.get(&(account, name.to_owned()))?;
        self.clusters.get(id)
    }

    /// Instances of a cluster, by id.
    pub fn instances_of(&self, cluster: ClusterId) -> impl Iterator<Item = &Arc<InstanceRow>> {
        let range = (cluster, InstanceId(0))..=(cluster, InstanceId(u64::MAX));
        self.index.instances_by_cluster.range(range).filter_map(|(_, id)| self.instances.get(id))
    }

    /// Whether an instance of the cluster has joined the capacity provider, connected or not.
    pub fn has_instances_of_provider(&self, cluster: ClusterId, provider: &str) -> bool {
        self.index.provider_instances.contains_key(&(cluster, provider.to_owned()))
    }

    /// Instances of a cluster that serve FARGATE and FARGATE_SPOT.
    pub fn fargate_instances(&self, cluster: ClusterId) -> u32 {
        let of = |name: &str| self.index.provider_instances.get(&(cluster, name.to_owned())).copied().unwrap_or(0);
        PREDEFINED_CAPACITY_PROVIDERS.into_iter().map(of).sum()
    }

    /// Instances whose row, or what their tasks take of them, is not as it was `before`; one may come twice. Costs what changed.
    pub fn instances_changed_since<'a>(&'a self, before: &'a State) -> impl Iterator<Item = InstanceId> {
        let used = before.index.usage.diff(&self.index.usage).map(|item| match item {
            DiffItem::Add(id, _) | DiffItem::Remove(id, _) | DiffItem::Update { new: (id, _), .. } => *id,
        });
        self.instances.changed_since(&before.instances).copied().chain(used)
    }

    /// Services whose row, or how many wanted tasks they have on some instance, is not what it was `before`. Some more than once.
    /// Costs what changed.
    pub fn services_changed_since<'a>(&'a self, before: &'a State) -> impl Iterator<Item = ServiceId> {
        let spread = before.index.spread.diff(&self.index.spread).map(|item| match item {
            DiffItem::Add(key, _) | DiffItem::Remove(key, _) | DiffItem::Update { new: (key, _), .. } => key,
        });
        let of_services = spread.filter_map(|(key, _)| match key {
            SpreadKey::Service(id) => Some(*id),
            SpreadKey::Group(..) => None,
        });
        self.services.changed_since(&before.services).copied().chain(of_services)
    }

    /// Puts an instance that is only supposed to be there, for a plan on what might be. Never on the state that is applied to.
    pub fn suppose_instance(&mut self, row: InstanceRow) {
        self.put_instance(row);
    }

    /// Zones in which a cluster has an instance that takes tasks, by name.
    pub fn zones_of(&self, cluster: ClusterId) -> impl Iterator<Item = &str> {
        let from = (cluster, String::new());
        let range = self.index.zones.range(from..).take_while(move |((of, _), _)| *of == cluster);
        range.map(|((_, zone), _)| zone.as_str())
    }

    /// The instance whose ARN ends in these 32 hex digits.
    pub fn instance_by_arn_id(&self, id: Id128) -> Option<&Arc<InstanceRow>> {
        self.instances.get(self.index.instance_arns.get(&id.0)?)
    }

    /// The instance with this `ec2InstanceId`, in whatever cluster.
    pub fn instance_by_ec2_id(&self, id: &str) -> Option<&Arc<InstanceRow>> {
        self.instances.get(self.index.instance_ec2_ids.get(id)?)
    }

    /// What the tasks of an instance hold.
    pub fn usage(&self, instance: InstanceId) -> Option<&Arc<Usage>> {
        self.index.usage.get(&instance)
    }

    /// A revision of a family.
    pub fn task_definition(&self, account: u32, family: &str, revision: u32) -> Option<&Arc<TaskDefinitionRow>> {
        self.task_definitions.get(self.index.revisions.get(&(account, family.to_owned(), revision))?)
    }

    /// Revisions of a family, in order; of every family when `family` is empty.
    pub fn revisions_of(&self, account: u32, family: &str) -> impl DoubleEndedIterator<Item = &Arc<TaskDefinitionRow>> {
        let from = (account, family.to_owned(), 0);
        let to = match (family.is_empty(), account.checked_add(1)) {
            (false, _) => Bound::Included((account, family.to_owned(), u32::MAX)),
            (true, Some(next)) => Bound::Excluded((next, String::new(), 0)),
            (true, None) => Bound::Unbounded,
        };
        let range = self.index.revisions.range((Bound::Included(from), to));
        range.filter_map(|(_, id)| self.task_definitions.get(id))
    }

    /// The service of that name that was made last in the cluster.
    pub fn service_by_name(&self, cluster: ClusterId, name: &str) -> Option<&Arc<ServiceRow>> {
        self.services.get(self.index.service_names.get(&(cluster, name.to_owned()))?)
    }

    /// Services of a cluster, by name, deleted ones included.
    pub fn services_of(&self, cluster: ClusterId) -> impl Iterator<Item = &Arc<ServiceRow>> {
        let from = (cluster, String::new());
        let range = self.index.service_names.range(from..).take_while(move |((of, _), _)| *of == cluster);
        range.filter_map(|(_, id)| self.services.get(id))
    }

    /// ACTIVE services of a cluster that have a task on each instance, by id.
    pub fn daemons_of(&self, cluster: ClusterId) -> impl Iterator<Item = &Arc<ServiceRow>> {
        let range = (cluster, ServiceId(0))..=(cluster, ServiceId(u64::MAX));
        self.index.daemons.range(range).filter_map(|(_, id)| self.services.get(id))
    }

    /// The same of all clusters.
    pub fn daemons(&self) -> impl Iterator<Item = ServiceId> {
        self.index.daemons.iter().map(|(_, id)| *id)
    }

    /// ACTIVE services of a cluster that no zone's loss may leave short, by id.
    pub fn tolerant_of(&self, cluster: ClusterId) -> impl Iterator<Item = ServiceId> {
        let range = (cluster, ServiceId(0))..=(cluster, ServiceId(u64::MAX));
        self.index.tolerant.range(range).map(|(_, id)| *id)
    }

    /// Deleted services of a cluster that are still in the state, the last deleted first.
    pub fn deleted_services_of(&self, cluster: ClusterId) -> impl Iterator<Item = &Arc<ServiceRow>> {
        let range = (cluster, 0, ServiceId(0))..=(cluster, u64::MAX, ServiceId(u64::MAX));
        self.index.services_inactive.range(range).rev().filter_map(|(_, _, id)| self.services.get(id))
    }

    /// Service deployments of a service that are kept, by id.
    pub fn service_deployments_of(&self, service: ServiceId) -> impl Iterator<Item = &Arc<ServiceDeploymentRow>> {
        let range = self.service_deployments.range((service, String::new())..);
        range.take_while(move |((of, _), _)| *of == service).map(|(_, row)| row)
    }

    /// Revisions of a service that are kept, by id.
    pub fn service_revisions_of(&self, service: ServiceId) -> impl Iterator<Item = &Arc<ServiceRevisionRow>> {
        self.service_revisions.range((service, 0)..=(service, u64::MAX)).map(|(_, row)| row)
    }

    /// The revision that a rollback of the service's primary deployment would go back to.
    pub fn rollback_target(&self, service: &ServiceRow) -> Option<&Arc<ServiceRevisionRow>> {
        let target = service.completed_deployment_id;
        let is_primary = service.deployments.iter().any(|d| d.primary && d.id == target);
        self.service_revisions.get(&(ServiceId(service.id), target)).filter(|_| !is_primary)
    }

    /// Whether a service (its deployments, or the revision that it would roll back to), a job that is not over or a task that is
    /// kept needs a task definition.
    pub fn is_definition_in_use(&self, definition: TaskDefinitionId) -> bool {
        let services = (definition, ServiceId(0))..=(definition, ServiceId(u64::MAX));
        let jobs = (definition, JobId(0))..=(definition, JobId(u64::MAX));
        self.index.service_definitions.range(services).next().is_some()
            || self.index.job_definitions.range(jobs).next().is_some()
            || self.index.definition_tasks.contains_key(&definition)
    }

    /// ACTIVE services that can be found in a Service Connect namespace, by id.
    pub fn services_of_namespace(&self, namespace: &str) -> impl Iterator<Item = &Arc<ServiceRow>> {
        let range = (namespace.to_owned(), ServiceId(0))..=(namespace.to_owned(), ServiceId(u64::MAX));
        self.index.namespaces.range(range).filter_map(|(_, id)| self.services.get(id))
    }

    /// Tasks of a cluster, oldest first, stopped ones included.
    pub fn tasks_of_cluster(&self, cluster: ClusterId) -> impl Iterator<Item = &Arc<TaskRow>> {
        let range = (cluster, TaskId::default())..=(cluster, LAST);
        self.index.tasks_by_cluster.range(range).filter_map(|(_, id)| self.tasks.get(id))
    }

    /// Tasks of a service, stopped ones included until they retire: first the live ones, then the stopped, each oldest first.
    pub fn tasks_of_service(&self, service: ServiceId) -> impl Iterator<Item = &Arc<TaskRow>> {
        let range = (service, false, TaskId::default())..=(service, true, LAST);
        self.index.tasks_by_service.range(range).filter_map(|(_, _, id)| self.tasks.get(id))
    }

    /// Tasks of a service that are not known to have stopped, oldest first. Costs nothing for those that are only kept.
    pub fn live_tasks_of_service(&self, service: ServiceId) -> impl Iterator<Item = &Arc<TaskRow>> {
        let range = (service, false, TaskId::default())..=(service, false, LAST);
        self.index.tasks_by_service.range(range).filter_map(|(_, _, id)| self.tasks.get(id))
    }

    /// Tasks of an instance that are not known to have stopped, oldest first.
    pub fn tasks_of_instance(&self, instance: InstanceId) -> impl Iterator<Item = &Arc<TaskRow>> {
        let range = (instance, TaskId::default())..=(instance, LAST);
        self.index.tasks_by_instance.range(range).filter_map(|(_, id)| self.tasks.get(id))
    }

    /// Instances that have tasks with a fencing token, deregistered ones whose tasks may still run included.
    pub fn guarded_instances(&self) -> impl Iterator<Item = InstanceId> {
        self.index.guarded.keys().copied()
    }

    /// Whether an instance has such tasks.
    pub fn is_guarded(&self, instance: InstanceId) -> bool {
        self.index.guarded.contains_key(&instance)
    }

    /// Tasks of a cluster that wait for room, oldest first.
    pub fn waiting_tasks(&self, cluster: ClusterId) -> impl Iterator<Item = &Arc<TaskRow>> {
        let range = (cluster, TaskId::default())..=(cluster, LAST);
        self.index.waiting.range(range).filter_map(|(_, id)| self.tasks.get(id))
    }

    /// Clusters of the tasks that wait for room, one for each task.
    pub fn clusters_with_waiting_tasks(&self) -> impl Iterator<Item = ClusterId> {
        self.index.waiting.iter().map(|(cluster, _)| *cluster)
    }

    /// Groups of the wanted tasks of an instance, one for each task.
    pub fn groups_on_instance(&self, instance: InstanceId) -> impl Iterator<Item = &str> {
        self.tasks_of_instance(instance).filter(|row| counts_of(row).wanted > 0).map(|row| row.group.as_str())
    }

    /// Tasks of a task group ("family:web", "service:web") that are not known to have stopped.
    pub fn tasks_of_group<'a>(
        &'a self,
        cluster: ClusterId,
        group: &str,
    ) -> impl Iterator<Item = &'a Arc<TaskRow>> + use<'a> {
        let name: Arc<str> = Arc::from(group);
        let range = (cluster, name.clone(), TaskId::default())..=(cluster, name, LAST);
        let standalone = self.index.tasks_by_group.range(range).filter_map(|(_, _, id)| self.tasks.get(id));
        let of_service = self.service_of_group(cluster, group).into_iter();
        standalone.chain(of_service.flat_map(|id| self.live_tasks_of_service(id)))
    }

    /// The schedule of that name.
    pub fn schedule_by_name(&self, cluster: ClusterId, name: &str) -> Option<&Arc<ScheduleRow>> {
        self.schedules.get(self.index.schedule_names.get(&(cluster, name.to_owned()))?)
    }

    /// Schedules of a cluster, by name.
    pub fn schedules_of(&self, cluster: ClusterId) -> impl Iterator<Item = &Arc<ScheduleRow>> {
        let range = self.index.schedule_names.range((cluster, String::new())..);
        range.take_while(move |((of, _), _)| *of == cluster).filter_map(|(_, id)| self.schedules.get(id))
    }

    /// The job of that name that was made last.
    pub fn job_by_name(&self, cluster: ClusterId, name: &str) -> Option<&Arc<JobRow>> {
        let range = (cluster, name.to_owned(), JobId(0))..=(cluster, name.to_owned(), JobId(u64::MAX));
        let (_, _, last) = self.index.job_names.range(range).next_back()?;
        self.jobs.get(last)
    }

    /// Jobs of a cluster that are over, or those that are not, in the order in which they were made.
    pub fn jobs_of(&self, cluster: ClusterId, over: bool) -> impl DoubleEndedIterator<Item = &Arc<JobRow>> {
        let range = (cluster, over, JobId(0))..=(cluster, over, JobId(u64::MAX));
        self.index.jobs_by_cluster.range(range).filter_map(|(_, _, id)| self.jobs.get(id))
    }

    /// The same of one schedule.
    pub fn jobs_of_schedule(&self, schedule: ScheduleId, over: bool) -> impl DoubleEndedIterator<Item = &Arc<JobRow>> {
        let range = (schedule, over, JobId(0))..=(schedule, over, JobId(u64::MAX));
        self.index.jobs_by_schedule.range(range).filter_map(|(_, _, id)| self.jobs.get(id))
    }

    /// Tasks of a job that are not known to have stopped.
    pub fn live_tasks_of_job<'a>(&'a self, job: &JobRow) -> impl Iterator<Item = &'a Arc<TaskRow>> + use<'a> {
        let id = job.id;
        self.tasks_of_group(ClusterId(job.cluster_id), &job_group(&job.name)).filter(move |task| task.job_id == id)
    }

    /// Tasks of a service by status.
    pub fn service_counts(&self, service: ServiceId) -> Counts {
        self.counts(&SpreadKey::Service(service))
    }

    /// Tasks of one deployment of a service by status.
    pub fn deployment_counts(&self, service: ServiceId, deployment: DeploymentId) -> Counts {
        let tally = self.index.tallies.get(&SpreadKey::Service(service));
        tally.and_then(|tally| tally.deployments.get(&deployment)).copied().unwrap_or_default()
    }

    /// Wanted tasks of a service on the instances of a zone.
    pub fn service_tasks_in_zone(&self, service: ServiceId, zone: &str) -> u32 {
        self.in_zone(&SpreadKey::Service(service), zone)
    }

    /// Wanted tasks of a service on an instance.
    pub fn service_tasks_on_instance(&self, service: ServiceId, instance: InstanceId) -> u32 {
        self.index.spread.get(&(SpreadKey::Service(service), instance)).copied().unwrap_or(0)
    }

    /// Instances that hold wanted tasks of a service, with how many.
    pub fn service_instances(&self, service: ServiceId) -> impl Iterator<Item = (InstanceId, u32)> {
        self.on_instances(SpreadKey::Service(service))
    }

    /// Tasks of a group by status.
    pub fn group_counts(&self, cluster: ClusterId, group: &str) -> Counts {
        let mut counts = self.counts(&group_key(cluster, group));
        if let Some(service) = self.service_of_group(cluster, group) {
            counts.add(self.service_counts(service));
        }
        counts
    }

    /// Wanted tasks of a group on the instances of a zone.
    pub fn group_tasks_in_zone(&self, cluster: ClusterId, group: &str, zone: &str) -> u32 {
        let service = self.service_of_group(cluster, group);
        self.in_zone(&group_key(cluster, group), zone) + service.map_or(0, |id| self.service_tasks_in_zone(id, zone))
    }

    /// Wanted tasks of a group on an instance.
    pub fn group_tasks_on_instance(&self, cluster: ClusterId, group: &str, instance: InstanceId) -> u32 {
        let standalone = self.index.spread.get(&(group_key(cluster, group), instance)).copied().unwrap_or(0);
        let service = self.service_of_group(cluster, group);
        standalone + service.map_or(0, |id| self.service_tasks_on_instance(id, instance))
    }

    /// Instances that hold wanted tasks of a group, with how many; one may come twice when a service's group is also asked
    /// for by standalone tasks.
    pub fn group_instances(&self, cluster: ClusterId, group: &str) -> impl Iterator<Item = (InstanceId, u32)> {
        let service = self.service_of_group(cluster, group).into_iter();
        self.on_instances(group_key(cluster, group)).chain(service.flat_map(|id| self.service_instances(id)))
    }

    /// Tasks of an instance by status.
    pub fn instance_counts(&self, instance: InstanceId) -> Counts {
        self.index.usage.get(&instance).map(|usage| usage.counts).unwrap_or_default()
    }

    /// What a cluster holds.
    pub fn cluster_counts(&self, cluster: ClusterId) -> ClusterCounts {
        self.index.cluster_counts.get(&cluster).copied().unwrap_or_default()
    }

    /// A service's tasks are in the group named after it.
    fn service_of_group(&self, cluster: ClusterId, group: &str) -> Option<ServiceId> {
        let name = group.strip_prefix(SERVICE_GROUP)?;
        self.index.service_names.get(&(cluster, name.to_owned())).copied()
    }

    fn counts(&self, key: &SpreadKey) -> Counts {
        let mut counts = Counts::default();
        let deployments = self.index.tallies.get(key).map(|tally| tally.deployments.values());
        deployments.into_iter().flatten().for_each(|deployment| counts.add(*deployment));
        counts
    }

    fn in_zone(&self, key: &SpreadKey, zone: &str) -> u32 {
        let tally: Option<&Arc<Tally>> = self.index.tallies.get(key);
        tally.and_then(|tally| tally.zones.get(zone)).copied().unwrap_or(0)
    }

    fn on_instances(&self, key: SpreadKey) -> impl Iterator<Item = (InstanceId, u32)> {
        let range = (key.clone(), InstanceId(0))..=(key, InstanceId(u64::MAX));
        self.index.spread.range(range).map(|((_, instance), wanted)| (*instance, *wanted))
    }
}

/// The group that a service's tasks are in.
pub fn service_group(service: &str) -> String {
    format!("{SERVICE_GROUP}{service}")
}

/// The group that a job's tasks are in.
pub fn job_group(job: &str) -> String {
    format!("{JOB_GROUP}{job}")
}

fn group_key(cluster: ClusterId, group: &str) -> SpreadKey {
    SpreadKey::Group(cluster, Arc::from(group))
}
