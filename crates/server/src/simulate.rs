//! Where tasks would go, with the cluster as it is or as it would be. Nothing is proposed.

use seawall_model::{ACCOUNT, ApiError, ClusterId, InstanceId, ServiceId, is_zone, limits::SERVICE_TASKS_MAX};
use seawall_proto::{
    internal::v1::{InstanceAttribute, InstanceRow, InstanceStatus, Resources, TaskDefinitionRow},
    v1::{FilterCount, SimulatePlacementRequest, SimulatePlacementResponse, SimulatedPlacement, SupposedInstance},
};
use seawall_scheduler::{
    Constraints, Fargate, Fleet, Overlay, PlaceRequest, Plan, Pool, Requirement, Strategy, effective_size,
};
use seawall_state::{State, primary_deployment};

use crate::{ops, resolve};

/// Instances that one call may suppose.
const ADDED_MAX: u32 = 10_000;
/// Above the ids of instances, which share the cluster's sequence.
const FIRST_ID: u64 = 1 << 62;

/// Plans what is asked for on a copy of the state.
///
/// # Errors
/// `InvalidParameterException` and others where what is asked for does not exist or makes no request.
pub(crate) fn simulate(
    state: &State,
    ask: &SimulatePlacementRequest,
    fargate: Fargate,
) -> Result<SimulatePlacementResponse, ApiError> {
    let cluster = resolve::cluster(state, ask.cluster.as_deref())?;
    let mut supposed = state.clone();
    let lost = lose(&mut supposed, cluster, ask)?;
    add(&mut supposed, cluster, &ask.added)?;
    let request = match (ask.service.as_str(), ask.task_definition.as_str()) {
        ("", "") => return Err(ApiError::invalid("service or taskDefinition is required.")),
        (name, "") => of_service(&supposed, cluster, name, ask.count, &lost, fargate)?,
        ("", name) => of_definition(&supposed, cluster, name, ask, fargate)?,
        _ => return Err(ApiError::invalid("service and taskDefinition exclude each other.")),
    };
    if request.count > SERVICE_TASKS_MAX {
        return Err(ApiError::invalid(format!("count is {}; it must be at most {SERVICE_TASKS_MAX}.", request.count)));
    }
    let plan = Fleet::new(&supposed, &Overlay::default()).place(&request);
    Ok(rendered(&supposed, request.count, plan))
}

/// Takes out of use what is supposed to be lost; which instances that is.
fn lose(state: &mut State, cluster: ClusterId, ask: &SimulatePlacementRequest) -> Result<Vec<InstanceId>, ApiError> {
    let mut lost = Vec::new();
    for zone in &ask.lost_zones {
        let of_zone: Vec<InstanceId> =
            state.instances_of(cluster).filter(|row| row.zone == *zone).map(|row| InstanceId(row.id)).collect();
        if of_zone.is_empty() {
            return Err(ApiError::invalid(format!("No instance of the cluster is in a zone {zone:?}.")));
        }
        lost.extend(of_zone);
    }
    for name in &ask.lost_instances {
        let row = resolve::instance(state, cluster, name)?
            .ok_or_else(|| ApiError::invalid(format!("There is no instance {name:?} in the cluster.")))?;
        lost.push(InstanceId(row.id));
    }
    for id in &lost {
        if let Some(row) = state.instances.get(id).cloned() {
            state.suppose_instance(InstanceRow { connected: false, ..InstanceRow::clone(&row) });
        }
    }
    Ok(lost)
}

fn add(state: &mut State, cluster: ClusterId, added: &[SupposedInstance]) -> Result<(), ApiError> {
    let all: u64 = added.iter().map(|one| u64::from(one.count.unwrap_or(1))).sum();
    if all > u64::from(ADDED_MAX) {
        return Err(ApiError::invalid(format!("added: {all} instances are given, at most {ADDED_MAX} can be.")));
    }
    let mut number = 0;
    for one in added {
        if !is_zone(&one.zone) {
            return Err(ApiError::invalid(format!("added: {:?} is not the name of a zone.", one.zone)));
        }
        for _ in 0..one.count.unwrap_or(1) {
            number += 1;
            state.suppose_instance(supposed(cluster, number, one));
        }
    }
    Ok(())
}

/// As an agent of such a machine would register: what its runtime can do is taken for granted.
fn supposed(cluster: ClusterId, number: u64, of: &SupposedInstance) -> InstanceRow {
    let attribute = |(name, value): (&String, &String)| InstanceAttribute {
        name: name.clone(),
        value: value.clone(),
        custom: true,
    };
    InstanceRow {
        id: FIRST_ID + number,
        arn_hi: u64::MAX,
        arn_lo: number,
        cluster_id: cluster.0,
        ec2_instance_id: format!("added-{number}"),
        zone: of.zone.clone(),
        status: InstanceStatus::Active.into(),
        connected: true,
        registered: Some(Resources { cpu: of.cpu, memory: of.memory, ..Resources::default() }),
        attributes: of.attributes.iter().map(attribute).collect(),
        ..InstanceRow::default()
    }
}

fn of_service(
    state: &State,
    cluster: ClusterId,
    name: &str,
    count: Option<u32>,
    lost: &[InstanceId],
    fargate: Fargate,
) -> Result<PlaceRequest, ApiError> {
    let row = resolve::service(state, cluster, name)
        .ok_or_else(|| ApiError::invalid(format!("There is no service {name:?} in the cluster.")))?;
    let on_lost = |id: &InstanceId| state.service_tasks_on_instance(ServiceId(row.id), *id);
    let count = count.unwrap_or_else(|| match lost.is_empty() {
        true => 1,
        false => lost.iter().map(on_lost).sum(),
    });
    let (_, definition) =
        primary_deployment(&row).ok_or_else(|| ApiError::invalid("The service has no deployment."))?;
    PlaceRequest::of_service(state, &Overlay::default(), &row, definition, count, fargate).map_err(ApiError::invalid)
}

fn of_definition(
    state: &State,
    cluster: ClusterId,
    name: &str,
    ask: &SimulatePlacementRequest,
    fargate: Fargate,
) -> Result<PlaceRequest, ApiError> {
    let definition: &TaskDefinitionRow = ops::active_task_definition(state, ACCOUNT, name)?;
    let constraints = Constraints::of(definition, &ask.placement_constraints).map_err(ApiError::invalid)?;
    let requirement = Requirement { size: effective_size(definition, None)?, constraints, pool: Pool::Open };
    let group = format!("family:{}", definition.family);
    Ok(PlaceRequest {
        strategy: Strategy::parse(&ask.placement_strategy, 0).map_err(ApiError::invalid)?,
        fargate,
        ..PlaceRequest::of_group(cluster, &group, requirement, ask.count.unwrap_or(1))
    })
}

fn rendered(state: &State, count: u32, plan: Plan) -> SimulatePlacementResponse {
    let placed = plan.placements.len() as u32;
    let placements = plan.placements.into_iter().filter_map(|placement| {
        let row = state.instances.get(&placement.instance)?;
        Some(SimulatedPlacement {
            ec2_instance_id: row.ec2_instance_id.clone(),
            zone: row.zone.clone(),
            why: placement.note,
        })
    });
    let filter = |count: &seawall_scheduler::FilterCount| FilterCount {
        filter: count.filter.into(),
        instances: count.instances,
        detail: String::new(),
    };
    SimulatePlacementResponse {
        placements: placements.collect(),
        unplaced: count.saturating_sub(placed),
        reason: plan.closest.unwrap_or_default(),
        filters: plan.counts.iter().map(filter).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::TestCluster;

    /// Three zones of one instance with 1,000 units each, and a service of three tasks of 400.
    fn cluster() -> TestCluster {
        let mut cluster = TestCluster::new();
        for (name, zone) in [("i-1", "a"), ("i-2", "b"), ("i-3", "c")] {
            cluster.instance_with(name, zone, 1000, 1000);
        }
        cluster.register("web", 400, 100);
        cluster.must("CreateService", json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 3}));
        cluster.reconcile();
        cluster
    }

    fn ask(cluster: &TestCluster, ask: SimulatePlacementRequest) -> Result<SimulatePlacementResponse, ApiError> {
        simulate(&cluster.state, &ask, Fargate::default())
    }

    fn on(answer: &SimulatePlacementResponse) -> Vec<&str> {
        answer.placements.iter().map(|placement| placement.ec2_instance_id.as_str()).collect()
    }

    #[test]
    fn what_a_loss_costs_is_placed_elsewhere_and_nothing_changes() {
        let cluster = cluster();
        let before = cluster.state.hash();
        let of_web = SimulatePlacementRequest { service: "web".into(), ..Default::default() };
        let lost = SimulatePlacementRequest { lost_zones: vec!["a".into()], ..of_web.clone() };
        let answer = ask(&cluster, lost.clone()).unwrap();
        assert_eq!((on(&answer), answer.unplaced), (vec!["i-2"], 0));
        let two = SimulatePlacementRequest { lost_instances: vec!["i-2".into()], ..lost };
        let answer = ask(&cluster, two.clone()).unwrap();
        assert_eq!((on(&answer), answer.unplaced), (vec!["i-3"], 1));
        assert!(answer.reason.contains("CPU"), "{}", answer.reason);
        let added = SupposedInstance { zone: "d".into(), cpu: 1000, memory: 1000, ..Default::default() };
        let answer = ask(&cluster, SimulatePlacementRequest { added: vec![added], ..two }).unwrap();
        assert_eq!((on(&answer), answer.unplaced), (vec!["added-1", "i-3"], 0));
        assert_eq!(on(&ask(&cluster, of_web).unwrap()).len(), 1, "one more, where nothing is lost");
        assert_eq!(cluster.state.hash(), before);
    }

    #[test]
    fn a_definition_is_placed_by_what_is_asked() {
        let cluster = cluster();
        let constraint = |expression: &str| seawall_proto::v1::PlacementConstraint {
            r#type: Some("memberOf".into()),
            expression: Some(expression.into()),
        };
        let of_definition = |expression: &str| SimulatePlacementRequest {
            task_definition: "web".into(),
            count: Some(2),
            placement_constraints: vec![constraint(expression)],
            ..Default::default()
        };
        let answer = ask(&cluster, of_definition("attribute:ecs.availability-zone == b")).unwrap();
        assert_eq!((on(&answer), answer.unplaced), (vec!["i-2"], 1));
        assert!(ask(&cluster, of_definition("zone is b")).unwrap_err().message.contains("placementConstraints[0]"));
    }

    #[test]
    fn what_does_not_exist_is_named() {
        let cluster = cluster();
        let says = |ask_for: SimulatePlacementRequest| ask(&cluster, ask_for).unwrap_err().message;
        let base = SimulatePlacementRequest { service: "web".into(), ..Default::default() };
        assert!(says(SimulatePlacementRequest::default()).contains("service or taskDefinition"));
        assert!(says(SimulatePlacementRequest { service: "api".into(), ..Default::default() }).contains("\"api\""));
        assert!(says(SimulatePlacementRequest { lost_zones: vec!["x".into()], ..base.clone() }).contains("\"x\""));
        assert!(says(SimulatePlacementRequest { lost_instances: vec!["x".into()], ..base.clone() }).contains("\"x\""));
        assert!(says(SimulatePlacementRequest { count: Some(5001), ..base.clone() }).contains("at most 5000"));
        let many = SupposedInstance { zone: "a".into(), count: Some(10_001), ..Default::default() };
        assert!(says(SimulatePlacementRequest { added: vec![many], ..base }).contains("at most 10000"));
    }
}
