//! `expected_version`: a write that must not meet another's change.

use std::sync::Arc;

use seawall_model::{
    ApiError, ClusterId, ErrorCode, InstanceId, JobId, MemberId, ScheduleId, ServiceId, TaskDefinitionId, TaskId,
};
use seawall_proto::internal::v1::{ResourceRef, command, resource_ref};

use super::Apply;
use crate::{AccountSettingKey, task_id};

/// A resource that a command changes.
enum Target {
    Member(MemberId),
    Cluster(ClusterId),
    Instance(InstanceId),
    TaskDefinition(TaskDefinitionId),
    Service(ServiceId),
    Task(TaskId),
    CapacityProvider((u32, String)),
    AccountSetting(AccountSettingKey),
    AccessKey(String),
    Zone(String),
    Schedule(ScheduleId),
    Job(JobId),
}

impl Apply<'_> {
    /// Holds the version that the caller saw against each resource that the command changes. What it makes anew has the
    /// version of what stands in its place: a service or cluster of that name, a family's last revision, a task's cluster.
    pub(super) fn check_version(&self, kind: &command::Kind, expected: u64) -> Result<(), ApiError> {
        if expected == 0 {
            return Ok(());
        }
        let targets = self.targets(kind);
        let found = if targets.is_empty() { vec![None] } else { targets.iter().map(|t| self.version(t)).collect() };
        match found.into_iter().find(|version| *version != Some(expected)) {
            None => Ok(()),
            Some(Some(version)) => Err(mismatch(format!("The version of the resource is {version}, not {expected}."))),
            Some(None) => Err(mismatch(format!("There is no resource that could have the version {expected}."))),
        }
    }

    fn targets(&self, kind: &command::Kind) -> Vec<Target> {
        use command::Kind;
        let instance = |id: &u64| Target::Instance(InstanceId(*id));
        match kind {
            Kind::InitCluster(_) | Kind::RaiseClusterVersion(_) => Vec::new(),
            Kind::SealHistory(_) | Kind::DropHistory(_) => Vec::new(),
            Kind::PutToken(_) | Kind::UseToken(_) | Kind::DropToken(_) => Vec::new(),
            Kind::PutMember(it) => it.member.iter().map(|row| Target::Member(MemberId(row.id))).collect(),
            Kind::DropMember(it) => vec![Target::Member(MemberId(it.member_id))],
            Kind::ConnectInstance(it) => {
                let row = it.identity.as_ref().and_then(|id| self.state.instance_by_ec2_id(&id.ec2_instance_id));
                row.map(|row| instance(&row.id)).into_iter().collect()
            }
            Kind::DisconnectInstances(it) => it.items.iter().map(|item| instance(&item.instance_id)).collect(),
            Kind::EndGuardedTasks(it) => it.items.iter().map(|item| instance(&item.instance_id)).collect(),
            Kind::ReportTasks(it) => it.items.iter().map(|item| instance(&item.instance_id)).collect(),
            Kind::SetInstancesStatus(it) => it.instance_ids.iter().map(instance).collect(),
            Kind::DeregisterInstance(it) => vec![instance(&it.instance_id)],
            Kind::PutAttributes(it) => it.items.iter().map(|item| instance(&item.instance_id)).collect(),
            Kind::DeleteAttributes(it) => it.items.iter().map(|item| instance(&item.instance_id)).collect(),
            Kind::CreateCluster(it) => {
                let row = self.state.cluster_by_name(it.account, &it.name);
                row.map(|row| Target::Cluster(ClusterId(row.id))).into_iter().collect()
            }
            Kind::DeleteCluster(it) => vec![Target::Cluster(ClusterId(it.cluster_id))],
            Kind::UpdateCluster(it) => vec![Target::Cluster(ClusterId(it.cluster_id))],
            Kind::PutClusterCapacityProviders(it) => vec![Target::Cluster(ClusterId(it.cluster_id))],
            Kind::CreateCapacityProvider(it) => vec![self.capacity_provider(&it.name)],
            Kind::UpdateCapacityProvider(it) => vec![self.capacity_provider(&it.name)],
            Kind::DeleteCapacityProvider(it) => vec![self.capacity_provider(&it.name)],
            Kind::RegisterTaskDefinition(it) => {
                let family = it.definition.as_ref().map_or("", |definition| definition.family());
                self.last_revision(family).into_iter().collect()
            }
            Kind::DeregisterTaskDefinition(it) => {
                vec![Target::TaskDefinition(TaskDefinitionId(it.task_definition_id))]
            }
            Kind::DeleteTaskDefinitions(it) => {
                it.task_definition_ids.iter().map(|id| Target::TaskDefinition(TaskDefinitionId(*id))).collect()
            }
            Kind::ProtectTasks(it) => it.tasks.iter().map(|id| Target::Task(task_id(id))).collect(),
            Kind::PlaceTasks(it) if it.service_id != 0 => vec![Target::Service(ServiceId(it.service_id))],
            Kind::PlaceTasks(it) => vec![Target::Cluster(ClusterId(it.cluster_id))],
            Kind::StopTasks(it) => it.tasks.iter().map(|id| Target::Task(task_id(id))).collect(),
            Kind::CreateService(it) => {
                let name = it.spec.as_ref().map_or("", |spec| spec.service_name());
                let row = self.state.service_by_name(ClusterId(it.cluster_id), name);
                row.map(|row| Target::Service(ServiceId(row.id))).into_iter().collect()
            }
            Kind::UpdateService(it) => vec![Target::Service(ServiceId(it.service_id))],
            Kind::DeleteService(it) => vec![Target::Service(ServiceId(it.service_id))],
            Kind::ServiceStep(it) => vec![Target::Service(ServiceId(it.service_id))],
            Kind::StopServiceDeployment(it) => vec![Target::Service(ServiceId(it.service_id))],
            Kind::TagResource(it) => self.resource(it.resource.as_ref()).into_iter().collect(),
            Kind::UntagResource(it) => self.resource(it.resource.as_ref()).into_iter().collect(),
            Kind::PutAccountSetting(it) => vec![self.account_setting(&it.principal_arn, &it.name)],
            Kind::DeleteAccountSetting(it) => vec![self.account_setting(&it.principal_arn, &it.name)],
            Kind::PutAccessKey(it) => it.key.iter().map(|row| Target::AccessKey(row.id.clone())).collect(),
            Kind::SetAccessKeyStatus(it) => vec![Target::AccessKey(it.id.clone())],
            Kind::DropAccessKey(it) => vec![Target::AccessKey(it.id.clone())],
            Kind::CordonInstance(it) => vec![instance(&it.instance_id)],
            Kind::SetZone(it) => vec![Target::Zone(it.zone.clone())],
            Kind::CreateSchedule(it) => {
                let row = self.state.schedule_by_name(ClusterId(it.cluster_id), &it.name);
                row.map(|row| Target::Schedule(ScheduleId(row.id))).into_iter().collect()
            }
            Kind::UpdateSchedule(it) => vec![Target::Schedule(ScheduleId(it.schedule_id))],
            Kind::DeleteSchedule(it) => vec![Target::Schedule(ScheduleId(it.schedule_id))],
            Kind::FireSchedule(it) => vec![Target::Schedule(ScheduleId(it.schedule_id))],
            Kind::CreateJob(it) => {
                let row = self.state.job_by_name(ClusterId(it.cluster_id), &it.name);
                row.map(|row| Target::Job(JobId(row.id))).into_iter().collect()
            }
            Kind::StopJob(it) => vec![Target::Job(JobId(it.job_id))],
            Kind::JobStep(it) => vec![Target::Job(JobId(it.job_id))],
            Kind::PlaceWaiting(it) => vec![Target::Cluster(ClusterId(it.cluster_id))],
            Kind::ReclaimInstance(it) => vec![instance(&it.instance_id)],
        }
    }

    fn last_revision(&self, family: &str) -> Option<Target> {
        let account = self.principal.account;
        let last = self.state.families.get(&(account, family.to_owned()))?.last_revision;
        let row = self.state.task_definition(account, family, last)?;
        Some(Target::TaskDefinition(TaskDefinitionId(row.id)))
    }

    fn capacity_provider(&self, name: &str) -> Target {
        Target::CapacityProvider((self.principal.account, name.to_owned()))
    }

    fn account_setting(&self, principal_arn: &str, name: &str) -> Target {
        Target::AccountSetting((self.principal.account, principal_arn.to_owned(), name.to_owned()))
    }

    fn resource(&self, resource: Option<&ResourceRef>) -> Option<Target> {
        Some(match resource?.kind.as_ref()? {
            resource_ref::Kind::ClusterId(id) => Target::Cluster(ClusterId(*id)),
            resource_ref::Kind::InstanceId(id) => Target::Instance(InstanceId(*id)),
            resource_ref::Kind::TaskDefinitionId(id) => Target::TaskDefinition(TaskDefinitionId(*id)),
            resource_ref::Kind::ServiceId(id) => Target::Service(ServiceId(*id)),
            resource_ref::Kind::TaskId(id) => Target::Task(task_id(id)),
            resource_ref::Kind::CapacityProvider(name) => self.capacity_provider(name),
        })
    }

    fn version(&self, target: &Target) -> Option<u64> {
        let state = &self.state;
        match target {
            Target::Member(id) => state.members.get(&id.0).map(|row| row.changed),
            Target::Cluster(id) => state.clusters.get(id).map(|row| row.changed),
            Target::Instance(id) => state.instances.get(id).map(|row| row.changed),
            Target::TaskDefinition(id) => state.task_definitions.get(id).map(|row| row.changed),
            Target::Service(id) => state.services.get(id).map(|row| row.changed),
            Target::CapacityProvider(key) => state.capacity_providers.get(key).map(|row| row.changed),
            Target::AccountSetting(key) => state.account_settings.get(key).map(|row| row.changed),
            Target::Task(id) => state.tasks.get(id).map(Arc::as_ref).map(|row| row.changed),
            Target::AccessKey(id) => state.access_keys.get(id).map(|row| row.changed),
            Target::Zone(name) => state.zones.get(name).map(|row| row.changed),
            Target::Schedule(id) => state.schedules.get(id).map(|row| row.changed),
            Target::Job(id) => state.jobs.get(id).map(|row| row.changed),
        }
    }
}

fn mismatch(message: String) -> ApiError {
    ApiError::new(ErrorCode::VersionMismatch, message)
}
