//! Creating and deleting clusters, expected versions.

use seawall_proto::internal::v1::{Command, CreateCluster, DeleteCluster, DeleteService, ServiceStep, reply};
use seawall_state::State;

use crate::fixture::*;

fn create(name: &str) -> Kind {
    Kind::CreateCluster(CreateCluster { account: 0, name: name.into(), ..Default::default() })
}

fn delete(id: u64) -> Kind {
    Kind::DeleteCluster(DeleteCluster { cluster_id: id })
}

#[test]
fn creating_again_gives_the_same_cluster() {
    let mut world = World::new();
    let made = world.done(create("prod"));
    let again = world.done(create("prod"));
    assert_eq!((made.id, made.existed, again.id, again.existed), (made.id, false, made.id, true));
    assert_eq!(world.refused(create("not a name")).code, "InvalidParameterException");
}

#[test]
fn a_deleted_cluster_stays_describable_and_leaves_its_name() {
    let mut world = World::new();
    let first = world.done(create("prod")).id;
    world.done(delete(first));
    assert!(!world.state.cluster_by_name(0, "prod").unwrap().active);
    assert!(world.done(delete(first)).existed);
    let second = world.done(create("prod"));
    assert!(second.id > first && !second.existed);
    assert_eq!(world.refused(delete(999)).code, "ClusterNotFoundException");
}

#[test]
fn a_cluster_that_holds_something_is_not_deleted() {
    let mut world = World::new();
    let id = world.cluster().0;
    let instance = world.instance("i-1", "a");
    let definition = world.definition("web", size(1, 1));
    let service = world.service("web", definition, 0);
    let refusal = world.refused(delete(id));
    assert_eq!(refusal.code, "ClusterContainsServicesException");
    assert_eq!(refusal.message, "The Cluster cannot be deleted while Services are active.");
    world.done(Kind::DeleteService(DeleteService { service_id: service.0, force: false }));
    assert_eq!(world.refused(delete(id)).code, "ClusterContainsServicesException", "DRAINING counts too");
    let finish = ServiceStep { service_id: service.0, finish_delete: true, ..ServiceStep::default() };
    world.done(Kind::ServiceStep(finish));
    let refusal = world.refused(delete(id));
    assert_eq!(refusal.code, "ClusterContainsContainerInstancesException");
    assert_eq!(refusal.message, "The Cluster cannot be deleted while Container Instances are active or draining.");
    let deregister = seawall_proto::internal::v1::DeregisterInstance { instance_id: instance.0, ..Default::default() };
    world.done(Kind::DeregisterInstance(deregister));
    world.done(delete(id));
}

#[test]
fn an_expected_version_that_is_not_the_resources_is_refused() {
    let mut world = World::new();
    let id = world.done(create("prod")).id;
    let version = world.index;
    let with = |world: &World, kind, expected_version| Command { expected_version, ..world.command(kind) };
    let wrong = with(&world, delete(id), version + 1);
    let reply::Kind::Refusal(refusal) = world.send(&wrong) else { panic!("not refused") };
    assert_eq!(refusal.code, "VersionMismatchException");
    assert_eq!(refusal.message, format!("The version of the resource is {version}, not {}.", version + 1));
    let made_anew = with(&world, create("other"), 5);
    assert!(matches!(world.send(&made_anew), reply::Kind::Refusal(r) if r.code == "VersionMismatchException"));
    let right = with(&world, delete(id), version);
    assert!(matches!(world.send(&right), reply::Kind::Done(_)));
}

#[test]
fn deleted_clusters_beyond_the_limit_are_forgotten() {
    let mut state = State::new();
    let mut index = 0;
    let mut apply = |kind| {
        index += 1;
        state.apply(index, &Command { kind: Some(kind), ..Command::default() }).0
    };
    apply(init());
    let mut first = 0;
    for _ in 0..1001 {
        let reply::Kind::Done(done) = kind(apply(create("again"))) else { panic!("not made") };
        first = if first == 0 { done.id } else { first };
        apply(delete(done.id));
    }
    assert_eq!(state.clusters.len(), 1 + 1000);
    assert!(state.clusters.get(&seawall_model::ClusterId(first)).is_none());
    assert!(state.cluster_by_name(0, "again").is_some());
    state.check().unwrap();
}
