//! A real member: its proposer, log and snapshots.

use std::collections::BTreeSet;

use futures::future::join_all;
use seawall_env::Env;
use seawall_model::{InstanceId, TaskId};
use seawall_proto::{
    internal::v1::{
        AgentIdentity, ConnectInstance, InstanceAttribute, PlaceTasks, Principal, Resources, command::Kind,
    },
    v1::{
        ContainerDefinition, CreateServiceRequest, CreateServiceResponse, PlacementConstraint, PlacementStrategy,
        RegisterTaskDefinitionRequest, ReplayDecisionRequest, RunJobRequest, RunTaskRequest, StartTaskRequest,
        StopTaskRequest,
    },
};
use seawall_state::{task_id, task_id_message};

use super::*;
use crate::{
    api::WRITE_DEADLINE,
    calls::{self, Call, control},
    ops,
    testing::{LIMIT, OneMember},
};

/// A member with six instances in three zones, and a definition.
fn member(seed: u64) -> OneMember {
    let one = OneMember::new(seed);
    for number in 1..=6u32 {
        let zone = ["a", "b", "c"][number as usize % 3];
        let disk = InstanceAttribute {
            name: "disk".into(),
            value: if number < 4 { "ssd" } else { "hdd" }.into(),
            custom: true,
        };
        let identity = AgentIdentity {
            ec2_instance_id: format!("i-{number}"),
            zone: zone.into(),
            boot_id: "first".into(),
            total: Some(Resources { cpu: 4096 + number * 64, memory: 8192, ..Resources::default() }),
            attributes: vec![disk],
            ..AgentIdentity::default()
        };
        let new_arn_lo = number.into();
        let connect = ConnectInstance { identity: Some(identity), member_id: 1, new_arn_hi: 7, new_arn_lo };
        one.propose(vec![Kind::ConnectInstance(connect)]);
    }
    let container = ContainerDefinition {
        name: Some("main".into()),
        image: Some("busybox".into()),
        cpu: Some(100),
        memory: Some(128),
        ..Default::default()
    };
    let register = RegisterTaskDefinitionRequest {
        family: Some("web".into()),
        container_definitions: vec![container],
        ..Default::default()
    };
    let node = one.node.clone();
    one.run(async move {
        let call = call(&node.env);
        calls::write::<ops::RegisterTaskDefinition>(&node, "RegisterTaskDefinition", &call, &register).await
    })
    .unwrap();
    one
}

fn call(env: &Env) -> Call {
    Call {
        principal: Principal::default(),
        request_id: env.new_id().to_string(),
        stale: false,
        deadline: env.now() + WRITE_DEADLINE,
        invocation: None,
        shows_pools: true,
    }
}

fn state(one: &OneMember) -> State {
    one.node.consensus.state().state.clone()
}

fn snapshot(one: &OneMember) {
    let node = one.node.clone();
    let applied = node.consensus.state().index;
    one.run(async move { node.consensus.trigger_snapshot().await });
    let taken = || one.node.consensus.snapshot_index().is_some_and(|index| index >= applied);
    assert!(one.sim.run_until(taken, LIMIT), "no snapshot");
}

/// Calls RunTask so often at once: several come into one entry, and plans are made while others are on their way.
fn run_tasks(one: &OneMember, request: RunTaskRequest, times: usize) {
    let node = one.node.clone();
    let answers = one.run(async move {
        let runs = (0..times).map(async |_| {
            let call = call(&node.env);
            calls::write::<ops::RunTask>(&node, "RunTask", &call, &request).await
        });
        join_all(runs).await
    });
    for answer in answers {
        let answer = answer.unwrap();
        assert!(answer.failures.is_empty() && !answer.tasks.is_empty(), "{answer:?}");
    }
}

fn run(count: i32) -> RunTaskRequest {
    RunTaskRequest { task_definition: Some("web".into()), count: Some(count), ..Default::default() }
}

fn start_task(one: &OneMember) {
    let (node, instance) = (one.node.clone(), state(one).instances.iter().next().unwrap().1.ec2_instance_id.clone());
    let request = StartTaskRequest {
        task_definition: Some("web".into()),
        container_instances: vec![instance],
        ..Default::default()
    };
    one.run(async move {
        let call = call(&node.env);
        calls::write::<ops::StartTask>(&node, "StartTask", &call, &request).await
    })
    .unwrap();
}

fn create_service(one: &OneMember, request: CreateServiceRequest) -> CreateServiceResponse {
    let node = one.node.clone();
    let request = CreateServiceRequest { task_definition: Some("web".into()), ..request };
    let created = one.run(async move {
        let call = call(&node.env);
        calls::write::<ops::CreateService>(&node, "CreateService", &call, &request).await
    });
    created.unwrap()
}

fn run_job(one: &OneMember) {
    let node = one.node.clone();
    let template =
        serde_json::from_value(serde_json::json!({"taskDefinition": "web", "completions": 3, "parallelism": 3}));
    let request = RunJobRequest { name: Some("once".into()), template: Some(template.unwrap()), ..Default::default() };
    one.run(async move { control::run_job(&node, &call(&node.env), &request).await }).unwrap();
}

fn wait_placed(one: &OneMember, what: &str, count: usize, is_of: impl Fn(&PlacedBy) -> bool) {
    let placed = || {
        let state = one.node.consensus.state();
        state
            .state
            .tasks
            .iter()
            .filter(|(_, task)| is_of(&PlacedBy { service: task.service_id, job: task.job_id }))
            .count()
    };
    assert!(one.sim.run_until(|| placed() >= count, LIMIT), "{what}: {} of {count} placed", placed());
}

struct PlacedBy {
    service: u64,
    job: u64,
}

fn replayed(one: &OneMember, task: TaskId) -> Result<ReplayDecisionResponse, ApiError> {
    let node = one.node.clone();
    let ask = ReplayDecisionRequest { cluster: None, task: task.to_string() };
    one.run(async move { control::replay_decision(&node, &call(&node.env), &ask).await })
}

/// A task of every decision that the state holds.
fn one_of_each(one: &OneMember) -> Vec<TaskId> {
    let state = state(one);
    state.decisions.iter().map(|(base, _)| *state.tasks.range(base..).next().unwrap().0).collect()
}

/// A placement as the log holds it, to be proposed again in another form.
fn logged(one: &OneMember, task: TaskId) -> PlaceTasks {
    let row = state(one).decision_of(task).unwrap().clone();
    let (node, at) = (one.node.clone(), row.placed_index);
    let entries = one.run(async move { node.consensus.commands(at..at + 1).await }).unwrap();
    let found = entries.into_iter().flat_map(|(_, commands)| proposed(commands));
    let mut places =
        found.filter_map(|proposed| if let Kind::PlaceTasks(place) = proposed { Some(place) } else { None });
    places.find(|place| place.base == row.base).unwrap()
}

/// Proposes a placement that was made up; its first task.
fn made_up(one: &OneMember, mut place: PlaceTasks, change: impl FnOnce(&mut Decision)) -> TaskId {
    let base = one.env.new_id();
    place.base = Some(task_id_message(base));
    let decision = place.decision.as_mut().unwrap();
    decision.base_index = one.node.consensus.state().index;
    decision.in_flight.clear();
    change(decision);
    one.propose(vec![Kind::PlaceTasks(place)]);
    assert!(state(one).tasks.get(&base).is_some(), "it is placed");
    base
}

#[test]
fn what_was_decided_is_decided_again_from_a_snapshot_and_the_log() {
    let one = member(11);
    snapshot(&one);
    let text = |text: &str| Some(text.to_owned());
    let constraint = |kind: &str, expression: Option<String>| PlacementConstraint { r#type: text(kind), expression };
    let step = |kind: &str, field: Option<String>| PlacementStrategy { r#type: text(kind), field };
    run_tasks(&one, run(2), 20);
    run_tasks(&one, RunTaskRequest { placement_strategy: vec![step("binpack", text("memory"))], ..run(3) }, 5);
    run_tasks(&one, RunTaskRequest { placement_strategy: vec![step("random", None)], ..run(3) }, 5);
    let constraints = vec![constraint("memberOf", text("attribute:disk == ssd")), constraint("distinctInstance", None)];
    run_tasks(&one, RunTaskRequest { placement_constraints: constraints, group: text("apart"), ..run(2) }, 1);
    start_task(&one);
    let web = CreateServiceRequest { service_name: text("web"), desired_count: Some(7), ..Default::default() };
    create_service(&one, web);
    wait_placed(&one, "the service", 7, |by| by.service != 0);
    let daemon = text("DAEMON");
    create_service(
        &one,
        CreateServiceRequest { service_name: text("d"), scheduling_strategy: daemon, ..Default::default() },
    );
    wait_placed(&one, "the daemon", 13, |by| by.service != 0);
    run_job(&one);
    wait_placed(&one, "the job", 3, |by| by.job != 0);

    let tasks = one_of_each(&one);
    assert!(tasks.len() > 30, "{}", tasks.len());
    let mut on_their_way = 0;
    for task in tasks {
        let answer = replayed(&one, task).unwrap();
        assert_eq!((answer.outcome.as_str(), &answer.differences), (SAME, &Vec::new()), "{task}: {answer:?}");
        assert!(answer.checkpoint_index > 0 && !answer.decision.unwrap().best.is_empty());
        on_their_way += answer.in_flight;
    }
    assert!(on_their_way > 0, "some were planned while others were on their way");
}

#[test]
fn without_a_snapshot_the_log_alone_is_enough() {
    let one = member(12);
    run_tasks(&one, run(4), 1);
    let answer = replayed(&one, one_of_each(&one)[0]).unwrap();
    assert_eq!((answer.outcome.as_str(), answer.checkpoint_index), (SAME, 0), "{answer:?}");
}

#[test]
fn what_differs_is_named() {
    let one = member(13);
    run_tasks(&one, run(2), 1);
    let task = one_of_each(&one)[0];
    let mut place = logged(&one, task);
    let last = *state(&one).instances.iter().last().unwrap().0;
    place.placements[0].instance_id = last.0;
    let elsewhere = made_up(&one, place, |decision| decision.class ^= 1);
    let answer = replayed(&one, elsewhere).unwrap();
    let found: Vec<&str> = answer.differences.iter().map(|difference| difference.what.as_str()).collect();
    assert_eq!((answer.outcome.as_str(), found[0]), (DIFFERENT, "task 1"), "{answer:?}");
    assert!(found.contains(&"requirement class"), "{found:?}");
    assert!(answer.differences[0].recorded.starts_with("on i-"), "{answer:?}");
    assert!(InstanceId(last.0) == last && answer.differences[0].recorded != answer.differences[0].replayed);
}

#[test]
fn what_cannot_be_replayed_says_why_and_what_is_recorded() {
    let one = member(14);
    run_tasks(&one, run(1), 1);
    let task = one_of_each(&one)[0];
    let place = logged(&one, task);
    let reason = |task: TaskId| {
        let answer = replayed(&one, task).unwrap();
        assert_eq!(answer.outcome, NOT_REPLAYED, "{answer:?}");
        (answer.reason, answer.decision.is_some())
    };

    let (why, recorded) = reason(made_up(&one, place.clone(), |decision| decision.planner = 99));
    assert!(why.contains("planner 99") && recorded, "{why}");
    let (why, recorded) = reason(made_up(&one, PlaceTasks { ask: None, ..place.clone() }, |_| {}));
    assert!(why.contains("does not say what was asked for") && recorded, "{why}");
    let (why, _) = reason(made_up(&one, place.clone(), |decision| decision.in_flight = vec![9_999]));
    assert!(why.contains("are not in the log"), "{why}");
    let nothing = PlaceTasks { base: Some(task_id_message(one.env.new_id())), decision: None, ..place };
    let base = nothing.base.as_ref().map(task_id).unwrap();
    one.propose(vec![Kind::PlaceTasks(nothing)]);
    assert_eq!(reason(base), ("nothing was recorded when it was placed: an earlier version decided it".into(), false));

    snapshot(&one);
    let (why, recorded) = reason(task);
    assert!(why.contains("this member holds the past from entry") && recorded, "{why}");
}

/// A stop between two placements of one entry: the second was planned beside the first all the same.
#[test]
fn what_else_is_on_its_way_hides_no_placement() {
    let one = member(16);
    run_tasks(&one, run(1), 1);
    let first = one_of_each(&one)[0];
    let node = one.node.clone();
    let stop = StopTaskRequest { task: Some(first.to_string()), ..Default::default() };
    let calls = async move {
        let place = async || calls::write::<ops::RunTask>(&node, "RunTask", &call(&node.env), &run(1)).await.map(drop);
        let stop = async { calls::write::<ops::StopTask>(&node, "StopTask", &call(&node.env), &stop).await.map(drop) };
        futures::join!(place(), stop, place())
    };
    let (before, stopped, after) = one.run(calls);
    before.and(stopped).and(after).unwrap();
    let placed: BTreeSet<u64> = state(&one).decisions.iter().map(|(_, row)| row.placed_index).collect();
    assert_eq!(placed.len(), 2, "both in one entry: they were planned one beside the other");
    for task in one_of_each(&one) {
        assert_eq!(replayed(&one, task).unwrap().outcome, SAME);
    }
}

#[test]
fn one_is_replayed_at_a_time() {
    let one = member(15);
    run_tasks(&one, run(1), 1);
    let task = one_of_each(&one)[0];
    let held = one.node.replays.try_lock().unwrap();
    let error = replayed(&one, task).unwrap_err();
    assert_eq!(error.code, ErrorCode::Overloaded);
    drop(held);
    assert_eq!(replayed(&one, task).unwrap().outcome, SAME);
}

#[test]
fn those_on_their_way_are_found_by_turns() {
    let places: Vec<PlaceTasks> = (0..6).map(|nth| PlaceTasks { cluster_id: nth, ..PlaceTasks::default() }).collect();
    let ids = |runs: &[u32]| picked(places.clone(), runs).iter().map(|place| place.cluster_id).collect::<Vec<_>>();
    assert_eq!(ids(&[]), [0; 0]);
    assert_eq!(ids(&[2]), [4, 5]);
    assert_eq!(ids(&[1, 2, 2]), [1, 2, 5]);
    assert_eq!(ids(&[0, 2, 3]), [1, 2, 3]);
}
