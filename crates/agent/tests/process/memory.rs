//! The memory limit.

use seawall_proto::internal::v1::TaskStatus;

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
