//! A job's tasks are counted as they stop, each once.

use seawall_model::{InstanceId, JobId, TaskId};
use seawall_proto::{
    internal::v1::{
        ContainerRow, CreateJob, CreateSchedule, DeleteCluster, DeregisterInstance, DeregisterTaskDefinition, JobRow,
        JobStatus, JobStep, PlaceTasks, StopCode, StopJob, StopTasks, TaskReport, TaskStatus,
    },
    v1::JobTemplate,
};
use seawall_state::{Change, job_group, places, task_id, task_id_message};

use crate::{
    fixture::*,
    schedules::{spec, template},
};

struct Fixture {
    world: World,
    id: JobId,
    instance: InstanceId,
}

impl Fixture {
    fn new(template: JobTemplate) -> Fixture {
        let mut world = World::new();
        let instance = world.instance("i-1", "a");
        world.definition("job", size(100, 100));
        let create = create(&world, "migrate", template);
        let id = JobId(world.done(create).id);
        Fixture { world, id, instance }
    }

    fn row(&self) -> JobRow {
        (**self.world.state.jobs.get(&self.id).unwrap()).clone()
    }

    fn placing(&mut self, count: usize) -> PlaceTasks {
        let row = self.row();
        let definition = seawall_model::TaskDefinitionId(row.task_definition_id);
        PlaceTasks {
            job_id: self.id.0,
            group: job_group(&row.name),
            started_by: format!("job/{}", row.name),
            ..self.world.placing(definition, &vec![self.instance; count])
        }
    }

    fn place(&mut self, count: usize) -> Vec<TaskId> {
        let place = self.placing(count);
        let placed = self.world.placed(Kind::PlaceTasks(place));
        assert_eq!(placed.tasks.len(), count);
        placed.tasks.iter().map(task_id).collect()
    }

    fn stops(&mut self, task: TaskId, code: StopCode, exit_codes: &[i32]) {
        let container = |code: &i32| ContainerRow { exit_code: Some(*code), ..ContainerRow::default() };
        let report = TaskReport {
            task: Some(task_id_message(task)),
            status: TaskStatus::Stopped.into(),
            stop_code: code.into(),
            stopped_reason: "as its agent says".into(),
            containers: exit_codes.iter().map(container).collect(),
            ..TaskReport::default()
        };
        self.world.report_all(self.instance, vec![report]);
    }

    fn step(&self, status: JobStatus) -> JobStep {
        let row = self.row();
        JobStep { job_id: row.id, job_version: row.changed, status: status.into(), ..JobStep::default() }
    }

    fn counts(&self) -> (u32, u32) {
        (self.row().succeeded, self.row().failed)
    }
}

fn create(world: &World, name: &str, template: JobTemplate) -> Kind {
    let (cluster_id, name) = (world.cluster().0, name.to_owned());
    Kind::CreateJob(CreateJob { cluster_id, name, template: Some(template), ..Default::default() })
}

fn many() -> JobTemplate {
    JobTemplate { completions: Some(5), parallelism: Some(3), retries: Some(9), ..template() }
}

#[test]
fn tasks_are_counted_by_how_they_ended() {
    let mut fixture = Fixture::new(many());
    let tasks = fixture.place(3);
    assert_eq!(fixture.world.row(tasks[0]).job_id, fixture.id.0);
    fixture.stops(tasks[0], StopCode::EssentialContainerExited, &[0]);
    assert!(fixture.world.has_changed(&Change::Job(fixture.id)));
    assert_eq!((fixture.counts(), fixture.row().last_failure_ms), ((1, 0), 0));
    fixture.stops(tasks[1], StopCode::EssentialContainerExited, &[3]);
    assert_eq!(fixture.counts(), (1, 1));
    assert_eq!(fixture.row().last_failure, "container main exited with 3");
    fixture.world.now_ms += 5;
    fixture.stops(tasks[2], StopCode::TaskFailedToStart, &[]);
    assert_eq!(fixture.counts(), (1, 2));
    assert_eq!(
        (fixture.row().last_failure.as_str(), fixture.row().last_failure_ms),
        ("as its agent says", fixture.world.now_ms)
    );
    // A report that comes again, and one that retires, count nothing.
    fixture.stops(tasks[0], StopCode::EssentialContainerExited, &[0]);
    assert_eq!(fixture.counts(), (1, 2));
    let by_user = fixture.place(1)[0];
    fixture.world.done(Kind::StopTasks(stop(&[by_user], "")));
    fixture.stops(by_user, StopCode::Unspecified, &[0]);
    assert_eq!(fixture.counts(), (1, 3), "stopped by hand: it has not done its work, whatever it exits with");
}

#[test]
fn what_its_job_or_its_host_ended_uses_up_no_retry() {
    let mut fixture = Fixture::new(many());
    let tasks = fixture.place(2);
    let given_up = StopTasks { code: StopCode::ServiceSchedulerInitiated.into(), ..stop(&[tasks[0]], "given up") };
    fixture.world.done(Kind::StopTasks(given_up));
    fixture.stops(tasks[0], StopCode::Unspecified, &[0]);
    assert_eq!((fixture.counts(), fixture.row().last_failure_ms), ((0, 0), 0));
    fixture.world.lose(fixture.instance);
    let instance_id = fixture.instance.0;
    fixture.world.done(Kind::DeregisterInstance(DeregisterInstance { instance_id, force: true, forgotten: true }));
    assert_eq!(fixture.counts(), (0, 0));
    assert_eq!(fixture.row().last_failure_ms, fixture.world.now_ms, "another task of it waits a moment all the same");
}

#[test]
fn a_job_has_no_more_tasks_than_it_may_whatever_was_planned() {
    let mut fixture = Fixture::new(many());
    let too_many = fixture.placing(4);
    fixture.world.stale(Kind::PlaceTasks(too_many));
    let late = fixture.placing(3);
    let tasks = fixture.place(3);
    fixture.world.stale(Kind::PlaceTasks(late));
    for task in &tasks {
        fixture.stops(*task, StopCode::EssentialContainerExited, &[0]);
    }
    assert_eq!(places(&fixture.row()), 2);
    let too_many = fixture.placing(3);
    fixture.world.stale(Kind::PlaceTasks(too_many));
    fixture.place(2);
    // One on a silent instance keeps its place until it is given up.
    fixture.world.lose(fixture.instance);
    let other = fixture.world.instance("i-2", "b");
    let instance = std::mem::replace(&mut fixture.instance, other);
    let early = fixture.placing(1);
    fixture.world.stale(Kind::PlaceTasks(early));
    let silent: Vec<TaskId> =
        fixture.world.state.tasks_of_instance(instance).map(|t| task_id(t.id.as_ref().unwrap())).collect();
    fixture
        .world
        .done(Kind::StopTasks(StopTasks { code: StopCode::ServiceSchedulerInitiated.into(), ..stop(&silent, "") }));
    fixture.place(2);
}

#[test]
fn tasks_of_another_definition_or_group_are_not_its() {
    let mut fixture = Fixture::new(many());
    let other = fixture.world.definition("job", size(1, 1));
    let of_other = PlaceTasks { task_definition_id: other.0, ..fixture.placing(1) };
    fixture.world.stale(Kind::PlaceTasks(of_other));
    let in_other = PlaceTasks { group: "family:job".into(), ..fixture.placing(1) };
    fixture.world.stale(Kind::PlaceTasks(in_other));
    let of_nothing = PlaceTasks { job_id: 999, ..fixture.placing(1) };
    fixture.world.stale(Kind::PlaceTasks(of_nothing));
}

#[test]
fn a_job_runs_what_it_began_with_and_keeps_it() {
    let mut fixture = Fixture::new(many());
    let definition = seawall_model::TaskDefinitionId(fixture.row().task_definition_id);
    assert!(fixture.world.state.is_definition_in_use(definition));
    fixture.world.done(Kind::DeregisterTaskDefinition(DeregisterTaskDefinition { task_definition_id: definition.0 }));
    let tasks = fixture.place(1);
    fixture.stops(tasks[0], StopCode::EssentialContainerExited, &[0]);
    let step = fixture.step(JobStatus::Succeeded);
    fixture.world.done(Kind::JobStep(step));
    assert!(fixture.world.state.is_definition_in_use(definition), "its stopped task shows it");
    let create = create(&fixture.world, "again", many());
    assert_eq!(fixture.world.refused(create).message, "TaskDefinition not found.");
}

#[test]
fn a_job_ends_once_nothing_of_it_can_be_reached() {
    let mut fixture = Fixture::new(many());
    let tasks = fixture.place(1);
    let early = fixture.step(JobStatus::Failed);
    fixture.world.stale(Kind::JobStep(early));
    fixture.world.done(Kind::StopJob(StopJob { job_id: fixture.id.0, reason: "enough".into() }));
    let row = fixture.row();
    assert_eq!((row.status(), row.outcome(), row.reason.as_str()), (JobStatus::Ending, JobStatus::Stopped, "enough"));
    let more = fixture.placing(1);
    fixture.world.stale(Kind::PlaceTasks(more));
    fixture.stops(tasks[0], StopCode::EssentialContainerExited, &[0]);
    let old = JobStep { job_version: row.changed - 1, ..fixture.step(JobStatus::Stopped) };
    fixture.world.stale(Kind::JobStep(old));
    let step = JobStep { reason: "enough".into(), ..fixture.step(JobStatus::Stopped) };
    fixture.world.done(Kind::JobStep(step));
    let row = fixture.row();
    assert_eq!((row.status(), row.finished_at_ms), (JobStatus::Stopped, fixture.world.now_ms));
    let again = fixture.world.done(Kind::StopJob(StopJob { job_id: fixture.id.0, reason: String::new() }));
    assert!(again.existed);
    let late = fixture.step(JobStatus::Failed);
    fixture.world.stale(Kind::JobStep(late));
}

#[test]
fn names_are_free_again_once_a_job_is_over() {
    let mut fixture = Fixture::new(template());
    let again = create(&fixture.world, "migrate", template());
    assert_eq!(fixture.world.refused(again.clone()).message, "The job migrate is not over yet.");
    let cluster_id = fixture.world.cluster().0;
    let end = fixture.step(JobStatus::Failed);
    fixture.world.done(Kind::JobStep(end));
    let second = fixture.world.done(again).id;
    assert_eq!(fixture.world.state.job_by_name(fixture.world.cluster(), "migrate").unwrap().id, second);
    let refusal = fixture.world.refused(Kind::DeleteCluster(DeleteCluster { cluster_id }));
    assert_eq!(refusal.code, "ClusterContainsInstancesException".replace("Instances", "ContainerInstances"));
    for (name, template, message) in [
        ("a b", template(), "Invalid job name \"a b\": 1 to 100 letters, digits, hyphens and underscores."),
        ("c", JobTemplate { task_definition: Some("job:9".into()), ..template() }, "TaskDefinition not found."),
        ("c", JobTemplate { task_definition: Some("job:x".into()), ..template() }, "TaskDefinition not found."),
    ] {
        let command = create(&fixture.world, name, template);
        assert_eq!(fixture.world.refused(command).message, message);
    }
}

#[test]
fn a_caller_begins_a_job_of_a_schedule_unless_one_is_not_over() {
    let mut fixture = Fixture::new(template());
    let cluster_id = fixture.world.cluster().0;
    let create = CreateSchedule { cluster_id, name: "nightly".into(), spec: Some(spec()) };
    let schedule_id = fixture.world.done(Kind::CreateSchedule(create)).id;
    let now =
        |name: &str| Kind::CreateJob(CreateJob { cluster_id, name: name.into(), schedule_id, ..Default::default() });
    let id = fixture.world.done(now("nightly-now")).id;
    let row = fixture.world.state.jobs.get(&JobId(id)).unwrap();
    assert_eq!((row.schedule_id, row.tick_ms, &row.template), (schedule_id, 0, &Some(template())));
    let refusal = fixture.world.refused(now("nightly-2"));
    assert_eq!(refusal.message, "The job nightly-now of the schedule nightly is not over yet.");
}
