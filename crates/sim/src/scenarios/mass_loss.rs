//! So many agents fall silent at once that the fault is more likely ours than theirs.

use std::time::Duration;

use seawall_proto::v1::{ReplaceLostRequest, ReplaceLostResponse};

use crate::{World, world::Setup};

const SETTLE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
/// A lease and a little.
const NOTICED: Duration = Duration::from_secs(6);
const HOLD: Duration = Duration::from_secs(40);

fn twelve_agents(seed: u64) -> World {
    let mut setup = Setup::with(seed, &["a", "b", "c"], 4);
    setup.tune = |config| config.mass_loss_hold = HOLD;
    let world = World::formed(&setup);
    world.register("web", &[]);
    world.create_service("web", "web", 12);
    world
}

/// All but the first agents of two zones.
fn ten(world: &World) -> Vec<String> {
    world.agents().keys().filter(|name| !["a1", "a2"].contains(&name.as_str())).cloned().collect()
}

fn placed(world: &World) -> usize {
    world.state().tasks.iter().count()
}

pub(super) fn most_agents_vanish_and_return(seed: u64) {
    let world = twelve_agents(seed);
    world.isolate(&ten(&world));
    world.run_for(NOTICED);
    assert!(world.status().mass_loss_hold.contains("fell silent"), "{:?}", world.status().mass_loss_hold);
    world.run_for(SECOND * 10);
    assert_eq!(placed(&world), 12, "nothing is replaced while it is held");
    let held = world.service_row("web").unwrap_or_default();
    let says = |row: &seawall_proto::internal::v1::ServiceRow| {
        let code = seawall_proto::internal::v1::ServiceEventCode::MassLossHold;
        row.events.iter().any(|event| event.code() == code)
    };
    assert!(says(&held), "an event says so");
    world.sim.heal();
    world.settle(SETTLE);
    world.wait("the hold to end", SECOND * 5, |w| w.status().mass_loss_hold.is_empty());
    world.run_for(SECOND * 5);
    assert_eq!(placed(&world), 12, "all came back: nothing had to move");
}

pub(super) fn an_operator_ends_the_hold(seed: u64) {
    let world = twelve_agents(seed);
    let nothing = world.call::<ReplaceLostResponse>("s1", "ReplaceLost", &ReplaceLostRequest {});
    assert!(nothing.is_err_and(|error| error.to_string().contains("nothing is held")));
    world.isolate(&ten(&world));
    world.run_for(NOTICED);
    let held = world.status().mass_loss_hold;
    assert_ne!(held, "");
    let answer: ReplaceLostResponse = world.must("ReplaceLost", &ReplaceLostRequest {});
    assert_eq!(answer.held, held);
    world.wait("the tasks to be replaced", SECOND * 10, |w| w.running("web") == 12);
    assert_eq!(world.status().mass_loss_hold, "", "the same losses hold nothing again");
    world.sim.heal();
    world.settle(SETTLE);
}

pub(super) fn most_agents_vanish_for_long(seed: u64) {
    let world = twelve_agents(seed);
    world.isolate(&ten(&world));
    world.run_for(NOTICED);
    assert_ne!(world.status().mass_loss_hold, "");
    world.run_for(HOLD);
    assert_eq!(world.status().mass_loss_hold, "", "it ends after the configured time");
    world.wait_running("web", 12);
    world.sim.heal();
    world.settle(SETTLE);
}

pub(super) fn a_whole_zone_is_no_mass_loss(seed: u64) {
    let mut world = twelve_agents(seed);
    let began = world.sim.now();
    world.power_off_zone("b");
    while world.running("web") < 12 {
        world.run_for(SECOND / 2);
        assert_eq!(world.status().mass_loss_hold, "");
        assert!(world.sim.now() - began < SECOND * 15, "{} of 12 run", world.running("web"));
    }
    world.power_on_zone("b");
    world.settle(SETTLE);
}

/// More than half of those attached to one member that is alive, and the zones lose about the same.
pub(super) fn the_agents_of_one_live_member(seed: u64) {
    let world = twelve_agents(seed);
    let state = world.state();
    let mut by_member = std::collections::BTreeMap::<u64, Vec<String>>::new();
    for (_, row) in state.instances.iter() {
        by_member.entry(row.member_id).or_default().push(row.ec2_instance_id.clone());
    }
    let attached = by_member.into_values().max_by_key(Vec::len).unwrap_or_default();
    if attached.len() <= 3 {
        // They are spread evenly: three are no mass.
        return;
    }
    world.isolate(&attached);
    world.run_for(NOTICED);
    assert_ne!(world.status().mass_loss_hold, "", "{} of one member's agents fell silent", attached.len());
    world.sim.heal();
    world.settle(SETTLE);
    assert_eq!(placed(&world), 12);
}
