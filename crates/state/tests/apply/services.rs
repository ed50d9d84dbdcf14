//! The lives of services.

use seawall_model::{DeploymentId, ServiceId};
use seawall_proto::{
    internal::v1::{
        BackoffRow, CreateService, DeleteService, DeploymentRow, DeregisterTaskDefinition, RolloutState,
        ServiceEventRow, ServiceStatusCode, ServiceStep, TaskStatus, UpdateService,
    },
    v1::CreateServiceRequest,
};
use seawall_state::{Change, task_id};

use crate::fixture::*;

fn update(service: ServiceId) -> UpdateService {
    UpdateService { service_id: service.0, ..UpdateService::default() }
}

fn delete(service: ServiceId, force: bool) -> Kind {
    Kind::DeleteService(DeleteService { service_id: service.0, force })
}

fn finish(service: ServiceId) -> Kind {
    Kind::ServiceStep(ServiceStep { service_id: service.0, finish_delete: true, ..ServiceStep::default() })
}

#[test]
fn the_same_request_again_gives_the_service_that_it_made() {
    let mut world = World::new();
    let definition = world.definition("web", size(1, 1));
    let create = world.creating("web", definition, 2);
    let made = world.done(Kind::CreateService(create.clone()));
    let row = world.service_row(ServiceId(made.id));
    assert_eq!((row.status(), row.desired_count, row.changed), (ServiceStatusCode::Active, 2, world.index));
    assert_eq!(row.deployments.len(), 1);
    assert_eq!((row.deployments[0].primary, row.deployments[0].rollout_state()), (true, RolloutState::InProgress));
    let spec = CreateServiceRequest { client_token: Some("t".into()), ..create.spec.clone().unwrap() };
    let again = CreateService { spec: Some(spec.clone()), deployment_id: 5, ..create.clone() };
    let done = world.done(Kind::CreateService(again.clone()));
    assert_eq!((done.id, done.existed, done.deployment_id), (made.id, true, create.deployment_id));
    let other = CreateService { spec: Some(CreateServiceRequest { desired_count: Some(3), ..spec }), ..again };
    let refusal = world.refused(Kind::CreateService(other));
    assert_eq!(refusal.code, "InvalidParameterException");
    assert_eq!(refusal.message, "Creation of service was not idempotent.");
    assert_eq!(world.state.cluster_counts(world.cluster()).services_active, 1);
}

#[test]
fn what_cannot_be_a_service_is_refused() {
    let mut world = World::new();
    let definition = world.definition("web", size(1, 1));
    let good = world.creating("web", definition, 1);
    let with = |name: &str, desired: i32| {
        let spec = CreateServiceRequest {
            service_name: Some(name.into()),
            desired_count: Some(desired),
            ..CreateServiceRequest::default()
        };
        Kind::CreateService(CreateService { spec: Some(spec), ..good.clone() })
    };
    world.refused(with("not a name", 1));
    world.refused(with("web", -1));
    world.refused(with("web", 5001));
    world.refused(Kind::CreateService(CreateService { deployment_id: 0, ..good.clone() }));
    world.refused(Kind::CreateService(CreateService { task_definition_id: 99, ..good.clone() }));
    world.done(Kind::DeregisterTaskDefinition(DeregisterTaskDefinition { task_definition_id: definition.0 }));
    assert_eq!(world.refused(Kind::CreateService(good)).message, "TaskDefinition is inactive");
}

#[test]
fn another_definition_starts_a_deployment_and_resets_the_backoff() {
    let mut world = World::new();
    let instance = world.instance("i-1", "a");
    let first = world.definition("web", size(1, 1));
    let second = world.definition("web", size(1, 1));
    let service = world.service("web", first, 1);
    let old = world.primary(service);
    let place = world.placing_service(service, &[instance]);
    let task = task_id(&world.placed(Kind::PlaceTasks(place)).tasks[0]);
    let backoff = Some(BackoffRow { failures: 3, ..BackoffRow::default() });
    world.done(Kind::ServiceStep(ServiceStep { service_id: service.0, backoff, ..ServiceStep::default() }));
    let unchanged = world.done(Kind::UpdateService(update(service)));
    assert_eq!(unchanged.deployment_id, 0);
    assert_eq!(world.service_row(service).backoff, None);
    let roll = UpdateService { task_definition_id: second.0, deployment_id: 7, ..update(service) };
    assert_eq!(world.done(Kind::UpdateService(roll.clone())).deployment_id, 7);
    let row = world.service_row(service);
    let deployments: Vec<(u64, bool)> = row.deployments.iter().map(|d| (d.id, d.primary)).collect();
    assert_eq!(deployments, [(7, true), (old.0, false)]);
    world.refused(Kind::UpdateService(UpdateService { force_new_deployment: true, ..roll }));
    let force = UpdateService { force_new_deployment: true, deployment_id: 8, ..update(service) };
    world.done(Kind::UpdateService(force));
    world.report(task, TaskStatus::Stopped);
    let row = world.service_row(service);
    assert_eq!(row.deployments.iter().map(|d| d.id).collect::<Vec<_>>(), [8, old.0], "7 never had a task");
    assert_eq!(row.deployments[0].task_definition_id, second.0);
}

#[test]
fn an_inactive_definition_is_refused_unless_the_service_runs_it() {
    let mut world = World::new();
    let first = world.definition("web", size(1, 1));
    let second = world.definition("web", size(1, 1));
    let service = world.service("web", first, 1);
    for id in [first, second] {
        world.done(Kind::DeregisterTaskDefinition(DeregisterTaskDefinition { task_definition_id: id.0 }));
    }
    let roll = UpdateService { task_definition_id: second.0, deployment_id: 7, ..update(service) };
    assert_eq!(world.refused(Kind::UpdateService(roll)).message, "TaskDefinition is inactive");
    let again = UpdateService {
        task_definition_id: first.0,
        deployment_id: 7,
        force_new_deployment: true,
        desired_count: Some(4),
        ..update(service)
    };
    world.done(Kind::UpdateService(again));
    assert_eq!(world.service_row(service).desired_count, 4);
    world.refused(Kind::UpdateService(UpdateService { desired_count: Some(u32::MAX), ..update(service) }));
}

#[test]
fn a_service_drains_before_its_name_is_free() {
    let mut world = World::new();
    let instance = world.instance("i-1", "a");
    let definition = world.definition("web", size(1, 1));
    let service = world.service("web", definition, 1);
    let place = world.placing_service(service, &[instance]);
    let task = task_id(&world.placed(Kind::PlaceTasks(place)).tasks[0]);
    let refusal = world.refused(delete(service, false));
    assert_eq!(refusal.message, "The service cannot be stopped while it is scaled above 0.");
    world.stale(finish(service));
    world.done(delete(service, true));
    assert!(world.done(delete(service, true)).existed);
    let row = world.service_row(service);
    assert_eq!((row.status(), row.desired_count), (ServiceStatusCode::Draining, 0));
    let refusal = world.refused(Kind::UpdateService(update(service)));
    assert_eq!(
        (refusal.code.as_str(), refusal.message.as_str()),
        ("ServiceNotActiveException", "Service was not ACTIVE.")
    );
    let create = world.creating("web", definition, 1);
    let refusal = world.refused(Kind::CreateService(create.clone()));
    assert_eq!(refusal.message, "Unable to Start a service that is still Draining.");
    let place = world.placing_service(service, &[instance]);
    world.stale(Kind::PlaceTasks(place));
    world.stale(finish(service));
    world.report(task, TaskStatus::Stopped);
    world.done(finish(service));
    assert_eq!(world.service_row(service).status(), ServiceStatusCode::Inactive);
    assert_eq!(world.refused(delete(service, true)).message, "Service not found.");
    let second = world.done(Kind::CreateService(create));
    assert!(!second.existed && second.id > service.0);
    assert_eq!(world.state.service_by_name(world.cluster(), "web").unwrap().id, second.id);
    assert!(world.state.services.get(&service).is_some(), "the deleted one stays describable");
}

#[test]
fn a_step_of_an_older_version_is_stale() {
    let mut world = World::new();
    let definition = world.definition("web", size(1, 1));
    let service = world.service("web", definition, 1);
    let version = world.service_row(service).changed;
    let step = |service_version| {
        let event = ServiceEventRow { id_hi: 1, id_lo: service_version, ..ServiceEventRow::default() };
        Kind::ServiceStep(ServiceStep {
            service_id: service.0,
            service_version,
            events: vec![event],
            steady: Some(true),
            unplaced_reason: Some("no room".into()),
            ..ServiceStep::default()
        })
    };
    world.done(step(version));
    assert!(world.has_changed(&Change::ServiceEvent(service, seawall_model::Id128::from_halves(1, version))));
    let row = world.service_row(service);
    assert_eq!((row.steady, row.unplaced_reason.as_str(), row.events[0].at_ms), (true, "no room", world.now_ms));
    world.stale(step(version));
}

#[test]
fn a_deployment_with_tasks_is_not_left_out() {
    let mut world = World::new();
    let instance = world.instance("i-1", "a");
    let first = world.definition("web", size(1, 1));
    let second = world.definition("web", size(1, 1));
    let service = world.service("web", first, 1);
    let old = world.primary(service);
    let place = world.placing_service(service, &[instance]);
    let task = task_id(&world.placed(Kind::PlaceTasks(place)).tasks[0]);
    world.done(Kind::UpdateService(UpdateService {
        task_definition_id: second.0,
        deployment_id: 7,
        ..update(service)
    }));
    let row = world.service_row(service);
    let step = |deployments: Vec<DeploymentRow>| {
        Kind::ServiceStep(ServiceStep { service_id: service.0, deployments, ..ServiceStep::default() })
    };
    world.stale(step(row.deployments[..1].to_vec()));
    world.refused(step(row.deployments[1..].to_vec()));
    world.refused(step(vec![row.deployments[0].clone(), row.deployments[0].clone()]));
    assert_eq!(world.state.deployment_counts(service, old).live, 1);
    world.report(task, TaskStatus::Stopped);
    world.done(step(row.deployments[..1].to_vec()));
    assert_eq!(world.state.deployment_counts(service, DeploymentId(7)).live, 0);
    assert_eq!(world.service_row(service).deployments.len(), 1);
}

#[test]
fn events_are_capped_newest_last() {
    let mut world = World::new();
    let definition = world.definition("web", size(1, 1));
    let service = world.service("web", definition, 1);
    for batch in 0..3 {
        let event = |i: u64| ServiceEventRow { id_lo: batch * 50 + i, ..ServiceEventRow::default() };
        let events = (0..50).map(event).collect();
        world.done(Kind::ServiceStep(ServiceStep { service_id: service.0, events, ..ServiceStep::default() }));
    }
    let events = world.service_row(service).events;
    assert_eq!((events.len(), events[0].id_lo, events[99].id_lo), (100, 50, 149));
}

#[test]
fn deleted_services_beyond_the_limit_are_forgotten() {
    let mut world = World::new();
    let definition = world.definition("web", size(1, 1));
    let mut first = None;
    for _ in 0..1002 {
        // Checking the whole state after each of 3,000 commands would take minutes.
        let create = world.creating("web", definition, 0);
        let mut apply = |kind| {
            world.index += 1;
            let command = seawall_proto::internal::v1::Command { kind: Some(kind), ..Default::default() };
            kind_done(world.state.apply(world.index, &command).0)
        };
        let service = ServiceId(apply(Kind::CreateService(create)));
        apply(delete(service, false));
        apply(finish(service));
        first.get_or_insert(service);
    }
    world.state.check().unwrap();
    assert_eq!(world.state.services.len(), 1000);
    assert!(world.state.services.get(&first.unwrap()).is_none());
    assert!(world.state.service_by_name(world.cluster(), "web").is_some());
}

fn kind_done(reply: seawall_proto::internal::v1::Reply) -> u64 {
    match kind(reply) {
        seawall_proto::internal::v1::reply::Kind::Done(done) => done.id,
        other => panic!("{other:?}"),
    }
}
