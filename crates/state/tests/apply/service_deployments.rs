//! Service deployments and revisions, and the ways back.

use seawall_model::{InstanceId, ServiceId, TaskDefinitionId};
use seawall_proto::{
    internal::v1::{
        DeleteService, DeploymentFailure, DeploymentReturn, DeregisterTaskDefinition, RolloutState,
        ServiceDeploymentRow, ServiceDeploymentStatus, ServiceEventCode, ServiceStep, StopServiceDeployment,
        TaskStatus, UpdateService,
    },
    v1::{CreateServiceRequest, DeploymentCircuitBreaker, DeploymentConfiguration, LoadBalancer},
};
use seawall_state::task_id;

use crate::{fixture::*, snapshot::restored};

/// A world with a service of one task that is COMPLETED.
struct Deployed {
    world: World,
    service: ServiceId,
    instance: InstanceId,
    first: TaskDefinitionId,
    deployment: u64,
}

fn deployed() -> Deployed {
    let mut world = World::new();
    let instance = world.instance("i-1", "a");
    let first = world.definition("web", size(1, 1));
    let mut create = world.creating("web", first, 1);
    let breaker = DeploymentCircuitBreaker { enable: Some(true), rollback: Some(true), ..Default::default() };
    create.spec = create.spec.map(|spec| CreateServiceRequest {
        task_definition: Some("web:1".into()),
        deployment_configuration: Some(DeploymentConfiguration {
            deployment_circuit_breaker: Some(breaker),
            ..Default::default()
        }),
        ..spec
    });
    let deployment = create.deployment_id;
    let service = ServiceId(world.done(Kind::CreateService(create)).id);
    let place = world.placing_service(service, &[instance]);
    let task = task_id(&world.placed(Kind::PlaceTasks(place)).tasks[0]);
    world.report(task, TaskStatus::Running);
    let mut it = Deployed { world, service, instance, first, deployment };
    it.rollout(RolloutState::Completed, false);
    it
}

impl Deployed {
    fn update(&self, deployment_id: u64) -> UpdateService {
        UpdateService {
            service_id: self.service.0,
            deployment_id,
            service_deployment_id: service_deployment_id(deployment_id),
            ..UpdateService::default()
        }
    }

    /// Another revision is rolled out.
    fn deploy(&mut self, deployment_id: u64) -> TaskDefinitionId {
        let definition = self.world.definition("web", size(1, 1));
        let spec = self
            .world
            .service_row(self.service)
            .spec
            .map(|spec| CreateServiceRequest { task_definition: Some(format!("web:{deployment_id}")), ..spec });
        let update = UpdateService { task_definition_id: definition.0, spec, ..self.update(deployment_id) };
        assert_eq!(self.world.done(Kind::UpdateService(update)).deployment_id, deployment_id);
        definition
    }

    fn step(&self, state: RolloutState, roll_back: bool) -> Kind {
        let mut deployments = self.world.service_row(self.service).deployments;
        deployments[0].set_rollout_state(state);
        if state == RolloutState::Failed {
            deployments[0].set_failure(DeploymentFailure::CircuitBreaker);
            deployments[0].breaker_failures = 3;
        }
        Kind::ServiceStep(ServiceStep { service_id: self.service.0, deployments, roll_back, ..ServiceStep::default() })
    }

    fn rollout(&mut self, state: RolloutState, roll_back: bool) {
        let step = self.step(state, roll_back);
        self.world.done(step);
    }

    fn service_deployment(&self, deployment_id: u64) -> ServiceDeploymentRow {
        let key = (self.service, service_deployment_id(deployment_id));
        (**self.world.state.service_deployments.get(&key).unwrap()).clone()
    }

    fn primary(&self) -> u64 {
        self.world.service_row(self.service).deployments[0].id
    }
}

#[test]
fn each_deployment_has_a_revision_and_a_service_deployment() {
    let mut it = deployed();
    let row = it.service_deployment(it.deployment);
    assert_eq!((row.status(), row.target_revision_id), (ServiceDeploymentStatus::Successful, it.deployment));
    assert!(row.started_at_ms != 0 && row.finished_at_ms != 0 && row.stopped_at_ms == 0);
    assert_eq!(it.world.service_row(it.service).completed_deployment_id, it.deployment);
    it.deploy(7);
    let row = it.service_deployment(7);
    assert_eq!((row.status(), row.source_revision_ids), (ServiceDeploymentStatus::InProgress, vec![it.deployment]));
    let revision = it.world.state.service_revisions.get(&(it.service, 7)).unwrap();
    let spec = revision.spec.clone().unwrap();
    assert_eq!((spec.task_definition(), spec.desired_count), ("web:7", None), "only what a revision holds");
    assert_eq!(restored(&it.world.state).hash(), it.world.state.hash());
}

#[test]
fn what_a_revision_holds_starts_a_deployment_and_nothing_else_does() {
    let mut it = deployed();
    let spec = it.world.service_row(it.service).spec.unwrap();
    let balancer = LoadBalancer { container_name: Some("main".into()), ..Default::default() };
    let balanced = CreateServiceRequest { load_balancers: vec![balancer], ..spec.clone() };
    let other =
        CreateServiceRequest { health_check_grace_period_seconds: Some(9), launch_type: Some("EC2".into()), ..spec };
    for (number, spec, starts) in [(7, other, false), (8, balanced.clone(), true), (9, balanced, false)] {
        let update = UpdateService { spec: Some(spec), ..it.update(number) };
        let started = it.world.done(Kind::UpdateService(update)).deployment_id;
        assert_eq!(started, if starts { number } else { 0 });
    }
}

#[test]
fn a_failed_deployment_gives_way_to_the_last_completed_one() {
    let mut it = deployed();
    it.world.done(Kind::DeregisterTaskDefinition(DeregisterTaskDefinition { task_definition_id: it.first.0 }));
    let broken = it.deploy(7);
    it.rollout(RolloutState::Failed, true);
    let row = it.world.service_row(it.service);
    assert_eq!((row.deployments.len(), it.primary()), (1, it.deployment), "the failed one has no task");
    let primary = &row.deployments[0];
    assert_eq!((primary.task_definition_id, primary.returned()), (it.first.0, DeploymentReturn::CircuitBreaker));
    assert_eq!((primary.rollout_state(), primary.primary), (RolloutState::InProgress, true));
    assert_eq!(row.spec.unwrap().task_definition(), "web:1", "the spec is the old revision's");
    let going = it.service_deployment(7);
    assert_eq!(
        (going.status(), going.rollback_revision_id),
        (ServiceDeploymentStatus::RollbackInProgress, it.deployment)
    );
    assert!(going.breaker_tripped && going.failures == 3 && going.threshold == 3);
    assert!(it.world.state.is_definition_in_use(it.first));
    assert!(!it.world.state.is_definition_in_use(broken));
    it.rollout(RolloutState::Completed, false);
    let gone = it.service_deployment(7);
    assert_eq!(gone.status(), ServiceDeploymentStatus::RollbackSuccessful);
    assert_eq!(
        gone.status_reason,
        "Service deployment rolled back because the circuit breaker threshold was exceeded."
    );
}

#[test]
fn a_rollback_needs_a_failure_and_somewhere_to_go() {
    let mut it = deployed();
    let nowhere = it.step(RolloutState::Failed, true);
    it.world.stale(nowhere);
    it.deploy(7);
    let no_failure = it.step(RolloutState::InProgress, true);
    it.world.stale(no_failure);
    it.rollout(RolloutState::Failed, false);
    let row = it.service_deployment(7);
    assert_eq!(
        (row.status(), row.status_reason.as_str()),
        (ServiceDeploymentStatus::RollbackFailed, "No rollback candidate was found to run the rollback.")
    );
}

#[test]
fn a_caller_stops_a_deployment_and_the_old_tasks_stay() {
    let mut it = deployed();
    let stop = |number: u64, service: ServiceId| {
        let service_deployment_id = service_deployment_id(number);
        Kind::StopServiceDeployment(StopServiceDeployment { service_id: service.0, service_deployment_id })
    };
    let refusal = it.world.refused(stop(it.deployment, it.service));
    assert_eq!(refusal.code, "ConflictException");
    assert!(refusal.message.contains("SUCCESSFUL"), "{}", refusal.message);
    assert_eq!(it.world.refused(stop(7, it.service)).code, "ServiceDeploymentNotFoundException");
    it.deploy(7);
    let place = it.world.placing_service(it.service, &[it.instance]);
    it.world.placed(Kind::PlaceTasks(place));
    it.world.done(stop(7, it.service));
    assert!(it.world.done(stop(7, it.service)).existed, "it goes on");
    let row = it.world.service_row(it.service);
    assert_eq!(row.deployments.iter().map(|d| d.id).collect::<Vec<_>>(), [it.deployment, 7]);
    assert_eq!(row.deployments[1].failure(), DeploymentFailure::Stopped);
    let codes: Vec<_> = row.events.iter().map(|e| e.code()).collect();
    assert_eq!(codes, [ServiceEventCode::DeploymentStopped, ServiceEventCode::RollingBack]);
    it.rollout(RolloutState::Completed, false);
    let row = it.service_deployment(7);
    assert_eq!(row.status(), ServiceDeploymentStatus::RollbackSuccessful);
    assert!(!row.breaker_tripped);
}

#[test]
fn a_first_deployment_cannot_be_stopped() {
    let mut world = World::new();
    let definition = world.definition("web", size(1, 1));
    let create = world.creating("web", definition, 1);
    let id = create.service_deployment_id.clone();
    let service_id = world.done(Kind::CreateService(create)).id;
    let stop = StopServiceDeployment { service_id, service_deployment_id: id };
    assert!(world.refused(Kind::StopServiceDeployment(stop)).message.contains("no completed revision"));
}

#[test]
fn a_newer_deployment_or_the_end_of_the_service_stops_one_that_is_under_way() {
    let mut it = deployed();
    it.deploy(7);
    it.deploy(8);
    let row = it.service_deployment(7);
    assert_eq!(row.status(), ServiceDeploymentStatus::Stopped);
    assert!(row.status_reason.contains(&service_deployment_id(8)) && row.stopped_at_ms != 0);
    it.rollout(RolloutState::Failed, true);
    it.deploy(9);
    assert_eq!(it.service_deployment(8).status(), ServiceDeploymentStatus::RollbackFailed);
    it.world.done(Kind::DeleteService(DeleteService { service_id: it.service.0, force: true }));
    assert_eq!(it.service_deployment(9).status(), ServiceDeploymentStatus::Stopped);
}

#[test]
fn the_last_fifty_service_deployments_are_kept_with_the_revisions_that_they_name() {
    let mut it = deployed();
    for number in 100..200 {
        it.world.now_ms += 1;
        it.deploy(number);
    }
    let kept: Vec<u64> = it.world.state.service_deployments_of(it.service).map(|row| row.target_revision_id).collect();
    assert_eq!((kept.len(), kept[0]), (50, 150));
    let revisions: Vec<u64> = it.world.state.service_revisions_of(it.service).map(|row| row.id).collect();
    assert_eq!((revisions.len(), revisions.last()), (51, Some(&it.deployment)), "and the one to go back to");
    assert!(it.world.state.is_definition_in_use(it.first));
    let replaced = it.world.state.service_revisions.get(&(it.service, 150)).unwrap().task_definition_id;
    assert!(!it.world.state.is_definition_in_use(TaskDefinitionId(replaced)));
}

#[test]
fn a_service_of_an_older_version_gets_its_revision_with_the_next_deployment() {
    let mut world = World::new();
    let instance = world.instance("i-1", "a");
    let first = world.definition("web", size(1, 1));
    let mut create = world.creating("web", first, 1);
    create.service_deployment_id.clear();
    let deployment = create.deployment_id;
    let service = ServiceId(world.done(Kind::CreateService(create)).id);
    assert_eq!((world.state.service_revisions.len(), world.state.service_deployments.len()), (0, 0));
    let mut it = Deployed { world, service, instance, first, deployment };
    it.rollout(RolloutState::Completed, false);
    assert_eq!(it.world.service_row(service).completed_deployment_id, 0, "as the older version wrote it");
    it.deploy(7);
    assert_eq!(it.world.service_row(service).completed_deployment_id, deployment);
    it.rollout(RolloutState::Failed, true);
    assert_eq!(it.primary(), deployment);
}

#[test]
fn each_use_of_a_stored_member_is_said() {
    let mut world = World::new();
    let definition = world.definition("web", size(1, 1));
    let mut create = world.creating("web", definition, 1);
    create.stored_members = vec!["loadBalancers".into(), "role".into()];
    let service = ServiceId(world.done(Kind::CreateService(create)).id);
    let events = world.service_row(service).events;
    let said: Vec<_> = events.iter().map(|e| (e.code(), e.detail.as_str())).collect();
    assert_eq!(said, [(ServiceEventCode::StoredOnly, "loadBalancers"), (ServiceEventCode::StoredOnly, "role")]);
    assert_ne!((events[0].id_hi, events[0].id_lo), (events[1].id_hi, events[1].id_lo));
}
