//! A cluster of three instances whose only writers are the controllers of jobs and schedules. Agents do as they are told, and
//! tasks end as the test says. Time passes by hand.

use std::collections::BTreeMap;

use seawall_controllers::{ControllerPlan, Now, jobs, schedules};
use seawall_model::{ClusterId, Id128, InstanceId, JobId, ScheduleId, TaskId};
use seawall_proto::{
    internal::v1::{
        AgentIdentity, Command, ConnectInstance, ContainerRow, CreateJob, CreateSchedule, DisconnectInstances,
        InitCluster, JobRow, JobStatus, RegisterTaskDefinition, ReportTasks, Resources, ScheduleRow, StopCode,
        TaskReport, TaskRow, TaskSize, TaskStatus, command::Kind, disconnect_instances, reply, report_tasks,
    },
    v1::{ContainerDefinition, JobTemplate, ScheduleSpec, TaskDefinition},
};
use seawall_scheduler::{Fleet, Overlay};
use seawall_state::{State, is_over, task_id, task_id_message};

/// Passes without a change of the world after which a controller that still writes is taken to be stuck in a loop.
const PASSES_MAX: usize = 500;
pub const SECOND_MS: i64 = 1000;
pub const MINUTE_MS: i64 = 60 * SECOND_MS;

/// How a task ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    pub after_ms: i64,
    pub exit_code: i32,
}

pub struct World {
    pub state: State,
    pub now_ms: i64,
    pub hold: bool,
    /// Of the tasks in the order of their placement; those beyond run for ever.
    pub ends: Vec<End>,
    /// Commands of controllers that were applied.
    pub written: usize,
    order: Vec<TaskId>,
    sessions: BTreeMap<u64, (u64, u64, bool)>,
    index: u64,
    ids: u64,
}

pub fn template() -> JobTemplate {
    JobTemplate {
        task_definition: Some("job".into()),
        launch_type: Some("EC2".into()),
        completions: Some(1),
        parallelism: Some(1),
        retries: Some(3),
        retry_wait_seconds: Some(10),
        ..JobTemplate::default()
    }
}

impl World {
    pub fn new() -> World {
        let mut world = World {
            state: State::new(),
            // 28 March 2026, 12:00 in UTC.
            now_ms: 1_774_699_200_000,
            hold: false,
            ends: Vec::new(),
            written: 0,
            order: Vec::new(),
            sessions: BTreeMap::new(),
            index: 0,
            ids: 0,
        };
        world.done(Kind::InitCluster(InitCluster {
            cluster_id: vec![1; 16].into(),
            region: "us-local-1".into(),
            account: "000000000000".into(),
            ..Default::default()
        }));
        for (number, zone) in [(1, "a"), (2, "b"), (3, "c")] {
            world.connect(number, zone);
        }
        world.definition(1000);
        world
    }

    pub fn connect(&mut self, number: u64, zone: &str) {
        let identity = AgentIdentity {
            cluster: "default".into(),
            ec2_instance_id: format!("i-{number}"),
            zone: zone.into(),
            total: Some(Resources { cpu: 4000, memory: 4000, ..Default::default() }),
            ..Default::default()
        };
        let connect = ConnectInstance { identity: Some(identity), member_id: 1, new_arn_hi: 0, new_arn_lo: number };
        let reply::Kind::Connected(connected) = self.apply(Kind::ConnectInstance(connect)) else { panic!("refused") };
        self.sessions.insert(connected.instance_id, (connected.session, 0, true));
    }

    /// A revision of the family "job".
    pub fn definition(&mut self, cpu: u32) -> u64 {
        let container =
            ContainerDefinition { name: Some("main".into()), essential: Some(true), ..ContainerDefinition::default() };
        self.done(Kind::RegisterTaskDefinition(RegisterTaskDefinition {
            definition: Some(TaskDefinition {
                family: Some("job".into()),
                container_definitions: vec![container],
                ..TaskDefinition::default()
            }),
            size: Some(TaskSize { cpu, memory: 10, ..TaskSize::default() }),
            ..Default::default()
        }))
    }

    pub fn cluster(&self) -> ClusterId {
        ClusterId(self.state.cluster_by_name(0, "default").unwrap().id)
    }

    pub fn job(&mut self, template: JobTemplate) -> JobId {
        let (cluster_id, name) = (self.cluster().0, "migrate".to_owned());
        let create = CreateJob { cluster_id, name, template: Some(template), ..Default::default() };
        JobId(self.done(Kind::CreateJob(create)))
    }

    pub fn schedule(&mut self, spec: ScheduleSpec) -> ScheduleId {
        let spec = ScheduleSpec {
            time_zone: spec.time_zone.or(Some("UTC".into())),
            job: Some(template()),
            concurrency: spec.concurrency.or(Some("FORBID".into())),
            catch_up: spec.catch_up.or(Some("ONE".into())),
            jobs_kept: Some(100),
            state: Some("ENABLED".into()),
            ..spec
        };
        let create = CreateSchedule { cluster_id: self.cluster().0, name: "nightly".into(), spec: Some(spec) };
        ScheduleId(self.done(Kind::CreateSchedule(create)))
    }

    pub fn row(&self, job: JobId) -> JobRow {
        (**self.state.jobs.get(&job).unwrap()).clone()
    }

    pub fn schedule_row(&self, schedule: ScheduleId) -> ScheduleRow {
        (**self.state.schedules.get(&schedule).unwrap()).clone()
    }

    pub fn apply(&mut self, kind: Kind) -> reply::Kind {
        self.index += 1;
        let command = Command { cluster_time_ms: self.now_ms, kind: Some(kind), ..Command::default() };
        self.state.apply(self.index, &command).0.kind.unwrap()
    }

    pub fn done(&mut self, kind: Kind) -> u64 {
        match self.apply(kind) {
            reply::Kind::Done(done) => done.id,
            other => panic!("{other:?}"),
        }
    }

    fn now(&self) -> Now {
        Now { cluster_time_ms: self.now_ms, hold_replacement: self.hold, ..Now::default() }
    }

    pub fn plan_job(&self, job: JobId) -> ControllerPlan {
        jobs::plan(&Fleet::new(&self.state, &Overlay::default()), job, self.now())
    }

    pub fn plan_schedule(&self, schedule: ScheduleId) -> ControllerPlan {
        schedules::plan(&self.state, schedule, self.now())
    }

    /// Every plan there is.
    fn plans(&self) -> Vec<ControllerPlan> {
        let schedules = self.state.schedules.iter().map(|(id, _)| self.plan_schedule(*id));
        schedules.chain(self.state.jobs.iter().map(|(id, _)| self.plan_job(*id))).collect()
    }

    /// Applies a plan; each of its commands must do what it says.
    pub fn execute(&mut self, plan: ControllerPlan) {
        for mut kind in plan.commands {
            self.written += 1;
            if let Kind::PlaceTasks(place) = &mut kind {
                self.ids += 1;
                place.base = Some(task_id_message(Id128::time_ordered(self.now_ms, self.ids)));
            }
            match self.apply(kind) {
                reply::Kind::Placed(placed) if placed.rejected.is_empty() => {
                    self.order.extend(placed.tasks.iter().map(task_id));
                }
                reply::Kind::Done(_) => {}
                other => panic!("{other:?} to\n{}", plan.text),
            }
        }
    }

    /// Runs the controllers until they have nothing to do.
    pub fn reconcile(&mut self) {
        for _ in 0..PASSES_MAX {
            let Some(plan) = self.plans().into_iter().find(|plan| !plan.commands.is_empty()) else { return };
            self.execute(plan);
        }
        panic!("the controllers never come to rest");
    }

    /// Lets time pass, a second at a time.
    pub fn pass(&mut self, length_ms: i64) {
        let until_ms = self.now_ms + length_ms;
        while self.now_ms < until_ms {
            self.reconcile();
            self.agents();
            self.now_ms += SECOND_MS;
        }
        self.reconcile();
    }

    /// The same until a job is over.
    pub fn pass_until_over(&mut self, job: JobId, max_ms: i64) -> JobRow {
        let until_ms = self.now_ms + max_ms;
        while self.now_ms < until_ms && !is_over(&self.row(job)) {
            self.pass(SECOND_MS);
        }
        let row = self.row(job);
        assert!(is_over(&row), "not over after {max_ms} ms: {row:?}");
        row
    }

    pub fn live(&self) -> Vec<TaskRow> {
        let live = |row: &TaskRow| row.last_status() != TaskStatus::Stopped;
        self.state.tasks.iter().map(|(_, row)| TaskRow::clone(row)).filter(live).collect()
    }

    pub fn placed(&self) -> usize {
        self.order.len()
    }

    pub fn silence(&mut self, instance: InstanceId) {
        let session = self.sessions.get_mut(&instance.0).unwrap();
        session.2 = false;
        let items = vec![disconnect_instances::Item { instance_id: instance.0, session: session.0 }];
        self.done(Kind::DisconnectInstances(DisconnectInstances { items, lost: true }));
    }

    /// Agents that are reachable do what they were told, and say so.
    pub fn agents(&mut self) {
        let instances: Vec<u64> = self.sessions.iter().filter(|(_, s)| s.2).map(|(id, _)| *id).collect();
        for id in instances {
            let tasks: Vec<TaskReport> =
                self.state.tasks_of_instance(InstanceId(id)).filter_map(|task| self.report(task)).collect();
            if tasks.is_empty() {
                continue;
            }
            let session = self.sessions.get_mut(&id).unwrap();
            session.1 += 1;
            let items = vec![report_tasks::Item { instance_id: id, session: session.0, sequence: session.1, tasks }];
            self.done(Kind::ReportTasks(ReportTasks { items }));
        }
    }

    fn report(&self, task: &TaskRow) -> Option<TaskReport> {
        let id = task.id.as_ref().map(task_id).unwrap();
        let end = self.order.iter().position(|placed| *placed == id).and_then(|at| self.ends.get(at));
        let report = TaskReport { task: task.id, ..TaskReport::default() };
        let stopped = |code: StopCode, exit_code: i32| TaskReport {
            status: TaskStatus::Stopped.into(),
            stop_code: code.into(),
            containers: vec![ContainerRow { exit_code: Some(exit_code), ..ContainerRow::default() }],
            ..report.clone()
        };
        match (task.desired_running, task.last_status(), end) {
            (false, ..) => Some(stopped(StopCode::Unspecified, 143)),
            (_, TaskStatus::Pending, _) => Some(TaskReport { status: TaskStatus::Running.into(), ..report }),
            (_, _, Some(end)) if self.now_ms >= task.created_at_ms + end.after_ms => {
                Some(stopped(StopCode::EssentialContainerExited, end.exit_code))
            }
            _ => None,
        }
    }
}

pub fn ends(exit_codes: &[i32]) -> Vec<End> {
    exit_codes.iter().map(|exit_code| End { after_ms: 3 * SECOND_MS, exit_code: *exit_code }).collect()
}

pub fn status(row: &JobRow) -> (JobStatus, u32, u32) {
    (row.status(), row.succeeded, row.failed)
}
