//! Revisions of task definitions.

use seawall_model::TaskDefinitionId;
use seawall_proto::internal::v1::{Command, DeregisterTaskDefinition, TaskDefinitionStatus, TaskSize, reply};

use crate::fixture::*;

fn deregister(id: TaskDefinitionId) -> Kind {
    Kind::DeregisterTaskDefinition(DeregisterTaskDefinition { task_definition_id: id.0 })
}

#[test]
fn revisions_rise_for_ever() {
    let mut world = World::new();
    let first = world.definition("web", size(1, 1));
    world.done(deregister(first));
    let second = world.definition("web", size(1, 1));
    let row = world.state.task_definitions.get(&second).unwrap();
    assert_eq!((row.revision, row.definition.as_ref().unwrap().revision), (2, Some(2)));
    assert_eq!(world.state.task_definition(0, "web", 1).unwrap().status(), TaskDefinitionStatus::Inactive);
    assert!(world.done(deregister(first)).existed);
    let families: Vec<u32> = world.state.revisions_of(0, "web").map(|row| row.revision).collect();
    assert_eq!(families, [1, 2]);
}

#[test]
fn a_definition_that_could_never_start_is_refused() {
    let mut world = World::new();
    let twice = with_port(size(1, 1), 80).ports.repeat(2);
    let refusal = world.refused(register("web", TaskSize { ports: twice, ..size(1, 1) }));
    assert_eq!(
        (refusal.code.as_str(), refusal.message.as_str()),
        ("ClientException", "The host port 80/tcp is asked for twice.")
    );
    assert!(world.refused(register("web", with_port(size(1, 1), 65536))).message.contains("65535"));
    assert!(world.refused(register("no family!", size(1, 1))).message.contains("family"));
    assert_eq!(world.refused(deregister(TaskDefinitionId(99))).message, "Unable to describe task definition.");
}

#[test]
fn a_registration_may_expect_the_familys_last_revision() {
    let mut world = World::new();
    let first = world.definition("web", size(1, 1));
    let version = world.state.task_definitions.get(&first).unwrap().changed;
    world.definition("web", size(1, 1));
    let command = Command { expected_version: version, ..world.command(register("web", size(2, 2))) };
    assert!(matches!(world.send(&command), reply::Kind::Refusal(r) if r.code == "VersionMismatchException"));
}
