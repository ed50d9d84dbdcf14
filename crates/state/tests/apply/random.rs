//! What holds after any sequence of commands.

use std::sync::Arc;

use proptest::{collection::vec, prelude::*};
use seawall_model::{ClusterId, Id128, InstanceId, ServiceId, TaskDefinitionId, TaskId};
use seawall_proto::{
    internal::v1::{
        AccessKeyRow, AgentIdentity, BackoffRow, ClientToken, Command, ConnectInstance, ContainerRow, CreateCluster,
        CreateJob, CreateSchedule, CreateService, Decision, DeleteAttributes, DeleteCluster, DeleteSchedule,
        DeleteService, DeploymentRow, DeregisterInstance, DeregisterTaskDefinition, DropAccessKey, DropHistory,
        DropMember, DropToken, EndGuardedTasks, FireSchedule, ForwardId, HistorySegmentRow, InstanceAttribute,
        JobDeployment, JobStep, MemberRow, PlaceTasks, PlaceWaiting, PortNeed, PutAccessKey, PutAttributes, PutMember,
        PutToken, RaiseClusterVersion, ReclaimInstance, ReportTasks, ResourceRef, Resources, RolloutState, SealHistory,
        ServiceEventRow, ServiceStep, SetAccessKeyStatus, SetInstancesStatus, StopJob, StopServiceDeployment,
        StopTasks, TagResource, TaskReport, TaskRow, TaskSize, TaskStatus, TokenRow, UntagResource, UpdateSchedule,
        UpdateService, UseToken, WaitingRow, disconnect_instances, place_tasks, place_waiting, put_attributes, reply,
        report_tasks, resource_ref,
    },
    v1::{CreateServiceRequest, JobTemplate, ScheduleSpec, ServiceConnectConfiguration, Tag, TaskOverride},
};
use seawall_state::{Change, GUARD_ATTRIBUTE, State, history_place, is_at_most_one, task_id, task_id_message};

use crate::{fixture::*, snapshot::restored};

const POLICY: &str = "seawall:loss-policy";

/// Small numbers from which a command is made: small so that they meet each other, and shrink.
pub type Dice = (u8, [u8; 8]);

/// Makes commands that fit the state more often than not.
pub struct Maker<'a> {
    pub state: &'a State,
    pub dice: [u8; 8],
    pub serial: u64,
}

impl Maker<'_> {
    fn d(&self, place: usize) -> usize {
        usize::from(self.dice[place])
    }

    fn flag(&self, place: usize) -> bool {
        self.dice[place] % 2 == 1
    }

    /// One of `ids`, now and then one that does not exist.
    fn one<T>(&self, place: usize, ids: Vec<T>, none: T) -> T {
        match self.d(place) {
            255 => none,
            _ if ids.is_empty() => none,
            n => {
                let n = n % ids.len();
                ids.into_iter().nth(n).unwrap_or(none)
            }
        }
    }

    fn cluster(&self, place: usize) -> u64 {
        self.one(place, self.state.clusters.iter().map(|(id, _)| id.0).collect(), u64::MAX)
    }

    fn instance(&self, place: usize) -> u64 {
        self.one(place, self.state.instances.iter().map(|(id, _)| id.0).collect(), u64::MAX)
    }

    fn definition(&self, place: usize) -> u64 {
        self.one(place, self.state.task_definitions.iter().map(|(id, _)| id.0).collect(), 0)
    }

    fn service(&self, place: usize) -> u64 {
        self.one(place, self.state.services.iter().map(|(id, _)| id.0).collect(), u64::MAX)
    }

    fn schedule(&self, place: usize) -> u64 {
        self.one(place, self.state.schedules.iter().map(|(id, _)| id.0).collect(), 0)
    }

    fn job(&self, place: usize) -> u64 {
        self.one(place, self.state.jobs.iter().map(|(id, _)| id.0).collect(), 0)
    }

    fn template(&self) -> JobTemplate {
        JobTemplate {
            task_definition: Some(["web", "db", "db:1"][self.d(4) % 3].into()),
            completions: Some(1 + (self.d(5) % 3) as u32),
            parallelism: Some(1 + (self.d(6) % 3) as u32),
            ..JobTemplate::default()
        }
    }

    fn schedule_spec(&self) -> ScheduleSpec {
        ScheduleSpec {
            expression: self.flag(2).then(|| format!("rate({} minutes)", self.d(3))),
            job: Some(self.template()),
            concurrency: Some(["FORBID", "ALLOW"][self.d(3) % 2].into()),
            jobs_kept: Some((self.d(4) % 3) as u32),
            state: Some(["ENABLED", "DISABLED"][self.d(7) % 4 / 3].into()),
            ..ScheduleSpec::default()
        }
    }

    fn job_deployment(&self) -> JobDeployment {
        let service_id = self.service(6);
        let primary = self.state.services.get(&ServiceId(service_id)).and_then(|row| row.deployments.first());
        JobDeployment {
            service_id,
            from_deployment_id: primary.map_or(0, |primary| primary.id),
            deployment_id: self.serial,
            service_deployment_id: self.service_deployment(),
        }
    }

    fn schedule_or_job(&self) -> Kind {
        let (schedule_id, job_id, cluster_id) = (self.schedule(1), self.job(1), self.cluster(2));
        match self.d(0) % 7 {
            0 => Kind::CreateSchedule(CreateSchedule {
                cluster_id,
                name: format!("n{}", self.d(3) % 3),
                spec: Some(self.schedule_spec()),
            }),
            1 => Kind::UpdateSchedule(UpdateSchedule { schedule_id, spec: Some(self.schedule_spec()) }),
            2 => Kind::DeleteSchedule(DeleteSchedule { schedule_id }),
            3 => {
                let row = self.state.schedules.iter().find(|(id, _)| id.0 == schedule_id).map(|(_, row)| row);
                Kind::FireSchedule(FireSchedule {
                    schedule_id,
                    schedule_version: row.map_or(0, |row| row.changed - u64::from(self.d(2).is_multiple_of(6))),
                    tick_ms: row.map_or(0, |row| row.handled_ms) + i64::from(self.dice[3]) - 20,
                    missed: u32::from(self.dice[4]),
                    job_name: format!("j{}", self.d(5) % 3),
                })
            }
            4 => Kind::CreateJob(CreateJob {
                cluster_id,
                name: format!("j{}", self.d(5) % 3),
                template: Some(self.template()),
                schedule_id: if self.flag(3) { schedule_id } else { 0 },
                deploy: self.flag(6).then(|| self.job_deployment()),
            }),
            5 => Kind::StopJob(StopJob { job_id, reason: "ü".repeat(700) }),
            _ => {
                let row = self.state.jobs.iter().find(|(id, _)| id.0 == job_id).map(|(_, row)| row);
                Kind::JobStep(JobStep {
                    job_id,
                    job_version: row.map_or(0, |row| row.changed - u64::from(self.d(2).is_multiple_of(6))),
                    status: i32::from(self.dice[3] % 6),
                    unplaced_reason: self.flag(4).then(|| "why".into()),
                    ..JobStep::default()
                })
            }
        }
    }

    fn task(&self, place: usize) -> TaskId {
        self.one(place, self.state.tasks.iter().map(|(id, _)| *id).collect(), Id128(u128::MAX))
    }

    fn size(&self) -> TaskSize {
        let need = |host_port| PortNeed { container: 0, container_port: 80, host_port, udp: self.flag(5) };
        let ports = match self.d(4) % 4 {
            0 => vec![need(80)],
            1 => vec![need(0), need(81)],
            2 => vec![],
            _ => vec![need(80), need(u32::from(self.dice[6]) * 300)],
        };
        TaskSize { cpu: self.d(2) as u32 * 3, memory: self.d(3) as u32, ports, required_attributes: vec![] }
    }

    /// That of a new one; none for a command of an older version.
    fn service_deployment(&self) -> String {
        if self.d(3).is_multiple_of(4) { String::new() } else { service_deployment_id(self.serial) }
    }

    fn begun_service_deployment(&self) -> String {
        let ids = self.state.service_deployments.iter().map(|((_, id), _)| id.clone()).collect();
        self.one(1, ids, String::new())
    }

    fn spec(&self) -> CreateServiceRequest {
        CreateServiceRequest {
            service_name: Some(format!("s{}", self.d(1) % 3)),
            desired_count: Some(self.d(2) as i32 % 7 - 1),
            scheduling_strategy: self.flag(5).then(|| "DAEMON".into()),
            platform_version: self.flag(6).then(|| "1.4.0".into()),
            service_connect_configuration: self.flag(7).then(|| ServiceConnectConfiguration {
                enabled: Some(self.flag(4)),
                namespace: Some("here".into()),
                ..ServiceConnectConfiguration::default()
            }),
            ..CreateServiceRequest::default()
        }
    }

    fn placement(&self, base: u64) -> PlaceTasks {
        let services: Vec<ServiceId> = self.state.services.iter().map(|(id, _)| *id).filter(|_| self.flag(0)).collect();
        let service = self.one(1, services, ServiceId(0));
        let row = self.state.services.get(&service);
        let deployment = row.and_then(|row| row.deployments.first());
        let placement = |i: usize| place_tasks::Placement {
            instance_id: self.instance(3 + i % 5),
            note: "é".repeat(150),
            capacity_provider: if self.flag(2) { "big".into() } else { String::new() },
        };
        PlaceTasks {
            cluster_id: row.map_or(self.cluster(2), |row| row.cluster_id),
            task_definition_id: deployment.map_or_else(|| self.definition(1), |d| d.task_definition_id),
            service_id: service.0,
            deployment_id: deployment.map_or(0, |d| d.id),
            service_version: row.filter(|_| self.flag(6)).map_or(0, |row| row.changed),
            base: Some(task_id_message(Id128(u128::from(base) << 16))),
            placements: (0..self.d(5) % 6).map(placement).collect(),
            group: if self.flag(7) { "service:s1".into() } else { String::new() },
            partial: self.flag(4),
            wanted_before: (self.d(7) % 4) as u32,
            decision: self.flag(2).then(|| Decision { planner: 1, class: self.d(4) as u32, ..Decision::default() }),
            overrides: (self.d(7).is_multiple_of(5))
                .then(|| TaskOverride { cpu: Some("64".into()), ..TaskOverride::default() }),
            tags: vec![tag("a", "b")],
            wait: self.flag(3).then(WaitingRow::default),
            ..PlaceTasks::default()
        }
    }

    /// Of a job, more often than not one that it has room for.
    fn job_placement(&self) -> PlaceTasks {
        let place = self.placement(self.serial);
        let job_id = self.job(0);
        let Some((_, row)) = self.state.jobs.iter().find(|(id, _)| id.0 == job_id) else { return place };
        PlaceTasks {
            cluster_id: row.cluster_id,
            task_definition_id: row.task_definition_id,
            service_id: 0,
            job_id,
            group: seawall_state::job_group(&row.name),
            ..place
        }
    }

    fn waiting_placement(&self) -> PlaceWaiting {
        let cluster_id = self.cluster(0);
        let item = |(task, i): (&Arc<TaskRow>, usize)| place_waiting::Item {
            task: task.id,
            instance_id: self.instance(3 + i % 5),
            note: "é".repeat(150),
            decision: self.flag(1).then(|| Decision { class: self.serial as u32, ..Decision::default() }),
        };
        let items = self.state.waiting_tasks(ClusterId(cluster_id)).zip(0..).take(4).map(item).collect();
        PlaceWaiting { cluster_id, items, ..PlaceWaiting::default() }
    }

    fn report(&self, instance: InstanceId) -> report_tasks::Item {
        let row = self.state.instances.get(&instance);
        let tasks: Vec<TaskId> = if self.flag(6) {
            self.state.tasks_of_instance(instance).map(|task| task_id(task.id.as_ref().unwrap())).collect()
        } else {
            vec![self.task(3)]
        };
        let report = |id: &TaskId| TaskReport {
            task: Some(task_id_message(*id)),
            status: i32::from(self.dice[4] % 10),
            containers: vec![ContainerRow { reason: "ö".repeat(600), ..ContainerRow::default() }],
            stop_code: i32::from(self.dice[5] % 9),
            stopped_at_ms: i64::from(self.dice[5]),
            ..TaskReport::default()
        };
        report_tasks::Item {
            instance_id: instance.0,
            session: row.map_or(0, |row| row.session.wrapping_sub(u64::from(self.d(7).is_multiple_of(8)))),
            sequence: row.map_or(0, |row| row.sequence + u64::from(!self.dice[7].is_multiple_of(5))),
            tasks: tasks.iter().map(report).collect(),
        }
    }

    /// The oldest records of history, now and then others.
    fn segment(&self) -> Option<HistorySegmentRow> {
        let (first, last) = self.state.history_to_seal()?;
        let records = self.state.open_history(first, last)?.len() as u64;
        Some(HistorySegmentRow {
            first: Some(history_place(first)),
            last: Some(history_place((last.0, last.1 + u32::from(self.flag(1))))),
            records: records + u64::from(self.flag(2) && self.flag(3)),
            bytes: 1500,
            sha256: vec![self.dice[0]].into(),
            retired_at_ms: 1,
        })
    }

    fn connect(&self) -> Kind {
        let total = Resources {
            cpu: 500 + self.d(3) as u32 * 10,
            memory: if self.d(3).is_multiple_of(8) { 10 } else { 2000 },
            ports_tcp: vec![22, 9_999_999],
            ports_udp: vec![],
        };
        Kind::ConnectInstance(ConnectInstance {
            identity: Some(AgentIdentity {
                cluster: ["", "c0", "c1"][self.d(1) % 3].into(),
                ec2_instance_id: format!("i-{}", self.d(0) % 5),
                zone: ["a", "b", "c"][self.d(2) % 3].into(),
                total: Some(total),
                attributes: (!self.flag(4)).then(guard).into_iter().collect(),
                capacity_provider: ["", "FARGATE_SPOT"][self.d(4) % 2].into(),
                ..AgentIdentity::default()
            }),
            member_id: 1,
            new_arn_hi: 1,
            new_arn_lo: self.serial,
        })
    }

    fn step(&self) -> ServiceStep {
        let id = ServiceId(self.service(0));
        let row = self.state.services.get(&id);
        let mut deployments: Vec<DeploymentRow> = row.map(|row| row.deployments.clone()).unwrap_or_default();
        deployments.truncate(self.d(1) % 4);
        let rollout = [RolloutState::InProgress, RolloutState::Completed, RolloutState::Failed][self.d(6) % 3];
        deployments.iter_mut().take(1).for_each(|d| d.set_rollout_state(rollout));
        ServiceStep {
            service_id: id.0,
            service_version: row.map_or(0, |row| row.changed - u64::from(self.d(2).is_multiple_of(6))),
            events: vec![ServiceEventRow::default(); self.d(3) % 3],
            deployments,
            backoff: self.flag(4).then(BackoffRow::default),
            unplaced_reason: self.flag(5).then(|| "why".into()),
            steady: self.flag(6).then_some(true),
            finish_delete: self.flag(7),
            roll_back: self.d(5).is_multiple_of(3),
            desired_count: self.flag(2).then_some(3),
            rebalancing: self.flag(3).then_some(true),
            unplaced_left_out: vec![11, 3],
        }
    }

    fn resource(&self) -> Option<ResourceRef> {
        let kind = match self.d(0) % 5 {
            0 => resource_ref::Kind::ClusterId(self.cluster(1)),
            1 => resource_ref::Kind::InstanceId(self.instance(1)),
            2 => resource_ref::Kind::TaskDefinitionId(self.definition(1)),
            3 => resource_ref::Kind::ServiceId(self.service(1)),
            _ => resource_ref::Kind::TaskId(task_id_message(self.task(1))),
        };
        Some(ResourceRef { kind: Some(kind) })
    }

    fn access_key(&self) -> Kind {
        let id = format!("AKIA{:016}", self.d(1) % 3);
        match self.d(0) % 4 {
            0 | 1 => Kind::PutAccessKey(PutAccessKey {
                key: Some(AccessKeyRow {
                    id,
                    sealed_secret: vec![self.dice[2]].into(),
                    active: self.flag(3),
                    ..AccessKeyRow::default()
                }),
            }),
            2 => Kind::SetAccessKeyStatus(SetAccessKeyStatus { id, active: self.flag(2) }),
            _ => Kind::DropAccessKey(DropAccessKey { id }),
        }
    }

    fn tag(&self) -> Tag {
        match self.d(6) % 4 {
            0 => tag(POLICY, ["keep", "at-most-one"][self.d(7) % 2]),
            _ => tag("k", &"v".repeat(self.d(6))),
        }
    }

    fn attribute(&self) -> Vec<put_attributes::Item> {
        let name = format!("n{}", self.d(2) % 12);
        vec![put_attributes::Item { instance_id: self.instance(1), name, value: "v".into() }]
    }

    fn kind(&self, which: u8) -> Kind {
        let instance = self.instance(0);
        match which % 46 {
            0 => init(),
            1 => Kind::PutMember(PutMember {
                member: Some(MemberRow {
                    id: u64::from(self.dice[0] % 3),
                    name: "s1".into(),
                    zone: "a".into(),
                    ..MemberRow::default()
                }),
            }),
            2 => Kind::DropMember(DropMember { member_id: u64::from(self.dice[0] % 3) }),
            3 => Kind::PutToken(PutToken {
                token: Some(TokenRow {
                    id: "t".into(),
                    secret_sha256: vec![1].into(),
                    uses_left: 1,
                    limited: self.flag(0),
                    ..TokenRow::default()
                }),
            }),
            4 => Kind::UseToken(UseToken { id: "t".into(), secret_sha256: vec![1].into() }),
            5 => Kind::DropToken(DropToken { id: "t".into() }),
            6 => Kind::RaiseClusterVersion(RaiseClusterVersion { version: u32::from(self.dice[0] % 4) }),
            7..=9 => self.connect(),
            10 => {
                let session = self.state.instances.get(&InstanceId(instance)).map_or(0, |row| row.session);
                disconnect(InstanceId(instance), session, self.flag(1))
            }
            11..=14 => Kind::ReportTasks(ReportTasks { items: vec![self.report(InstanceId(instance))] }),
            15 => Kind::SetInstancesStatus(SetInstancesStatus {
                cluster_id: self.cluster(1),
                instance_ids: vec![instance, self.instance(2)],
                status: 1 + i32::from(self.dice[3] % 3),
                reason: String::new(),
            }),
            16 => Kind::DeregisterInstance(DeregisterInstance {
                instance_id: instance,
                force: self.flag(1),
                forgotten: self.flag(2),
            }),
            17 => Kind::PutAttributes(PutAttributes { cluster_id: self.cluster(0), items: self.attribute() }),
            18 => Kind::DeleteAttributes(DeleteAttributes { cluster_id: self.cluster(0), items: self.attribute() }),
            19 => Kind::CreateCluster(CreateCluster {
                account: 0,
                name: format!("c{}", self.d(0) % 2),
                tags: vec![tag("a", "b")],
                ..Default::default()
            }),
            20 => Kind::DeleteCluster(DeleteCluster { cluster_id: self.cluster(0) }),
            21 => register(["web", "db"][self.d(0) % 2], self.size()),
            22 => Kind::DeregisterTaskDefinition(DeregisterTaskDefinition { task_definition_id: self.definition(0) }),
            23..=25 => Kind::PlaceTasks(self.placement(self.serial - u64::from(self.d(6).is_multiple_of(8)))),
            26 => Kind::StopTasks(StopTasks {
                tasks: vec![task_id_message(self.task(0)), task_id_message(self.task(1))],
                code: i32::from(self.dice[2] % 9),
                reason: "ü".repeat(800),
                service_id: if self.flag(3) { self.service(4) } else { 0 },
                wanted_before: (self.d(5) % 4) as u32,
                preempted_by: if self.flag(7) { self.service(6) } else { 0 },
                ..StopTasks::default()
            }),
            27 => Kind::CreateService(CreateService {
                cluster_id: self.cluster(0),
                spec: Some(self.spec()),
                task_definition_id: self.definition(3),
                deployment_id: self.serial,
                service_deployment_id: self.service_deployment(),
                maximum_percent: 100,
                stored_members: vec!["role".into(); self.d(5) % 2],
                ..CreateService::default()
            }),
            28 => Kind::UpdateService(UpdateService {
                service_id: self.service(0),
                desired_count: self.flag(1).then_some(3),
                task_definition_id: if self.flag(2) { self.definition(3) } else { 0 },
                force_new_deployment: self.flag(4),
                deployment_id: self.serial,
                service_deployment_id: self.service_deployment(),
                spec: self.flag(5).then(|| self.spec()),
                ..UpdateService::default()
            }),
            29 => Kind::DeleteService(DeleteService { service_id: self.service(0), force: self.flag(1) }),
            30 => Kind::ServiceStep(self.step()),
            31 => Kind::SealHistory(SealHistory { segment: self.segment() }),
            32 => {
                let last = self.state.history_segments.first().and_then(|(_, row)| row.last);
                Kind::DropHistory(DropHistory { last: last.filter(|_| !self.flag(1)) })
            }
            33 => self.access_key(),
            34 => Kind::StopServiceDeployment(StopServiceDeployment {
                service_id: self.service(0),
                service_deployment_id: self.begun_service_deployment(),
            }),
            35..=38 => self.schedule_or_job(),
            39 => Kind::PlaceTasks(self.job_placement()),
            40 => {
                let session = self.state.instances.get(&InstanceId(instance)).map_or(0, |row| row.session);
                let items = vec![disconnect_instances::Item { instance_id: instance, session }];
                Kind::EndGuardedTasks(EndGuardedTasks { items })
            }
            41 => Kind::PlaceWaiting(self.waiting_placement()),
            42 => {
                Kind::ReclaimInstance(ReclaimInstance { instance_id: instance, notice_ms: self.d(1) as u64 * 100_000 })
            }
            _ if self.flag(5) => Kind::TagResource(TagResource {
                resource: self.resource(),
                tags: vec![self.tag(), tag("seawall:priority", &(self.d(7) % 3).to_string())],
            }),
            _ => {
                let keys = vec!["a".into(), POLICY.into(), "seawall:priority".into()];
                Kind::UntagResource(UntagResource { resource: self.resource(), keys })
            }
        }
    }

    pub fn command(&self, which: u8, now_ms: i64) -> Command {
        let forward = (which >= 128).then(|| ForwardId {
            member_id: u64::from(self.dice[0] % 2),
            boot: 1 + u64::from(self.dice[1] / 200),
            serial: u64::from(self.dice[2] % 64),
        });
        let client_token = which.is_multiple_of(7).then(|| ClientToken {
            cluster_id: self.cluster(0),
            operation: "RunTask".into(),
            token: format!("t{}", self.d(1) % 8),
            request_sha256: vec![self.dice[2] % 2].into(),
        });
        let expected_version = if self.dice[7] == 9 { 5 } else { 0 };
        let kind = Some(self.kind(which));
        Command { cluster_time_ms: now_ms, forward, client_token, expected_version, kind, ..Command::default() }
    }
}

/// Nothing that a refusal says may have happened: time and what expired by it aside.
fn check_untouched(before: &State, after: &State, index: u64, command: &Command) {
    let mut only_time = before.clone();
    only_time.apply(index, &Command { cluster_time_ms: command.cluster_time_ms, ..Command::default() });
    assert_eq!(only_time.hash(), after.hash(), "half applied: {command:?}");
}

fn check_step(before: &State, after: &State, changes: &[Change]) {
    assert!(after.meta.cluster_time_ms >= before.meta.cluster_time_ms);
    assert!(after.meta.next_id >= before.meta.next_id);
    for change in changes {
        let Change::Task(id) = change else { continue };
        let (Some(old), Some(new)) = (before.tasks.get(id), after.tasks.get(id)) else { continue };
        assert!(new.last_status() >= old.last_status(), "task {id} went back");
        assert!(old.last_status() != TaskStatus::Stopped, "task {id} changed after it had stopped");
    }
}

/// Never may two tasks of such a service be alive, and tokens only grow.
fn check_at_most_one(before: &State, after: &State) {
    for (id, row) in after.services.iter().filter(|(_, row)| is_at_most_one(row)) {
        let live: Vec<u64> = after.live_tasks_of_service(*id).map(|task| task.fencing_token).collect();
        assert!(live.len() <= 1 && !live.contains(&0), "service {id} has tasks with the tokens {live:?}");
        let last = before.services.get(id).map_or(0, |row| row.fencing_token);
        assert!(row.fencing_token >= last, "a token of service {id} went back");
    }
}

/// Only what is placed can go over an instance's capacity; an agent that comes back smaller may be over it already.
fn check_capacity(state: &State, index: u64, command: &Command) {
    let instances: Vec<u64> = match &command.kind {
        Some(Kind::PlaceTasks(place)) => place.placements.iter().map(|placement| placement.instance_id).collect(),
        Some(Kind::PlaceWaiting(place)) => place.items.iter().map(|item| item.instance_id).collect(),
        _ => return,
    };
    for id in instances.into_iter().map(InstanceId) {
        let (Some(row), Some(usage)) = (state.instances.get(&id), state.usage(id)) else { continue };
        let has = row.registered.as_ref().unwrap();
        let placed_here = state.tasks_of_instance(id).any(|task| task.changed == index);
        if placed_here {
            assert!(usage.cpu <= has.cpu && usage.memory <= has.memory, "instance {id} is overcommitted");
        }
    }
}

fn start() -> World {
    let mut world = World::new();
    std::sync::Arc::make_mut(&mut world.state.meta).limits = Some(seawall_proto::internal::v1::Limits {
        stopped_tasks_kept: 5,
        service_events_kept: 3,
        client_tokens: 6,
        client_token_ttl_ms: 100,
        forwards_kept: 4,
        invocations: 5,
        history_seal_bytes: 1000,
        history_bytes: 2000,
        history_age_ms: 5000,
        deleted_services_kept: 1,
    });
    world.done(Kind::RaiseClusterVersion(RaiseClusterVersion { version: 2 }));
    for (name, zone) in [("i-0", "a"), ("i-1", "b")] {
        world.instance(name, zone);
    }
    world.done(provider("big", "ENABLED"));
    world.definition("web", size(100, 100));
    world.definition("db", with_port(size(50, 50), 80));
    let definition = TaskDefinitionId(world.state.task_definition(0, "web", 1).unwrap().id);
    world.service("s0", definition, 2);
    let command = world.connecting(AgentIdentity { attributes: vec![guard()], ..identity("i-2", "c") });
    world.apply(command);
    let mut one = world.creating("one", definition, 1);
    (one.minimum_healthy_percent, one.maximum_percent) = (0, 100);
    one.spec.as_mut().unwrap().tags = vec![tag(POLICY, "at-most-one")];
    world.done(Kind::CreateService(one));
    world
}

fn guard() -> InstanceAttribute {
    InstanceAttribute { name: GUARD_ATTRIBUTE.into(), ..InstanceAttribute::default() }
}

fn run(script: &[Dice]) {
    let World { mut state, mut index, mut now_ms, .. } = start();
    let first = state.clone();
    let mut log = Vec::new();
    for (serial, (which, dice)) in (1000..).zip(script) {
        index += 1;
        now_ms += i64::from(dice[3]) - 100;
        let command = Maker { state: &state, dice: *dice, serial }.command(*which, now_ms);
        let before = state.clone();
        let (reply, effects) = state.apply(index, &command);
        state.check().unwrap();
        match kind(reply.clone()) {
            reply::Kind::Refusal(_) | reply::Kind::Stale(_) => check_untouched(&before, &state, index, &command),
            _ => check_capacity(&state, index, &command),
        }
        check_step(&before, &state, &effects.changes);
        check_at_most_one(&before, &state);
        log.push((index, command, reply, effects));
    }
    let mut replica = first;
    for (index, command, reply, effects) in &log {
        assert_eq!((reply.clone(), effects.clone()), replica.apply(*index, command));
    }
    assert_eq!(replica.hash(), state.hash());
    let copy = restored(&state);
    assert_eq!(copy.hash(), state.hash());
    assert_eq!(copy.index, state.index);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_commands_keeps_the_state_sound(script in vec(any::<Dice>(), 1..120)) {
        run(&script);
    }
}
