//! Faults: one file a family, one function a scenario. Each drives a [`crate::World`], heals it and lets it settle.

mod agents;
mod at_most_one;
mod capacity;
mod chaos;
mod clocks;
mod crowd;
mod daemons;
mod decisions;
mod disks;
mod doubt;
mod exactly_once;
mod forming;
mod hints;
mod history;
mod leaders;
mod lost_hints;
mod mass_loss;
mod members;
mod rolling;
mod schedules;
mod snapshots;
mod zones;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::{World, world::Setup};

/// One of them.
pub struct Scenario {
    /// As `--scenario` takes it.
    pub name: &'static str,
    /// Panics where something is wrong.
    pub run: fn(u64),
}

macro_rules! scenarios {
    ($($file:ident: $($name:ident),*;)*) => {
        /// All of them.
        pub const ALL: &[Scenario] = &[$($(Scenario { name: stringify!($name), run: $file::$name },)*)*];
    };
}

scenarios! {
    rolling: kill_each_in_turn_during_a_rolling_update, a_rolling_update_over_lossy_links,
        a_breaking_image_is_rolled_back_while_leaders_die;
    zones: a_zone_loses_power, a_zone_is_cut_off, every_zone_in_turn, a_zone_that_came_back_gets_its_tasks;
    leaders: a_paused_leader, a_paused_leader_refuses_nothing, a_minority_leader, a_one_way_cut, leaders_that_hand_over, an_election_loses_no_agent, all_members_die;
    clocks: clocks_an_hour_apart, clocks_that_drift;
    agents: agents_restart_while_a_member_is_down, a_lonely_agent, an_agent_loses_its_folder, two_agents_of_one_name,
        a_machine_reboots, a_machine_comes_back_empty, tasks_that_end_by_themselves, an_agent_of_the_wrong_cluster;
    mass_loss: most_agents_vanish_and_return, most_agents_vanish_for_long, an_operator_ends_the_hold, a_whole_zone_is_no_mass_loss,
        the_agents_of_one_live_member;
    disks: a_member_has_a_full_disk, a_member_has_a_failing_disk, disks_that_are_nearly_full, an_agent_has_a_failing_disk;
    doubt: a_followers_state_differs, the_leaders_state_differs;
    hints: every_hint_is_dropped;
    lost_hints: an_instance_joins, a_stopped_task_frees_its_room, an_instance_is_active_again, a_cordon_ends, a_zone_is_returned,
        a_protection_ends, a_victim_of_preemption_stops;
    forming: one_member_is_late, names_in_another_order, two_members_of_one_name, a_crash_while_forming;
    members: a_wiped_member, a_voter_without_a_spare_stays, a_removed_leader_lives_on, a_lost_member_is_replaced, leadership_is_transferred,
        a_transfer_to_a_paused_member,         five_members;
    exactly_once: replies_of_the_leader_are_lost, tokens_after_a_leader_change;
    snapshots: a_member_that_lags_gets_a_snapshot, a_member_that_was_cut_off_gets_a_snapshot;
    crowd: a_crowd_wants_the_same_room;
    capacity: waiting_tasks_all_run_while_leaders_die;
    history: history_is_the_same_everywhere, history_goes_on_without_room, history_is_dropped_everywhere;
    schedules: leaders_die_around_the_times_of_a_schedule, a_hundred_schedules_wait_without_a_write,
        every_clock_jumps_over_many_times;
    daemons: a_daemon_follows_its_instances, a_daemon_is_updated_while_leaders_die, a_daemon_leaves_an_instance_last;
    at_most_one: a_paused_agent_keeps_no_task_alive, a_cut_off_task_ends_before_another_starts, elections_end_no_guarded_task,
        at_most_one_is_alive_whatever_happens;
    decisions: every_decision_is_made_again;
    chaos: random_faults, random_faults_of_members;
}

/// Three zones, and a service that has two tasks in each.
fn six_tasks(seed: u64) -> World {
    let world = World::formed(&Setup::three_zones(seed));
    world.register("web", &[]);
    world.create_service("web", "web", 6);
    world
}

/// The scenario of that name.
pub fn named(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}

/// Runs a scenario; says how to repeat it where it fails.
pub fn run(scenario: &Scenario, seed: u64) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (scenario.run)(seed))) {
        eprintln!("reproduce: cargo run -p seawall-sim -- --scenario {} --seed {seed}", scenario.name);
        resume_unwind(panic);
    }
}
