//! What left the state: the same from every member, whatever became of its disk.

use std::{collections::BTreeSet, path::Path, time::Duration};

use seawall_proto::v1::{
    CreateServiceResponse, DeleteServiceRequest, DeleteServiceResponse, DescribeServicesRequest,
    DescribeServicesResponse, DescribeTasksRequest, DescribeTasksResponse, ListHistoryRequest, ListHistoryResponse,
    ListTasksRequest, ListTasksResponse, ResourceKind, RunTaskRequest, RunTaskResponse, Service, Task,
};
use seawall_server::ServerConfig;

use crate::{
    World,
    world::{Setup, service},
};

const SETTLE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
const FOLDER: &str = "/data/history";
const MEMBERS: [&str; 3] = ["s1", "s2", "s3"];

/// Little is kept in the state, and segments are small.
fn small(config: &mut ServerConfig) {
    config.limits.stopped_tasks_kept = 5;
    config.limits.service_events_kept = 3;
    config.limits.deleted_services_kept = 1;
    config.limits.history_seal_bytes = 5000;
}

fn formed(seed: u64, tune: fn(&mut ServerConfig)) -> World {
    let world = World::formed(&Setup { tune, ..Setup::three_zones(seed) });
    world.register("job", &[("FAKE_RUN_MS", "200")]);
    world
}

/// Runs tasks that end by themselves, until all have ended.
fn run_tasks(world: &World, rounds: usize, arns: &mut Vec<String>) {
    for _ in 0..rounds {
        let run = RunTaskRequest { task_definition: Some("job".into()), count: Some(10), ..Default::default() };
        let started: RunTaskResponse = world.must("RunTask", &run);
        assert_eq!(started.failures, []);
        arns.extend(started.tasks.into_iter().filter_map(|task| task.task_arn));
        world.wait("the tasks to end", SETTLE, |w| w.state().tasks.iter().all(|(_, row)| row.stopped_at_ms != 0));
    }
}

fn segments(world: &World) -> usize {
    world.state().history_segments.len()
}

/// Runs tasks until so many segments more are sealed.
fn run_until_sealed(world: &World, more: usize, arns: &mut Vec<String>) {
    let before = segments(world);
    for _ in 0..20 {
        run_tasks(world, 1, arns);
        world.run_for(SECOND * 2);
        if segments(world) >= before + more {
            return;
        }
    }
    world.fail("no segment is sealed");
}

fn files(world: &World, member: &str) -> Vec<String> {
    world.member(member).disk().list(Path::new(FOLDER)).unwrap_or_default()
}

fn wait_files(world: &World, members: &[&str]) {
    world.wait_for("every member to hold what is listed", SETTLE, |w| {
        let listed = segments(w);
        let holds = |name: &&&str| files(w, name).len() >= listed;
        let without: Vec<_> = members.iter().filter(|name| !holds(name)).collect();
        without.is_empty().then_some(()).ok_or_else(|| format!("{without:?} lack some of {listed}"))
    });
}

fn described(world: &World, member: &str, arns: &[String]) -> Vec<Task> {
    let mut tasks = Vec::new();
    for some in arns.chunks(100) {
        let ask = DescribeTasksRequest { tasks: some.to_vec(), ..Default::default() };
        let answer = world.call::<DescribeTasksResponse>(member, "DescribeTasks", &ask);
        let answer = answer.unwrap_or_else(|error| world.fail(&format!("{member}: {error}")));
        assert_eq!(answer.failures, [], "{member}");
        tasks.extend(answer.tasks);
    }
    tasks
}

fn listed(world: &World, member: &str) -> Vec<Task> {
    let mut ask =
        ListHistoryRequest { kind: ResourceKind::Task.into(), max_results: Some(7), ..ListHistoryRequest::default() };
    let mut all = Vec::new();
    loop {
        let answer = world.call::<ListHistoryResponse>(member, "ListHistory", &ask);
        let answer = answer.unwrap_or_else(|error| world.fail(&format!("{member}: {error}")));
        all.extend(answer.tasks);
        ask.next_token = answer.next_token;
        if ask.next_token.is_none() {
            return all;
        }
    }
}

fn arns_of(tasks: &[Task]) -> BTreeSet<String> {
    tasks.iter().filter_map(|task| task.task_arn.clone()).collect()
}

/// Every task there ever was is described and listed, and the same by each of these members.
fn check_same(world: &World, members: &[&str], arns: &[String]) {
    let first = described(world, members[0], arns);
    assert_eq!(first.len(), arns.len());
    assert!(first.iter().all(|task| task.last_status() == "STOPPED" && task.container_instance_arn.is_some()));
    let all: BTreeSet<String> = arns.iter().cloned().collect();
    for member in members {
        assert_eq!(described(world, member, arns), first, "{member}");
        let listed = listed(world, member);
        assert_eq!(listed.len(), arns.len(), "{member} lists some twice");
        assert_eq!(arns_of(&listed), all, "{member}");
    }
}

fn services(world: &World, member: &str, names: &[String]) -> Vec<Service> {
    let ask = DescribeServicesRequest { services: names.to_vec(), ..Default::default() };
    let answer = world.call::<DescribeServicesResponse>(member, "DescribeServices", &ask);
    let answer = answer.unwrap_or_else(|error| world.fail(&format!("{member}: {error}")));
    assert_eq!(answer.failures, [], "{member}");
    answer.services
}

/// Services that come and go.
fn delete_services(world: &World) -> Vec<String> {
    let names: Vec<String> = (0..4).map(|n| format!("svc-{n}")).collect();
    for name in &names {
        let _: CreateServiceResponse = world.must("CreateService", &service(name, "job", 0));
        let delete = DeleteServiceRequest { service: Some(name.clone()), ..Default::default() };
        let _: DeleteServiceResponse = world.must("DeleteService", &delete);
        world.wait("the service to be gone", SETTLE, |w| {
            w.service_row(name)
                .is_none_or(|row| row.status() == seawall_proto::internal::v1::ServiceStatusCode::Inactive)
        });
    }
    names
}

/// Members are killed, wiped, given a snapshot and damaged: what they tell of the past stays the same.
pub(super) fn history_is_the_same_everywhere(seed: u64) {
    let mut world = formed(seed, small);
    let mut arns = Vec::new();
    let names = delete_services(&world);
    run_until_sealed(&world, 3, &mut arns);
    wait_files(&world, &MEMBERS);
    check_same(&world, &MEMBERS, &arns);
    let deleted = services(&world, "s1", &names);
    assert!(deleted.iter().all(|service| service.status() == "INACTIVE"), "{deleted:?}");
    assert_eq!(services(&world, "s2", &names), deleted);
    assert_eq!(services(&world, "s3", &names), deleted);

    // It misses seals, and finds the files gone that it never wrote.
    let away = world.followers()[0].clone();
    world.kill_member(&away);
    run_until_sealed(&world, 2, &mut arns);
    super::snapshots::snapshot_everywhere(&world);
    world.restart_member(&away);
    world.wait("it to serve", SETTLE, |w| w.member(&away).member().is_some());
    check_same(&world, &[&away], &arns);
    wait_files(&world, &MEMBERS);

    // It has nothing, and asks the others until it has fetched all.
    let wiped = world.followers()[1].clone();
    world.kill_member(&wiped);
    world.wipe_member(&wiped);
    world.run_for(SECOND * 4);
    world.restart_member(&wiped);
    world.wait("it to serve", SETTLE, |w| w.member(&wiped).member().is_some());
    check_same(&world, &[&wiped], &arns);
    wait_files(&world, &MEMBERS);
    world.wait("it to vote", SETTLE, |w| {
        let own = w.member(&wiped).member().map(|member| member.id());
        own.is_some_and(|id| w.voters().contains(&id)) && w.voters().len() == 3
    });

    // Every file of one member is damaged somewhere.
    let disk = world.member(&wiped).disk();
    for name in files(&world, &wiped) {
        let path = Path::new(FOLDER).join(name);
        let mut bytes = disk.read(&path).unwrap_or_default().unwrap_or_default();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        bytes[20] ^= 1;
        disk.write_atomic(&path, &bytes, 0o600).unwrap_or_else(|error| world.fail(&error.to_string()));
    }
    check_same(&world, &[&wiped], &arns);
    world.wait("the damaged files to be fetched again", SETTLE, |w| {
        let sound = w.member("s1").disk();
        let bytes =
            |disk: &dyn seawall_env::fs::Fs, name: &str| disk.read(&Path::new(FOLDER).join(name)).ok().flatten();
        let names = files(w, &wiped);
        names.len() == segments(w) && names.iter().all(|name| bytes(&*disk, name) == bytes(&*sound, name))
    });

    let leader = world.leading();
    world.kill_member(&leader);
    world.wait_other_leader(&leader);
    run_until_sealed(&world, 1, &mut arns);
    world.restart_member(&leader);
    world.wait("it to serve", SETTLE, |w| w.member(&leader).member().is_some());
    check_same(&world, &MEMBERS, &arns);
    world.settle(SETTLE);
}

/// A member whose disk has no room writes no history and tells it all the same; the others go on.
pub(super) fn history_goes_on_without_room(seed: u64) {
    let mut world = formed(seed, small);
    let mut arns = Vec::new();
    run_until_sealed(&world, 1, &mut arns);
    let full = world.followers()[0].clone();
    world.sim.set_disk_bytes(&full, 1 << 20);
    world.run_for(SECOND * 5);
    let before = files(&world, &full).len();
    run_until_sealed(&world, 2, &mut arns);
    assert_eq!(files(&world, &full).len(), before, "it writes to a disk without room");
    check_same(&world, &MEMBERS, &arns);
    world.heal();
    wait_files(&world, &MEMBERS);
    check_same(&world, &MEMBERS, &arns);
    world.settle(SETTLE);
}

/// What is too much leaves all disks, and is missing from every member alike.
pub(super) fn history_is_dropped_everywhere(seed: u64) {
    let world = formed(seed, |config| {
        small(config);
        config.limits.history_bytes = 12_000;
    });
    let mut arns = Vec::new();
    run_tasks(&world, 12, &mut arns);
    world.wait("the oldest segments to be dropped", SETTLE, |w| {
        let first = w.state().history_segments.first().map(|(_, row)| row.bytes);
        first.is_some() && w.state().history_segments.iter().map(|(_, row)| row.bytes).sum::<u64>() <= 12_000
    });
    world.run_for(SECOND * 3);
    let listed_first = arns_of(&listed(&world, "s1"));
    assert!(listed_first.len() < arns.len(), "nothing was dropped");
    for member in MEMBERS {
        assert_eq!(files(&world, member).len(), segments(&world), "{member} keeps files of dropped segments");
        assert_eq!(arns_of(&listed(&world, member)), listed_first, "{member}");
        let ask = DescribeTasksRequest { tasks: arns[..1].to_vec(), ..Default::default() };
        let answer = world.call::<DescribeTasksResponse>(member, "DescribeTasks", &ask).unwrap_or_default();
        assert_eq!(answer.failures[0].reason(), "MISSING", "{member}");
    }
    // The hour that ListTasks shows goes on in history.
    let mut stopped = BTreeSet::new();
    let mut ask = ListTasksRequest { desired_status: Some("STOPPED".into()), ..Default::default() };
    loop {
        let page: ListTasksResponse = world.must("ListTasks", &ask);
        stopped.extend(page.task_arns);
        ask.next_token = page.next_token;
        if ask.next_token.is_none() {
            break;
        }
    }
    assert_eq!(stopped, listed_first);
    world.settle(SETTLE);
}
