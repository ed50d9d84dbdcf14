//! A daemon beside a service, while leaders die, zones are lost and instances drain.

use std::time::Duration;

use seawall_model::{Id128, InstanceId};
use seawall_proto::v1::{
    CreateServiceRequest, CreateServiceResponse, StringListValue, UpdateContainerInstancesStateRequest,
    UpdateContainerInstancesStateResponse, UpdateServiceRequest,
};

use super::six_tasks;
use crate::World;

const SETTLE: Duration = Duration::from_secs(60);
const LOST_WITHIN: Duration = Duration::from_secs(10);

/// The service of six tasks, and a daemon on each of the instances.
fn with_daemon(seed: u64) -> (World, usize) {
    let world = six_tasks(seed);
    let instances = world.state().instances.len();
    let daemon = CreateServiceRequest {
        service_name: Some("agent".into()),
        task_definition: Some("web".into()),
        scheduling_strategy: Some("DAEMON".into()),
        ..Default::default()
    };
    let _: CreateServiceResponse = world.must("CreateService", &daemon);
    world.wait_running("agent", instances as i32);
    (world, instances)
}

fn is_everywhere(world: &World, instances: usize) {
    let mut on: Vec<u64> = world.tasks("agent").iter().map(|task| task.instance_id).collect();
    on.sort_unstable();
    on.dedup();
    assert_eq!((on.len(), world.running("agent")), (instances, instances));
}

pub(super) fn a_daemon_follows_its_instances(seed: u64) {
    let (mut world, instances) = with_daemon(seed);
    let workload = world.start_workload();
    let zone = world.zone_of(&world.leading());
    let inside = world.in_zone(&zone).iter().filter(|name| world.agents().contains_key(*name)).count();
    world.isolate(&world.in_zone(&zone));
    world.wait("the cut off ones to count no more", LOST_WITHIN, |w| {
        w.describe_service("agent").desired_count() as usize == instances - inside
    });
    assert_eq!(world.running("agent"), instances - inside, "nothing takes their place");
    world.sim.heal();
    world.settle(SETTLE);
    is_everywhere(&world, instances);
    world.power_off_zone("b");
    world.run_for(LOST_WITHIN);
    world.power_on_zone("b");
    workload.stop_writing();
    world.settle(SETTLE);
    is_everywhere(&world, instances);
}

pub(super) fn a_daemon_is_updated_while_leaders_die(seed: u64) {
    let (mut world, instances) = with_daemon(seed);
    world.register("web", &[("A", "2")]);
    let update = UpdateServiceRequest { task_definition: Some("web".into()), ..Default::default() };
    world.update_service("agent", update);
    for _ in 0..3 {
        let leading = world.leading();
        world.kill_member(&leading);
        world.restart_member(&leading);
        world.wait_leader();
    }
    world.settle(SETTLE);
    is_everywhere(&world, instances);
    world.wait("the old ones to be gone", SETTLE, |w| w.describe_service("agent").deployments.len() == 1);
}

pub(super) fn a_daemon_leaves_an_instance_last(seed: u64) {
    let (world, instances) = with_daemon(seed);
    let drained = world.tasks("web")[0].instance_id;
    let state = world.state();
    let row = state.instances.get(&InstanceId(drained)).expect("its instance");
    let arn = state.arns().instance("default", Id128::from_halves(row.arn_hi, row.arn_lo));
    let drain = UpdateContainerInstancesStateRequest {
        container_instances: Some(StringListValue { items: vec![arn] }),
        status: Some("DRAINING".into()),
        ..Default::default()
    };
    let told: UpdateContainerInstancesStateResponse = world.must("UpdateContainerInstancesState", &drain);
    assert_eq!((told.container_instances.len(), told.failures.len()), (1, 0));
    world.wait("all others to have left", SETTLE, |w| {
        let web = w.tasks("web").iter().any(|task| task.instance_id == drained);
        let agent = w.tasks("agent").iter().any(|task| task.instance_id == drained && task.desired_running);
        assert!(agent || !web, "the daemon was told to stop before the others had left");
        !web && !agent
    });
    world.settle(SETTLE);
    assert_eq!(world.running("agent"), instances - 1);
}
