//! Effects are hints: without any of them the outcome is the same, only later.

use std::time::Duration;

use seawall_proto::v1::{CreateServiceResponse, DeleteServiceRequest, DeleteServiceResponse, UpdateServiceRequest};
use seawall_server::simulated::Faults;

use crate::{
    World,
    world::{Setup, service},
};

/// Everything is looked at twice a minute.
const SETTLE: Duration = Duration::from_secs(240);

pub(super) fn every_hint_is_dropped(seed: u64) {
    let mut setup = Setup::three_zones(seed);
    setup.faults = Faults { drop_hints: true, ..Faults::default() };
    let mut world = World::formed(&setup);
    world.register("web", &[]);
    let _: CreateServiceResponse = world.must("CreateService", &service("web", "web", 6));
    world.settle(SETTLE);
    let new = world.register("web", &[("VERSION", "2")]);
    world.update_service(
        "web",
        UpdateServiceRequest { task_definition: Some(new), desired_count: Some(4), ..Default::default() },
    );
    world.settle(SETTLE);
    world.kill_agent("a1");
    world.run_for(Duration::from_secs(60));
    world.restart_agent("a1");
    world.settle(SETTLE);
    let delete = DeleteServiceRequest { service: Some("web".into()), force: Some(true), ..Default::default() };
    let _: DeleteServiceResponse = world.must("DeleteService", &delete);
    world.settle(SETTLE);
}
