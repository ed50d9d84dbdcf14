//! The replicated state: tables, and the one way to change them.
//!
//! [`State::apply`] is the same code on every member. It reads no clock, no random source, no file and no socket; ids and
//! times travel in the command. Equal logs give equal states, and equal [`State::hash`]es.
//!
//! It is the only authority on what is allowed: the server rehearses every client's command on a clone of the state and
//! hands a refusal back without proposing it.

mod apply;
mod breaker;
mod check;
mod decision;
mod effects;
mod error;
mod history;
mod index;
mod query;
mod revision;
mod size;
mod snapshot;
mod table;
mod tally;
mod waiters;

use std::sync::Arc;

use prost::Message;
use seawall_model::{
    ClusterId, DeploymentId, InstanceId, JobId, LossPolicy, ScheduleId, ServiceId, TaskDefinitionId, TaskId, own_tags,
};
use seawall_proto::internal::v1::{
    AccessKeyRow, AccountSettingRow, CapacityProviderRow, ClientTokenRow, ClusterRow, DecisionRow, FamilyRow,
    ForwardRow, ForwardedRow, HistoryRow, HistorySegmentRow, InstanceRow, InvocationRow, JobRow, JobStatus, MemberRow,
    MetaRow, ScheduleRow, ServiceDeploymentRow, ServiceDeploymentStatus, ServiceRevisionRow, ServiceRow,
    TaskDefinitionRow, TaskRow, TokenRow, ZoneRow,
};
use seawall_proto::v1::Tag;
use xxhash_rust::xxh3::Xxh3;

pub use apply::{DEFAULT_LIMITS, FARGATE_SPOT, PREDEFINED_CAPACITY_PROVIDERS, check_strategy, holds_place, places};
pub use breaker::CircuitBreaker;
pub use decision::DECISION_BYTES_MAX;
pub use effects::{Change, Effects};
pub use error::{error_of, refusal_of};
pub use history::{HISTORY_OPEN_BYTES_MAX, HistoryKey, history_key, history_place};
pub use index::Indexes;
pub use query::{job_group, service_group};
pub use size::{effective_size, fixed_ports, parse_cpu, parse_memory, size_of};
pub use snapshot::{CHUNK_BYTES, Chunk, Restore, RestoreError};
pub use table::{Table, TableHash};
pub use tally::{ClusterCounts, Counts, Statuses, Usage};
pub use waiters::Waiter;

/// What `apply` of this version knows: a new cluster has it from the start, others once it is raised.
pub const CLUSTER_VERSION: u32 = 2;
/// The attribute that every task shows of its instance.
pub const ARCHITECTURE_ATTRIBUTE: &str = "ecs.cpu-architecture";

/// The attribute by which a task shows its fencing token.
pub const FENCING_TOKEN_ATTRIBUTE: &str = "seawall.fencing-token";
/// The attribute of instances whose agents can run a guard.
pub const GUARD_ATTRIBUTE: &str = "seawall.guard";

/// (account, cluster, operation, token)
pub type ClientTokenKey = (u32, u64, String, String);

/// The scheduling strategy of services that have one task on each instance.
pub const DAEMON: &str = "DAEMON";

/// Room that a base leaves for the ids of one placement ([`seawall_model::Id128::time_ordered`]).
const PLACEMENTS_MAX: u32 = 1 << 16;

/// Tables of the first version are numbered up to here.
const FIRST_TABLES: u8 = 11;

/// (account, principal's ARN or empty, name)
pub type AccountSettingKey = (u32, String, String);

/// (invocation id, ordinal of the command)
pub type InvocationKey = (String, u32);

/// Everything the cluster knows. Cloning is cheap (persistent maps): readers, planners and snapshots hold copies.
///
/// Fields are read by everyone and written by `apply` only. Indexes are derived from rows, so they are neither hashed nor
/// in snapshots.
#[derive(Clone)]
pub struct State {
    /// Fixed at formation, and counters.
    pub meta: Arc<MetaRow>,
    /// Schedulers.
    pub members: Table<u64, MemberRow>,
    /// Join tokens by id.
    pub tokens: Table<String, TokenRow>,
    /// Clusters, deleted ones included.
    pub clusters: Table<ClusterId, ClusterRow>,
    /// Container instances; deregistered ones leave.
    pub instances: Table<InstanceId, InstanceRow>,
    /// Revisions of task definitions.
    pub task_definitions: Table<TaskDefinitionId, TaskDefinitionRow>,
    /// The last revision given out, by (account, family).
    pub families: Table<(u32, String), FamilyRow>,
    /// Services, the last deleted ones included.
    pub services: Table<ServiceId, ServiceRow>,
    /// Tasks, stopped ones included up to the limit of each cluster.
    pub tasks: Table<TaskId, TaskRow>,
    /// Forwarding sessions, by member.
    pub forwards: Table<u64, ForwardRow>,
    /// What forwarded writes answered, by (member, serial).
    pub forwarded: Table<(u64, u64), ForwardedRow>,
    /// What services ran and run, by service and deployment.
    pub service_revisions: Table<(ServiceId, u64), ServiceRevisionRow>,
    /// The last changes of what services run.
    pub service_deployments: Table<(ServiceId, String), ServiceDeploymentRow>,
    /// Live client tokens.
    pub client_tokens: Table<ClientTokenKey, ClientTokenRow>,
    /// Capacity providers but FARGATE and FARGATE_SPOT, by (account, name).
    pub capacity_providers: Table<(u32, String), CapacityProviderRow>,
    /// Account settings that were set, by (account, principal's ARN, name).
    pub account_settings: Table<AccountSettingKey, AccountSettingRow>,
    /// What calls of SDKs answered lately, by (invocation id, ordinal of the command).
    pub invocations: Table<InvocationKey, InvocationRow>,
    /// Clients' access keys by id.
    pub access_keys: Table<String, AccessKeyRow>,
    /// Segments of history that members hold as files, by their first record.
    pub history_segments: Table<HistoryKey, HistorySegmentRow>,
    /// Records that left the other tables and are in no segment yet.
    pub history_open: Table<HistoryKey, HistoryRow>,
    /// Zones that are fenced, by name.
    pub zones: Table<String, ZoneRow>,
    /// When jobs begin.
    pub schedules: Table<ScheduleId, ScheduleRow>,
    /// Jobs, the last that are over included.
    pub jobs: Table<JobId, JobRow>,
    /// How the planner decided, by the id that the tasks of a placement begin at.
    pub decisions: Table<TaskId, DecisionRow>,
    /// Derived.
    pub index: Indexes,
}

impl Default for State {
    fn default() -> Self {
        State::new()
    }
}

impl State {
    /// The state before the first entry.
    pub fn new() -> State {
        State {
            meta: Arc::new(MetaRow { next_id: 1, ..MetaRow::default() }),
            members: Table::new(1),
            tokens: Table::new(2),
            clusters: Table::new(3),
            instances: Table::new(4),
            task_definitions: Table::new(5),
            families: Table::new(6),
            services: Table::new(7),
            tasks: Table::new(8),
            forwards: Table::new(9),
            client_tokens: Table::new(10),
            forwarded: Table::new(11),
            invocations: Table::new(16),
            capacity_providers: Table::new(17),
            account_settings: Table::new(19),
            access_keys: Table::new(12),
            history_segments: Table::new(13),
            history_open: Table::new(18),
            zones: Table::new(23),
            service_deployments: Table::new(14),
            service_revisions: Table::new(15),
            schedules: Table::new(20),
            jobs: Table::new(21),
            decisions: Table::new(65),
            index: Indexes::default(),
        }
    }

    /// The hash over every row: equal on members that applied the same entries.
    pub fn hash(&self) -> u128 {
        let mut hash = Xxh3::new();
        hash.update(&self.meta.encode_to_vec());
        // An empty table of a later version adds nothing: members of both versions agree until it is used.
        for (number, table) in self.table_hashes().into_iter().filter(|(n, t)| *n <= FIRST_TABLES || t.0 != 0) {
            hash.update(&[number]);
            hash.update(&table.0.to_le_bytes());
        }
        hash.digest128()
    }

    /// The hash of each table, with its number: tells where two states differ.
    pub fn table_hashes(&self) -> Vec<(u8, TableHash)> {
        vec![
            (self.members.number(), self.members.hash()),
            (self.tokens.number(), self.tokens.hash()),
            (self.clusters.number(), self.clusters.hash()),
            (self.instances.number(), self.instances.hash()),
            (self.task_definitions.number(), self.task_definitions.hash()),
            (self.families.number(), self.families.hash()),
            (self.services.number(), self.services.hash()),
            (self.tasks.number(), self.tasks.hash()),
            (self.forwards.number(), self.forwards.hash()),
            (self.client_tokens.number(), self.client_tokens.hash()),
            (self.forwarded.number(), self.forwarded.hash()),
            (self.invocations.number(), self.invocations.hash()),
            (self.capacity_providers.number(), self.capacity_providers.hash()),
            (self.account_settings.number(), self.account_settings.hash()),
            (self.access_keys.number(), self.access_keys.hash()),
            (self.history_segments.number(), self.history_segments.hash()),
            (self.history_open.number(), self.history_open.hash()),
            (self.zones.number(), self.zones.hash()),
            (self.service_deployments.number(), self.service_deployments.hash()),
            (self.service_revisions.number(), self.service_revisions.hash()),
            (self.schedules.number(), self.schedules.hash()),
            (self.jobs.number(), self.jobs.hash()),
            (self.decisions.number(), self.decisions.hash()),
        ]
    }
}

/// A task's id, as messages carry it.
pub fn task_id(id: &seawall_proto::internal::v1::TaskId) -> TaskId {
    TaskId::from_halves(id.hi, id.lo)
}

/// A task's id, for messages.
pub fn task_id_message(id: TaskId) -> seawall_proto::internal::v1::TaskId {
    seawall_proto::internal::v1::TaskId { hi: id.hi(), lo: id.lo() }
}

/// The id of a task's row.
pub(crate) fn task_id_of(row: &TaskRow) -> TaskId {
    row.id.as_ref().map(task_id).unwrap_or_default()
}

/// The deployment that new tasks of a service belong to.
pub fn primary_deployment(service: &ServiceRow) -> Option<(DeploymentId, TaskDefinitionId)> {
    let primary = service.deployments.iter().find(|d| d.primary)?;
    Some((DeploymentId(primary.id), TaskDefinitionId(primary.task_definition_id)))
}

/// Whether a service has one task on each instance.
pub fn is_daemon(service: &ServiceRow) -> bool {
    service.spec.as_ref().is_some_and(|spec| spec.scheduling_strategy() == DAEMON)
}

/// Whether a service demands that all its tasks find a place without any one zone. A daemon has no place but its instances, so
/// nothing is asked for it.
pub fn tolerates_zone_loss(service: &ServiceRow) -> bool {
    own_tag(service, own_tags::ZONE_LOSS_TOLERANCE).unwrap_or(0) > 0 && !is_daemon(service)
}

/// The class of what has these tags.
pub fn priority_of(tags: &[Tag]) -> u32 {
    priority_said(tags).unwrap_or(own_tags::PRIORITY_DEFAULT)
}

/// The same where they say one.
pub fn priority_said(tags: &[Tag]) -> Option<u32> {
    tags.iter().find(|tag| tag.key() == own_tags::PRIORITY)?.value().parse().ok()
}

/// The number that a tag of Seawall's own ([`seawall_model::own_tags`]) holds. What it may hold was checked when it was set.
pub fn own_tag(service: &ServiceRow, key: &str) -> Option<u32> {
    service.tags.iter().find(|tag| tag.key() == key)?.value().parse().ok()
}

/// What becomes of the service's tasks whose instances fall silent. What may be said was checked when it was.
pub fn loss_policy(service: &ServiceRow) -> LossPolicy {
    let tag = service.tags.iter().find(|tag| tag.key() == own_tags::LOSS_POLICY);
    tag.and_then(|tag| LossPolicy::parse(tag.value()).ok()).unwrap_or_default()
}

/// Whether a service never has two tasks alive.
pub fn is_at_most_one(service: &ServiceRow) -> bool {
    loss_policy(service) == LossPolicy::AtMostOne
}

/// Whether tasks of such services may stand on an instance. What an API call says of it does not count.
pub fn has_guard(instance: &InstanceRow) -> bool {
    instance.attributes.iter().any(|attribute| attribute.name == GUARD_ATTRIBUTE && !attribute.custom)
}

/// Whether a service deployment has come to its end.
pub fn is_finished(status: ServiceDeploymentStatus) -> bool {
    use ServiceDeploymentStatus as Status;
    matches!(status, Status::Successful | Status::Stopped | Status::RollbackSuccessful | Status::RollbackFailed)
}

/// Whether a job has come to its end.
pub fn is_over(job: &JobRow) -> bool {
    matches!(job.status(), JobStatus::Succeeded | JobStatus::Failed | JobStatus::Stopped)
}
