//! Every scenario with a few seeds: `SEAWALL_SEEDS=100` for more of them. The nightly run takes many by the binary.

use seawall_sim::scenarios;

/// Seeds of an ordinary run.
const SEEDS: u64 = 2;

fn run(name: &str) {
    let seeds = std::env::var("SEAWALL_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS);
    let scenario = scenarios::named(name).expect("a scenario of that name");
    (1..=seeds).for_each(|seed| scenarios::run(scenario, seed));
}

macro_rules! scenarios {
    ($($name:ident,)*) => {
        $(
            #[test]
            fn $name() {
                run(stringify!($name));
            }
        )*

        #[test]
        fn every_scenario_has_a_test() {
            let tested = [$(stringify!($name)),*];
            let known: Vec<&str> = scenarios::ALL.iter().map(|scenario| scenario.name).collect();
            assert_eq!(known, tested);
        }
    };
}

scenarios! {
    kill_each_in_turn_during_a_rolling_update,
    a_rolling_update_over_lossy_links,
    a_breaking_image_is_rolled_back_while_leaders_die,
    a_zone_loses_power,
    a_zone_is_cut_off,
    every_zone_in_turn,
    a_zone_that_came_back_gets_its_tasks,
    a_paused_leader,
    a_paused_leader_refuses_nothing,
    a_minority_leader,
    a_one_way_cut,
    leaders_that_hand_over,
    an_election_loses_no_agent,
    all_members_die,
    clocks_an_hour_apart,
    clocks_that_drift,
    agents_restart_while_a_member_is_down,
    a_lonely_agent,
    an_agent_loses_its_folder,
    two_agents_of_one_name,
    a_machine_reboots,
    a_machine_comes_back_empty,
    tasks_that_end_by_themselves,
    an_agent_of_the_wrong_cluster,
    most_agents_vanish_and_return,
    most_agents_vanish_for_long,
    an_operator_ends_the_hold,
    a_whole_zone_is_no_mass_loss,
    the_agents_of_one_live_member,
    a_member_has_a_full_disk,
    a_member_has_a_failing_disk,
    disks_that_are_nearly_full,
    an_agent_has_a_failing_disk,
    a_followers_state_differs,
    the_leaders_state_differs,
    every_hint_is_dropped,
    an_instance_joins,
    a_stopped_task_frees_its_room,
    an_instance_is_active_again,
    a_cordon_ends,
    a_zone_is_returned,
    a_protection_ends,
    a_victim_of_preemption_stops,
    one_member_is_late,
    names_in_another_order,
    two_members_of_one_name,
    a_crash_while_forming,
    a_wiped_member,
    a_voter_without_a_spare_stays,
    a_removed_leader_lives_on,
    a_lost_member_is_replaced,
    leadership_is_transferred,
    a_transfer_to_a_paused_member,
    five_members,
    replies_of_the_leader_are_lost,
    tokens_after_a_leader_change,
    a_member_that_lags_gets_a_snapshot,
    a_member_that_was_cut_off_gets_a_snapshot,
    a_crowd_wants_the_same_room,
    waiting_tasks_all_run_while_leaders_die,
    history_is_the_same_everywhere,
    history_goes_on_without_room,
    history_is_dropped_everywhere,
    leaders_die_around_the_times_of_a_schedule,
    a_hundred_schedules_wait_without_a_write,
    every_clock_jumps_over_many_times,
    a_daemon_follows_its_instances,
    a_daemon_is_updated_while_leaders_die,
    a_daemon_leaves_an_instance_last,
    a_paused_agent_keeps_no_task_alive,
    a_cut_off_task_ends_before_another_starts,
    elections_end_no_guarded_task,
    at_most_one_is_alive_whatever_happens,
    every_decision_is_made_again,
    random_faults,
    random_faults_of_members,
}
