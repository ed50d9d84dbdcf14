//! The memory limit.

use seawall_proto::{internal::v1::TaskStatus, v1::ContainerDefinition};

use crate::machine::{Machine, new_assignment, own};

pub async fn over_its_limit_a_task_is_out_of_memory(machine: &Machine) {
    let engine = machine.engine().await;
    let mut greedy = own(&["eat", "96"]);
    greedy.memory = Some(64);
    let (greedy_id, greedy) = new_assignment(greedy);
    let mut modest = own(&["eat", "32"]);
    modest.memory = Some(64);
    let (modest_id, modest) = new_assignment(modest);
    engine.assign(1, vec![greedy, modest]);
    let report = machine.report(&engine, greedy_id, TaskStatus::Stopped).await;
    assert!(report.stopped_reason.contains("OutOfMemory"), "{}", report.stopped_reason);
    assert_eq!(report.containers[0].exit_code, Some(137));
    assert!(report.containers[0].reason.starts_with("OutOfMemoryError"), "{}", report.containers[0].reason);
    machine.report(&engine, modest_id, TaskStatus::Running).await;
}

pub async fn containers_over_the_tasks_size_together_are_out_of_memory(machine: &Machine) {
    let engine = machine.engine().await;
    let eater = |name: &str, mib: &str| ContainerDefinition { name: Some(name.into()), ..own(&["eat", mib]) };
    let task = |containers: Vec<ContainerDefinition>| {
        let (id, mut assignment) = new_assignment(own(&[]));
        let definition = assignment.definition.as_mut().unwrap();
        (definition.container_definitions, definition.memory) = (containers, Some("96".into()));
        (id, assignment)
    };
    let (modest_id, modest) = task(vec![eater("app", "64"), eater("side", "8")]);
    let (greedy_id, greedy) = task(vec![eater("app", "48"), eater("side", "64")]);
    engine.assign(1, vec![modest, greedy]);
    let report = machine.report(&engine, greedy_id, TaskStatus::Stopped).await;
    assert!(report.stopped_reason.contains("OutOfMemory"), "{}", report.stopped_reason);
    let [app, side] = &report.containers[..] else { panic!("{report:?}") };
    assert_eq!((app.exit_code, app.reason.as_str()), (Some(143), ""), "it is stopped with its task");
    assert_eq!(side.exit_code, Some(137));
    assert!(side.reason.starts_with("OutOfMemoryError"), "{}", side.reason);
    machine.report(&engine, modest_id, TaskStatus::Running).await;
}
