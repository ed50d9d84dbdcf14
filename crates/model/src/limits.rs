//! Named limits. Past one: a typed error that names it.

/// Longest name of a cluster, service or family.
pub const NAME_CHARS_MAX: usize = 255;
/// A request's body.
pub const REQUEST_BYTES_MAX: usize = 1 << 20;
/// One command in the log.
pub const COMMAND_BYTES_MAX: usize = 256 << 10;
/// One log entry.
pub const ENTRY_BYTES_MAX: usize = 1 << 20;
/// The batcher closes an entry at this size…
pub const BATCH_BYTES: usize = 256 << 10;
/// …or at this many commands.
pub const BATCH_COMMANDS: usize = 4096;
/// Writes that may wait for the proposer on one member.
pub const WRITES_WAITING_MAX: usize = 8192;
/// Bytes of writes that may wait for the proposer on one member.
pub const WRITES_WAITING_BYTES_MAX: usize = 64 << 20;
/// Tags of one resource.
pub const TAGS_MAX: usize = 50;
/// Custom attributes of one instance.
pub const ATTRIBUTES_MAX: usize = 10;
/// Access keys of clients.
pub const ACCESS_KEYS_MAX: usize = 1000;
/// What says what an access key is for.
pub const KEY_DESCRIPTION_CHARS_MAX: usize = 255;
/// RunTask's count.
pub const RUN_TASK_COUNT_MAX: u32 = 10;
/// StartTask's instances.
pub const START_TASK_INSTANCES_MAX: usize = 10;
/// DescribeServices.
pub const DESCRIBE_SERVICES_MAX: usize = 10;
/// DescribeServiceDeployments.
pub const DESCRIBE_SERVICE_DEPLOYMENTS_MAX: usize = 20;
/// DescribeServiceRevisions.
pub const DESCRIBE_SERVICE_REVISIONS_MAX: usize = 20;
/// DescribeTasks, DescribeContainerInstances and DescribeClusters.
pub const DESCRIBE_MAX: usize = 100;
/// A task definition as JSON.
pub const TASK_DEFINITION_BYTES_MAX: usize = 64 << 10;
/// Containers of a task definition.
pub const CONTAINERS_MAX: usize = 10;
/// Tasks of one service.
pub const SERVICE_TASKS_MAX: u32 = 5000;
/// One message between members or with an agent.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// Assignments in one chunk of a full sync.
pub const SYNC_CHUNK: usize = 64;
/// Watch: changes that each member keeps.
pub const WATCH_BYTES: usize = 64 << 20;
/// Watch: streams of one member.
pub const WATCHERS_MAX: usize = 1024;
/// Logs: chunks that an agent sends before their reader has taken any.
pub const LOG_CHUNKS_AHEAD: usize = 64;
/// Schedules of one cluster.
pub const SCHEDULES_MAX: u32 = 5000;
/// Longest name of a schedule, as EventBridge has it: the names of its jobs begin with it.
pub const SCHEDULE_NAME_CHARS_MAX: usize = 64;
/// Jobs of one schedule that are kept once they have ended.
pub const SCHEDULE_JOBS_KEPT_MAX: u32 = 100;
/// Jobs of one schedule that are not over, where it lets several run at once.
pub const SCHEDULE_JOBS_ACTIVE_MAX: usize = 100;
/// Jobs of one cluster that are not over.
pub const JOBS_ACTIVE_MAX: u32 = 5000;
/// Jobs of one cluster that are kept once they have ended.
pub const JOBS_KEPT: u32 = 1000;
/// Longest name of a job: `job/<name>` says who started its tasks.
pub const JOB_NAME_CHARS_MAX: usize = 100;
/// Tasks of one job that must succeed.
pub const JOB_COMPLETIONS_MAX: u32 = 10_000;
/// Tasks of one job at once.
pub const JOB_PARALLELISM_MAX: u32 = 1000;
/// Failed tasks of one job that are replaced.
pub const JOB_RETRIES_MAX: u32 = 1000;
/// Longest time that a job, or the delay of its beginning, may be limited to.
pub const JOB_DEADLINE_S_MAX: u64 = 90 * 24 * 60 * 60;
/// Longest wait before a job's retry.
pub const JOB_RETRY_WAIT_S_MAX: u64 = 10 * 60;
/// Tasks of one cluster that wait for room, as ECS's quota has it.
pub const PROVISIONING_TASKS_MAX: usize = 500;
/// Longest notice before spot capacity goes.
pub const RECLAIM_NOTICE_MS_MAX: u64 = 60 * 60 * 1000;

/// How long a task with a fencing token may live from when its agent sent the beat that the last grant answers. Part of the
/// protocol: a leader with a shorter one would not wait out the grants of another.
pub const GUARD_LEASE_MS: u32 = 9000;
/// How long a guard may take to end a task whose time is over.
pub const GUARD_STOP_MS: u32 = 2000;
