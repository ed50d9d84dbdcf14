//! Ways into the tables, kept up by the only functions that put and remove rows.
//!
//! Nothing here is hashed or in a snapshot: a decoded state builds it again from its rows, and a property test holds the two
//! equal after every command.

use std::{cmp::Reverse, sync::Arc};

use imbl::{OrdMap, OrdSet};
use prost::Message as _;
use seawall_model::{ClusterId, DeploymentId, InstanceId, JobId, ScheduleId, ServiceId, TaskDefinitionId, TaskId};
use seawall_proto::internal::v1::{
    ClientTokenRow, ClusterRow, InstanceRow, InstanceStatus, InvocationRow, JobRow, ScheduleRow, ServiceDeploymentRow,
    ServiceRevisionRow, ServiceRow, ServiceStatusCode, TaskDefinitionRow, TaskDefinitionStatus, TaskRow, TaskStatus,
};

use crate::{
    ClientTokenKey, InvocationKey, State, Waiter, is_daemon, is_over, priority_of, priority_said,
    size::{fixed_ports, size_of},
    tally::{ClusterCounts, Counts, SpreadInstance, SpreadKey, Tally, Usage},
    task_id_of, tolerates_zone_loss,
};

/// Ways into the tables. Every method of `State` that finds something uses one of these, never a scan.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Indexes {
    pub(crate) cluster_names: OrdMap<(u32, String), ClusterId>,
    /// (changed, cluster): the first deleted leaves first.
    pub(crate) clusters_inactive: OrdSet<(u64, ClusterId)>,
    pub(crate) cluster_counts: OrdMap<ClusterId, ClusterCounts>,
    pub(crate) instance_arns: OrdMap<u128, InstanceId>,
    pub(crate) instance_ec2_ids: OrdMap<String, InstanceId>,
    pub(crate) instances_by_cluster: OrdSet<(ClusterId, InstanceId)>,
    /// Instances of a capacity provider, where there are any.
    pub(crate) provider_instances: OrdMap<(ClusterId, String), u32>,
    /// Instances by zone that are ACTIVE and connected.
    pub(crate) zones: OrdMap<(ClusterId, String), u32>,
    pub(crate) revisions: OrdMap<(u32, String, u32), TaskDefinitionId>,
    pub(crate) service_names: OrdMap<(ClusterId, String), ServiceId>,
    /// ACTIVE services with a task on each instance.
    pub(crate) daemons: OrdSet<(ClusterId, ServiceId)>,
    /// ACTIVE services that no zone's loss may leave short.
    pub(crate) tolerant: OrdSet<(ClusterId, ServiceId)>,
    /// (cluster, changed, service): the first deleted leaves first.
    pub(crate) services_inactive: OrdSet<(ClusterId, u64, ServiceId)>,
    pub(crate) tasks_by_cluster: OrdSet<(ClusterId, TaskId)>,
    /// Task definitions that services hold: of their deployments and of the one that a rollback would go back to.
    pub(crate) service_definitions: OrdSet<(TaskDefinitionId, ServiceId)>,
    /// (namespace, service) of ACTIVE services that use Service Connect.
    pub(crate) namespaces: OrdSet<(String, ServiceId)>,
    /// (service, STOPPED, task): the live ones are found without passing those that are only kept.
    pub(crate) tasks_by_service: OrdSet<(ServiceId, bool, TaskId)>,
    pub(crate) tasks_by_instance: OrdSet<(InstanceId, TaskId)>,
    /// Tasks that are not known to have stopped and have a fencing token, by instance.
    pub(crate) guarded: OrdMap<InstanceId, u32>,
    /// Tasks that wait for room.
    pub(crate) waiting: OrdSet<(ClusterId, TaskId)>,
    /// Standalone tasks only: a service's are found by the service.
    pub(crate) tasks_by_group: OrdSet<(ClusterId, Arc<str>, TaskId)>,
    /// (cluster, changed, task): the first stopped leave first, whatever the agents' clocks say.
    pub(crate) stopped_by_cluster: OrdSet<(ClusterId, u64, TaskId)>,
    /// ACTIVE services and jobs that could not place all their tasks when last looked at, the highest class first.
    pub(crate) waiters: OrdSet<(ClusterId, Reverse<u32>, Waiter)>,
    /// ACTIVE services, and tasks of none that say their class, by class.
    pub(crate) classes: OrdMap<(ClusterId, u32), u32>,
    /// Tasks that make room for a service and still hold it.
    pub(crate) victims: OrdSet<(ClusterId, ServiceId, TaskId)>,
    /// (cluster, told to stop, task) of tasks that made room.
    pub(crate) preempted: OrdSet<(ClusterId, i64, TaskId)>,
    pub(crate) usage: OrdMap<InstanceId, Arc<Usage>>,
    pub(crate) tallies: OrdMap<SpreadKey, Arc<Tally>>,
    /// Wanted tasks by whose they are and where.
    pub(crate) spread: OrdMap<SpreadInstance, u32>,
    /// (expiry, token): the first to expire leaves first.
    pub(crate) token_expiry: OrdSet<(i64, ClientTokenKey)>,
    /// Tasks that are kept, by the definition that they name.
    pub(crate) definition_tasks: OrdMap<TaskDefinitionId, u32>,
    /// Definitions that leave once nothing names them.
    pub(crate) definitions_leaving: OrdSet<TaskDefinitionId>,
    pub(crate) schedule_names: OrdMap<(ClusterId, String), ScheduleId>,
    /// A name is used again once its job is over: the last job has the largest id.
    pub(crate) job_names: OrdSet<(ClusterId, String, JobId)>,
    /// (cluster, over, job): the first made leave first.
    pub(crate) jobs_by_cluster: OrdSet<(ClusterId, bool, JobId)>,
    /// (schedule, over, job)
    pub(crate) jobs_by_schedule: OrdSet<(ScheduleId, bool, JobId)>,
    /// Task definitions of jobs that are not over.
    pub(crate) job_definitions: OrdSet<(TaskDefinitionId, JobId)>,
    pub(crate) invocation_expiry: OrdSet<(i64, InvocationKey)>,
    /// Encoded bytes of the open records of history.
    pub(crate) history_open_bytes: u64,
    /// Bytes of the files of all segments of history.
    pub(crate) history_bytes: u64,
}

impl State {
    pub(crate) fn put_cluster(&mut self, row: ClusterRow) {
        let id = ClusterId(row.id);
        if let Some(old) = self.clusters.get(&id) {
            self.index.clusters_inactive.remove(&(old.changed, id));
        }
        self.index.add_cluster(&row);
        self.clusters.put(id, Arc::new(row));
    }

    /// Forgets a deleted cluster that holds nothing any more.
    pub(crate) fn remove_cluster(&mut self, id: ClusterId) {
        let Some(row) = self.clusters.remove(&id) else { return };
        self.index.clusters_inactive.remove(&(row.changed, id));
        self.index.cluster_counts.remove(&id);
        let name = (row.account, row.name.clone());
        if self.index.cluster_names.get(&name) == Some(&id) {
            self.index.cluster_names.remove(&name);
        }
    }

    pub(crate) fn put_task_definition(&mut self, row: TaskDefinitionRow) {
        let id = TaskDefinitionId(row.id);
        self.index.add_task_definition(&row);
        self.task_definitions.put(id, Arc::new(row));
    }

    pub(crate) fn remove_task_definition(&mut self, id: TaskDefinitionId) {
        let Some(row) = self.task_definitions.remove(&id) else { return };
        self.index.revisions.remove(&(row.account, row.family.clone(), row.revision));
        self.index.definitions_leaving.remove(&id);
    }

    pub(crate) fn put_service(&mut self, row: ServiceRow) {
        let id = ServiceId(row.id);
        if let Some(old) = self.services.get(&id).cloned() {
            self.index.take_service(&old);
        }
        self.index.add_service(&row);
        self.services.put(id, Arc::new(row));
    }

    pub(crate) fn remove_service(&mut self, id: ServiceId) -> Option<Arc<ServiceRow>> {
        let row = self.services.remove(&id)?;
        self.index.take_service(&row);
        let name = (ClusterId(row.cluster_id), row.name.clone());
        if self.index.service_names.get(&name) == Some(&id) {
            self.index.service_names.remove(&name);
        }
        let deployments: Vec<String> = self.service_deployments_of(id).map(|row| row.id.clone()).collect();
        deployments.iter().for_each(|deployment| self.remove_service_deployment(id, deployment));
        let revisions: Vec<u64> = self.service_revisions_of(id).map(|row| row.id).collect();
        revisions.into_iter().for_each(|revision| self.remove_service_revision(id, revision));
        Some(row)
    }

    pub(crate) fn put_service_deployment(&mut self, row: ServiceDeploymentRow) {
        self.service_deployments.put((ServiceId(row.service_id), row.id.clone()), Arc::new(row));
    }

    pub(crate) fn remove_service_deployment(&mut self, service: ServiceId, id: &str) {
        self.service_deployments.remove(&(service, id.to_owned()));
    }

    pub(crate) fn put_service_revision(&mut self, row: ServiceRevisionRow) {
        self.service_revisions.put((ServiceId(row.service_id), row.id), Arc::new(row));
    }

    pub(crate) fn remove_service_revision(&mut self, service: ServiceId, id: u64) {
        self.service_revisions.remove(&(service, id));
    }

    /// Puts an instance. When its zone changed, its tasks are counted in the new one.
    pub(crate) fn put_instance(&mut self, row: InstanceRow) {
        let id = InstanceId(row.id);
        let zone_was = self.instances.get(&id).map(|old| old.zone.clone()).filter(|zone| *zone != row.zone);
        let moved: Vec<Arc<TaskRow>> =
            if zone_was.is_some() { self.tasks_of_instance(id).cloned().collect() } else { Vec::new() };
        for task in &moved {
            self.index.tally(Some(task), None, zone_was.as_deref());
        }
        for task in &moved {
            self.index.tally(None, Some(task), Some(&row.zone));
        }
        match self.instances.get(&id).cloned() {
            None => self.index.add_instance(&row),
            Some(old) => {
                self.index.count_provider(&old, false);
                self.index.count_provider(&row, true);
                self.index.count_zone(&old, false);
                self.index.count_zone(&row, true);
            }
        }
        self.instances.put(id, Arc::new(row));
    }

    pub(crate) fn remove_instance(&mut self, id: InstanceId) {
        let Some(row) = self.instances.remove(&id) else { return };
        self.index.instance_arns.remove(&arn_of(&row));
        if self.index.instance_ec2_ids.get(&row.ec2_instance_id) == Some(&id) {
            self.index.instance_ec2_ids.remove(&row.ec2_instance_id);
        }
        self.index.instances_by_cluster.remove(&(ClusterId(row.cluster_id), id));
        self.index.count_provider(&row, false);
        self.index.count_zone(&row, false);
        self.index.usage.remove(&id);
        if let Some(counts) = self.index.cluster_counts.get_mut(&ClusterId(row.cluster_id)) {
            counts.instances = counts.instances.wrapping_sub(1);
        }
    }

    pub(crate) fn put_task(&mut self, row: TaskRow) {
        let id = task_id_of(&row);
        let mut old = self.tasks.get(&id).cloned();
        // One that found room stands nowhere before.
        if let Some(elsewhere) = old.take_if(|old| old.instance_id != row.instance_id) {
            self.index_task(Some(&elsewhere), None);
        }
        let new = Arc::new(row);
        self.index_task(old.as_deref(), Some(&new));
        self.tasks.put(id, new);
    }

    pub(crate) fn remove_task(&mut self, id: TaskId) -> Option<Arc<TaskRow>> {
        let old = self.tasks.remove(&id)?;
        self.index_task(Some(&old), None);
        Some(old)
    }

    fn index_task(&mut self, old: Option<&TaskRow>, new: Option<&TaskRow>) {
        let Some(any) = new.or(old) else { return };
        let zone = self.instances.get(&InstanceId(any.instance_id)).map(|row| row.zone.as_str());
        self.index.task_sets(old, new);
        if old.is_some() != new.is_some() {
            count(&mut self.index.definition_tasks, TaskDefinitionId(any.task_definition_id), new.is_some());
        }
        self.index.tally(old, new, zone);
        let held = |row: &TaskRow| !row.released;
        if old.is_some_and(held) != new.is_some_and(held) {
            let definition = self.task_definitions.get(&TaskDefinitionId(any.task_definition_id));
            let ports = size_of(any, definition.map(Arc::as_ref)).map(fixed_ports);
            self.index.hold(any, ports.into_iter().flatten(), new.is_some_and(held));
        }
    }

    pub(crate) fn put_schedule(&mut self, row: ScheduleRow) {
        let id = ScheduleId(row.id);
        if self.schedules.get(&id).is_none() {
            self.index.add_schedule(&row);
        }
        self.schedules.put(id, Arc::new(row));
    }

    pub(crate) fn remove_schedule(&mut self, id: ScheduleId) {
        let Some(row) = self.schedules.remove(&id) else { return };
        self.index.schedule_names.remove(&(ClusterId(row.cluster_id), row.name.clone()));
        let counts = self.index.cluster_counts.entry(ClusterId(row.cluster_id)).or_default();
        counts.schedules = counts.schedules.wrapping_sub(1);
    }

    pub(crate) fn put_job(&mut self, row: JobRow) {
        let id = JobId(row.id);
        if let Some(old) = self.jobs.get(&id).cloned() {
            self.index.take_job(&old);
        }
        self.index.add_job(&row);
        self.jobs.put(id, Arc::new(row));
    }

    pub(crate) fn remove_job(&mut self, id: JobId) {
        let Some(row) = self.jobs.remove(&id) else { return };
        self.index.take_job(&row);
    }

    pub(crate) fn put_invocation(&mut self, row: InvocationRow) {
        let key: InvocationKey = (row.id.clone(), row.ordinal);
        self.remove_invocation(&key);
        self.index.invocation_expiry.insert((row.expires_at_ms, key.clone()));
        self.invocations.put(key, Arc::new(row));
    }

    pub(crate) fn remove_invocation(&mut self, key: &InvocationKey) {
        let Some(row) = self.invocations.remove(key) else { return };
        self.index.invocation_expiry.remove(&(row.expires_at_ms, key.clone()));
    }

    pub(crate) fn put_client_token(&mut self, key: ClientTokenKey, row: ClientTokenRow) {
        if let Some(old) = self.client_tokens.get(&key) {
            self.index.token_expiry.remove(&(old.expires_at_ms, key.clone()));
        }
        self.index.token_expiry.insert((row.expires_at_ms, key.clone()));
        self.client_tokens.put(key, Arc::new(row));
    }

    pub(crate) fn remove_client_token(&mut self, key: &ClientTokenKey) {
        let Some(row) = self.client_tokens.remove(key) else { return };
        self.index.token_expiry.remove(&(row.expires_at_ms, key.clone()));
    }

    /// The indexes that belong to these rows.
    pub(crate) fn rebuilt_indexes(&self) -> Indexes {
        let mut fresh = State { index: Indexes::default(), ..self.clone() };
        fresh.clusters.iter().for_each(|(_, row)| fresh.index.add_cluster(row));
        fresh.instances.iter().for_each(|(_, row)| fresh.index.add_instance(row));
        fresh.task_definitions.iter().for_each(|(_, row)| fresh.index.add_task_definition(row));
        fresh.services.iter().for_each(|(_, row)| fresh.index.add_service(row));
        fresh.schedules.iter().for_each(|(_, row)| fresh.index.add_schedule(row));
        fresh.jobs.iter().for_each(|(_, row)| fresh.index.add_job(row));
        for (key, row) in fresh.invocations.iter() {
            fresh.index.invocation_expiry.insert((row.expires_at_ms, key.clone()));
        }
        for (key, row) in fresh.client_tokens.iter() {
            fresh.index.token_expiry.insert((row.expires_at_ms, key.clone()));
        }
        for (_, row) in self.tasks.iter() {
            fresh.index_task(None, Some(row));
        }
        fresh.index.history_open_bytes = fresh.history_open.iter().map(|(_, row)| row.encoded_len() as u64).sum();
        fresh.index.history_bytes = fresh.history_segments.iter().map(|(_, row)| row.bytes).sum();
        fresh.index
    }
}

impl Indexes {
    fn add_task_definition(&mut self, row: &TaskDefinitionRow) {
        let id = TaskDefinitionId(row.id);
        self.revisions.insert((row.account, row.family.clone(), row.revision), id);
        if row.status() == TaskDefinitionStatus::DeleteInProgress {
            self.definitions_leaving.insert(id);
        }
    }

    fn add_cluster(&mut self, row: &ClusterRow) {
        let id = ClusterId(row.id);
        self.cluster_counts.entry(id).or_default();
        let last = self.cluster_names.entry((row.account, row.name.clone())).or_insert(id);
        *last = id.max(*last);
        if !row.active {
            self.clusters_inactive.insert((row.changed, id));
        }
    }

    fn add_instance(&mut self, row: &InstanceRow) {
        let id = InstanceId(row.id);
        self.instance_arns.insert(arn_of(row), id);
        self.instance_ec2_ids.insert(row.ec2_instance_id.clone(), id);
        self.instances_by_cluster.insert((ClusterId(row.cluster_id), id));
        self.count_provider(row, true);
        self.count_zone(row, true);
        self.usage.insert(id, Arc::default());
        self.cluster_counts.entry(ClusterId(row.cluster_id)).or_default().instances += 1;
    }

    fn count_provider(&mut self, row: &InstanceRow, more: bool) {
        if row.capacity_provider.is_empty() {
            return;
        }
        count(&mut self.provider_instances, (ClusterId(row.cluster_id), row.capacity_provider.clone()), more);
    }

    /// Counts an instance that takes tasks in its zone.
    fn count_zone(&mut self, row: &InstanceRow, more: bool) {
        if row.status() != InstanceStatus::Active || !row.connected {
            return;
        }
        count(&mut self.zones, (ClusterId(row.cluster_id), row.zone.clone()), more);
    }

    fn add_service(&mut self, row: &ServiceRow) {
        let (id, cluster) = (ServiceId(row.id), ClusterId(row.cluster_id));
        let last = self.service_names.entry((cluster, row.name.clone())).or_insert(id);
        *last = id.max(*last);
        let counter = self.services_counter(row);
        *counter = counter.wrapping_add(1);
        if row.status() == ServiceStatusCode::Inactive {
            self.services_inactive.insert((cluster, row.changed, id));
        }
        if is_daemon(row) && row.status() == ServiceStatusCode::Active {
            self.daemons.insert((cluster, id));
        }
        if tolerates_zone_loss(row) && row.status() == ServiceStatusCode::Active {
            self.tolerant.insert((cluster, id));
        }
        self.waiters.extend(waiting_service(row));
        if row.status() == ServiceStatusCode::Active {
            count(&mut self.classes, (cluster, priority_of(&row.tags)), true);
        }
        self.service_definitions.extend(definitions_of(row).map(|definition| (definition, id)));
        self.namespaces.extend(namespace_of(row).map(|namespace| (namespace.to_owned(), id)));
    }

    /// Takes a row out of the counts; its name stays, for the row that replaces it.
    fn take_service(&mut self, row: &ServiceRow) {
        let counter = self.services_counter(row);
        *counter = counter.wrapping_sub(1);
        self.services_inactive.remove(&(ClusterId(row.cluster_id), row.changed, ServiceId(row.id)));
        self.daemons.remove(&(ClusterId(row.cluster_id), ServiceId(row.id)));
        self.tolerant.remove(&(ClusterId(row.cluster_id), ServiceId(row.id)));
        if let Some(waiting) = waiting_service(row) {
            self.waiters.remove(&waiting);
        }
        if row.status() == ServiceStatusCode::Active {
            count(&mut self.classes, (ClusterId(row.cluster_id), priority_of(&row.tags)), false);
        }
        for definition in definitions_of(row) {
            self.service_definitions.remove(&(definition, ServiceId(row.id)));
        }
        if let Some(namespace) = namespace_of(row) {
            self.namespaces.remove(&(namespace.to_owned(), ServiceId(row.id)));
        }
    }

    fn add_schedule(&mut self, row: &ScheduleRow) {
        let cluster = ClusterId(row.cluster_id);
        self.schedule_names.insert((cluster, row.name.clone()), ScheduleId(row.id));
        let counts = self.cluster_counts.entry(cluster).or_default();
        counts.schedules = counts.schedules.wrapping_add(1);
    }

    fn add_job(&mut self, row: &JobRow) {
        let (id, cluster, over) = (JobId(row.id), ClusterId(row.cluster_id), is_over(row));
        self.job_names.insert((cluster, row.name.clone(), id));
        self.jobs_by_cluster.insert((cluster, over, id));
        if row.schedule_id != 0 {
            self.jobs_by_schedule.insert((ScheduleId(row.schedule_id), over, id));
        }
        if !over {
            self.job_definitions.insert((TaskDefinitionId(row.task_definition_id), id));
        }
        self.waiters.extend(waiting_job(row));
        let counter = self.jobs_counter(row);
        *counter = counter.wrapping_add(1);
    }

    fn take_job(&mut self, row: &JobRow) {
        let (id, cluster, over) = (JobId(row.id), ClusterId(row.cluster_id), is_over(row));
        self.job_names.remove(&(cluster, row.name.clone(), id));
        self.jobs_by_cluster.remove(&(cluster, over, id));
        self.jobs_by_schedule.remove(&(ScheduleId(row.schedule_id), over, id));
        self.job_definitions.remove(&(TaskDefinitionId(row.task_definition_id), id));
        if let Some(waiting) = waiting_job(row) {
            self.waiters.remove(&waiting);
        }
        let counter = self.jobs_counter(row);
        *counter = counter.wrapping_sub(1);
    }

    fn jobs_counter(&mut self, row: &JobRow) -> &mut u32 {
        let counts = self.cluster_counts.entry(ClusterId(row.cluster_id)).or_default();
        if is_over(row) { &mut counts.jobs_over } else { &mut counts.jobs_active }
    }

    fn services_counter(&mut self, row: &ServiceRow) -> &mut u32 {
        let counts = self.cluster_counts.entry(ClusterId(row.cluster_id)).or_default();
        match row.status() {
            ServiceStatusCode::Active | ServiceStatusCode::Unspecified => &mut counts.services_active,
            ServiceStatusCode::Draining => &mut counts.services_draining,
            ServiceStatusCode::Inactive => &mut counts.services_inactive,
        }
    }

    fn task_sets(&mut self, old: Option<&TaskRow>, new: Option<&TaskRow>) {
        let cluster = |row: &TaskRow| (ClusterId(row.cluster_id), task_id_of(row));
        replace(&mut self.tasks_by_cluster, old.map(cluster), new.map(cluster));
        let service =
            |row: &TaskRow| (row.service_id != 0).then(|| (ServiceId(row.service_id), !is_live(row), task_id_of(row)));
        replace(&mut self.tasks_by_service, old.and_then(service), new.and_then(service));
        let instance = |row: &TaskRow| {
            let stands = is_live(row) && row.waiting.is_none();
            stands.then(|| (InstanceId(row.instance_id), task_id_of(row)))
        };
        replace(&mut self.tasks_by_instance, old.and_then(instance), new.and_then(instance));
        let waiting = |row: &TaskRow| row.waiting.is_some().then(|| cluster(row));
        replace(&mut self.waiting, old.and_then(waiting), new.and_then(waiting));
        let guarded = |row: &TaskRow| is_live(row) && row.fencing_token != 0;
        if old.is_some_and(guarded) != new.is_some_and(guarded)
            && let Some(row) = new.or(old)
        {
            count(&mut self.guarded, InstanceId(row.instance_id), new.is_some_and(guarded));
        }
        let stopped =
            |row: &TaskRow| (!is_live(row)).then(|| (ClusterId(row.cluster_id), row.changed, task_id_of(row)));
        replace(&mut self.stopped_by_cluster, old.and_then(stopped), new.and_then(stopped));
        let victim = |row: &TaskRow| {
            let holds = row.preempted_by != 0 && is_live(row) && !row.released;
            holds.then(|| (ClusterId(row.cluster_id), ServiceId(row.preempted_by), task_id_of(row)))
        };
        replace(&mut self.victims, old.and_then(victim), new.and_then(victim));
        let preempted = |row: &TaskRow| {
            (row.preempted_by != 0).then(|| (ClusterId(row.cluster_id), row.stopping_at_ms, task_id_of(row)))
        };
        replace(&mut self.preempted, old.and_then(preempted), new.and_then(preempted));
        let (before, after) = (old.and_then(class_of), new.and_then(class_of));
        if before != after {
            before.into_iter().for_each(|class| count(&mut self.classes, class, false));
            after.into_iter().for_each(|class| count(&mut self.classes, class, true));
        }
        let group = |row: &TaskRow| is_live(row) && row.service_id == 0;
        if old.is_some_and(group) != new.is_some_and(group)
            && let Some(row) = new.or(old)
        {
            let key = (ClusterId(row.cluster_id), self.group_name(row), task_id_of(row));
            if new.is_some_and(group) {
                self.tasks_by_group.insert(key);
            } else {
                self.tasks_by_group.remove(&key);
            }
        }
    }

    /// The text of a task's group, shared by all tasks of it.
    fn group_name(&self, row: &TaskRow) -> Arc<str> {
        match self.spread_key(row) {
            SpreadKey::Group(_, name) => name,
            SpreadKey::Service(_) => Arc::from(row.group.as_str()),
        }
    }

    fn spread_key(&self, row: &TaskRow) -> SpreadKey {
        if row.service_id != 0 {
            return SpreadKey::Service(ServiceId(row.service_id));
        }
        let key = SpreadKey::Group(ClusterId(row.cluster_id), Arc::from(row.group.as_str()));
        self.tallies.get_key_value(&key).map_or(key.clone(), |(shared, _)| shared.clone())
    }

    /// Counts a task anew. `zone` is its instance's.
    fn tally(&mut self, old: Option<&TaskRow>, new: Option<&TaskRow>, zone: Option<&str>) {
        let (before, after) = (old.map(counts_of).unwrap_or_default(), new.map(counts_of).unwrap_or_default());
        let kind = |row: &TaskRow| (row.last_status(), is_unreachable(row));
        let Some(row) = new.or(old) else { return };
        if before == after && old.map(kind) == new.map(kind) {
            return;
        }
        let cluster = self.cluster_counts.entry(ClusterId(row.cluster_id)).or_default();
        cluster.tasks.subtract(before);
        cluster.tasks.add(after);
        old.into_iter().for_each(|row| cluster.count(kind(row), false));
        new.into_iter().for_each(|row| cluster.count(kind(row), true));
        if let Some(usage) = self.usage.get_mut(&InstanceId(row.instance_id)) {
            let usage = Arc::make_mut(usage);
            usage.counts.subtract(before);
            usage.counts.add(after);
        }
        let key = self.spread_key(row);
        self.tally_spread(key, row, (before, after), zone);
    }

    fn tally_spread(&mut self, key: SpreadKey, row: &TaskRow, (before, after): (Counts, Counts), zone: Option<&str>) {
        let tally = Arc::make_mut(self.tallies.entry(key.clone()).or_default());
        let deployment = tally.deployments.entry(DeploymentId(row.deployment_id)).or_default();
        deployment.subtract(before);
        deployment.add(after);
        if *deployment == Counts::default() {
            tally.deployments.remove(&DeploymentId(row.deployment_id));
        }
        if let Some(zone) = zone
            && before.wanted != after.wanted
        {
            let wanted = match tally.zones.get_mut(zone) {
                Some(wanted) => wanted,
                None => tally.zones.entry(zone.to_owned()).or_default(),
            };
            *wanted = wanted.wrapping_sub(before.wanted).wrapping_add(after.wanted);
            if *wanted == 0 {
                tally.zones.remove(zone);
            }
        }
        if tally.deployments.is_empty() {
            self.tallies.remove(&key);
        }
        if before.wanted != after.wanted && row.instance_id != 0 {
            let place = (key, InstanceId(row.instance_id));
            let wanted = self.spread.entry(place.clone()).or_default();
            *wanted = wanted.wrapping_sub(before.wanted).wrapping_add(after.wanted);
            if *wanted == 0 {
                self.spread.remove(&place);
            }
        }
    }

    /// Takes or frees what a task holds of its instance.
    fn hold(&mut self, row: &TaskRow, ports: impl Iterator<Item = (u16, bool)>, take: bool) {
        let Some(usage) = self.usage.get_mut(&InstanceId(row.instance_id)) else { return };
        let usage = Arc::make_mut(usage);
        if take {
            usage.cpu = usage.cpu.wrapping_add(row.cpu);
            usage.memory = usage.memory.wrapping_add(row.memory);
        } else {
            usage.cpu = usage.cpu.wrapping_sub(row.cpu);
            usage.memory = usage.memory.wrapping_sub(row.memory);
        }
        for (port, udp) in ports {
            let set = if udp { &mut usage.ports_udp } else { &mut usage.ports_tcp };
            if take {
                set.insert(port);
            } else {
                set.remove(&port);
            }
        }
    }
}

/// Task definitions that a service holds; one may come twice.
fn definitions_of(row: &ServiceRow) -> impl Iterator<Item = TaskDefinitionId> {
    let holds = row.status() != ServiceStatusCode::Inactive;
    let deployments = row.deployments.iter().map(|d| d.task_definition_id);
    let all = deployments.chain([row.completed_task_definition_id]);
    all.filter(move |id| holds && *id != 0).map(TaskDefinitionId)
}

/// The namespace in which a service says that it can be found.
fn namespace_of(row: &ServiceRow) -> Option<&str> {
    let connect = row.spec.as_ref()?.service_connect_configuration.as_ref()?;
    let used = row.status() == ServiceStatusCode::Active && connect.enabled();
    connect.namespace.as_deref().filter(|name| used && !name.is_empty())
}

/// A service that waits for a place, in its class.
fn waiting_service(row: &ServiceRow) -> Option<(ClusterId, Reverse<u32>, Waiter)> {
    let waits = row.status() == ServiceStatusCode::Active && !row.unplaced_reason.is_empty();
    waits.then(|| (ClusterId(row.cluster_id), Reverse(priority_of(&row.tags)), Waiter::Service(ServiceId(row.id))))
}

/// A job that does.
fn waiting_job(row: &JobRow) -> Option<(ClusterId, Reverse<u32>, Waiter)> {
    let tags = row.template.as_ref().map_or(&[][..], |template| &template.tags);
    let waits = !is_over(row) && !row.unplaced_reason.is_empty();
    waits.then(|| (ClusterId(row.cluster_id), Reverse(priority_of(tags)), Waiter::Job(JobId(row.id))))
}

/// The class of a task that is no service's and says it.
fn class_of(row: &TaskRow) -> Option<(ClusterId, u32)> {
    let says = is_live(row) && row.service_id == 0;
    says.then(|| priority_said(&row.tags)).flatten().map(|priority| (ClusterId(row.cluster_id), priority))
}

/// One more or one fewer of these; a key of which there are none is not kept.
fn count<K: Ord + Clone>(counts: &mut OrdMap<K, u32>, key: K, more: bool) {
    let count = counts.get(&key).copied().unwrap_or(0);
    match if more { count + 1 } else { count.saturating_sub(1) } {
        0 => counts.remove(&key),
        count => counts.insert(key, count),
    };
}

fn replace<K: Ord + Clone>(set: &mut OrdSet<K>, old: Option<K>, new: Option<K>) {
    if old == new {
        return;
    }
    if let Some(key) = old {
        set.remove(&key);
    }
    if let Some(key) = new {
        set.insert(key);
    }
}

fn arn_of(row: &InstanceRow) -> u128 {
    seawall_model::Id128::from_halves(row.arn_hi, row.arn_lo).0
}

/// Whether a task is not known to have stopped.
pub(crate) fn is_live(row: &TaskRow) -> bool {
    row.last_status() != TaskStatus::Stopped
}

/// Whether a task is not known to have stopped, and its instance is lost.
fn is_unreachable(row: &TaskRow) -> bool {
    is_live(row) && row.unreachable_since_ms != 0
}

/// What one task adds to the counts.
pub(crate) fn counts_of(row: &TaskRow) -> Counts {
    let live = is_live(row);
    let reachable = row.unreachable_since_ms == 0;
    let wanted = live && row.desired_running && reachable;
    let starting = matches!(row.last_status(), TaskStatus::Provisioning | TaskStatus::Pending | TaskStatus::Activating);
    let running = reachable && row.last_status() == TaskStatus::Running;
    Counts { running: running.into(), pending: (wanted && starting).into(), live: live.into(), wanted: wanted.into() }
}
