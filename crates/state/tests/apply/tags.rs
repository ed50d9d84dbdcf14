//! Tags.

use seawall_proto::internal::v1::{
    DeleteCluster, ResourceRef, TagResource, TaskStatus, UntagResource, resource_ref::Kind as Of,
};
use seawall_proto::v1::Tag;
use seawall_state::task_id_message;

use crate::fixture::*;

fn tagging(of: Of, tags: Vec<Tag>) -> Kind {
    Kind::TagResource(TagResource { resource: Some(ResourceRef { kind: Some(of) }), tags })
}

#[test]
fn every_resource_takes_tags() {
    let mut world = World::new();
    let instance = world.instance("i-1", "a");
    let definition = world.definition("web", size(1, 1));
    let service = world.service("web", definition, 1);
    let task = world.task(definition, instance);
    let of = [
        Of::ClusterId(world.cluster().0),
        Of::InstanceId(instance.0),
        Of::TaskDefinitionId(definition.0),
        Of::ServiceId(service.0),
        Of::TaskId(task_id_message(task)),
    ];
    for of in of {
        world.done(tagging(of.clone(), vec![tag("team", "a"), tag("env", "x")]));
        world.done(tagging(of.clone(), vec![tag("team", "b")]));
        let resource = Some(ResourceRef { kind: Some(of.clone()) });
        world.done(Kind::UntagResource(UntagResource { resource, keys: vec!["env".into(), "none".into()] }));
        assert_eq!(world.effects.changes.len(), 1, "{of:?}");
    }
    let expected = [tag("team", "b")];
    assert_eq!(world.state.clusters.get(&world.cluster()).unwrap().tags, expected);
    assert_eq!(world.state.instances.get(&instance).unwrap().tags, expected);
    assert_eq!(world.state.task_definitions.get(&definition).unwrap().tags, expected);
    assert_eq!(world.service_row(service).tags, expected);
    assert_eq!(world.row(task).tags, expected);
    assert_eq!(world.row(task).changed, world.index);
}

#[test]
fn bad_tags_change_nothing() {
    let mut world = World::new();
    let of = Of::ClusterId(world.cluster().0);
    let fifty: Vec<Tag> = (0..50).map(|i| tag(&format!("k{i}"), "")).collect();
    world.done(tagging(of.clone(), fifty));
    assert!(world.refused(tagging(of.clone(), vec![tag("one more", "")])).message.contains("50"));
    world.done(tagging(of.clone(), vec![tag("k0", "put over")]));
    for bad in [tag("", ""), tag("AwS:x", ""), tag("what?", ""), tag("k", &"v".repeat(257)), Tag::default()] {
        assert_eq!(world.refused(tagging(of.clone(), vec![bad])).code, "InvalidParameterException");
    }
    world.refused(tagging(of.clone(), vec![tag("k1", "a"), tag("k1", "b")]));
}

#[test]
fn what_is_gone_takes_no_tags() {
    let mut world = World::new();
    let instance = world.instance("i-1", "a");
    let definition = world.definition("web", size(1, 1));
    let task = world.task(definition, instance);
    world.report(task, TaskStatus::Stopped);
    world.refused(tagging(Of::TaskId(task_id_message(task)), vec![tag("a", "b")]));
    let empty = seawall_proto::internal::v1::CreateCluster { account: 0, name: "empty".into(), ..Default::default() };
    let id = world.done(Kind::CreateCluster(empty)).id;
    world.done(Kind::DeleteCluster(DeleteCluster { cluster_id: id }));
    for of in [Of::ClusterId(id), Of::ServiceId(99), Of::InstanceId(u64::MAX)] {
        assert_eq!(world.refused(tagging(of, vec![tag("a", "b")])).code, "ResourceNotFoundException");
    }
    world.refused(Kind::TagResource(TagResource::default()));
}
