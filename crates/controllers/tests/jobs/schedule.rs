//! Schedules over time.

use insta::assert_snapshot;
use proptest::prelude::*;
use seawall_controllers::schedules::{CATCH_UP_MAX, Ticks};
use seawall_model::ScheduleId;
use seawall_proto::{
    internal::v1::{JobStatus, UpdateSchedule, command::Kind},
    v1::ScheduleSpec,
};

use crate::world::{End, MINUTE_MS, SECOND_MS, World, ends};

const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

fn every(expression: &str) -> ScheduleSpec {
    ScheduleSpec { expression: Some(expression.into()), ..ScheduleSpec::default() }
}

fn with(expression: &str, concurrency: &str, catch_up: &str) -> ScheduleSpec {
    let (concurrency, catch_up) = (Some(concurrency.into()), Some(catch_up.into()));
    ScheduleSpec { concurrency, catch_up, ..every(expression) }
}

/// The times that jobs began for, in minutes since the first.
fn begun(world: &World, schedule: ScheduleId, from_ms: i64) -> Vec<i64> {
    let over = world.state.jobs_of_schedule(schedule, true);
    let mut ticks: Vec<i64> =
        over.chain(world.state.jobs_of_schedule(schedule, false)).map(|job| job.tick_ms).collect();
    ticks.sort_unstable();
    ticks.into_iter().map(|tick| (tick - from_ms) / MINUTE_MS).collect()
}

#[test]
fn a_schedule_waits_begins_and_waits() {
    let mut world = World::new();
    world.ends = ends(&[0; 10]);
    let schedule = world.schedule(every("rate(5 minutes)"));
    let began_ms = world.now_ms;
    let plan = world.plan_schedule(schedule);
    assert_eq!((plan.commands.len(), plan.wake_at_ms), (0, Some(began_ms + 5 * MINUTE_MS)));
    world.pass(5 * MINUTE_MS - SECOND_MS);
    assert_eq!(world.written, 0, "nothing is written while it waits");
    world.now_ms += SECOND_MS;
    assert_snapshot!(world.plan_schedule(schedule).text, @"begin nightly-20260328-1205, 0 missed");
    world.pass(20 * MINUTE_MS);
    assert_eq!(begun(&world, schedule, began_ms), [5, 10, 15, 20, 25]);
    assert_eq!(world.written, 5 * 3 - 1, "each fires, places and ends; the last one runs yet");
}

#[test]
fn a_long_outage_is_made_up_for_as_the_policy_says() {
    for (catch_up, expected) in [("ONE", vec![60]), ("SKIP", vec![60]), ("ALL", (1..=60).collect())] {
        let mut world = World::new();
        world.ends = ends(&[0; 100]);
        let schedule = world.schedule(with("rate(1 minute)", "ALLOW", catch_up));
        let began_ms = world.now_ms;
        world.now_ms += 60 * MINUTE_MS;
        world.reconcile();
        assert_eq!(begun(&world, schedule, began_ms), expected, "{catch_up}");
        assert_eq!(world.schedule_row(schedule).missed, 60 - expected.len() as u64, "{catch_up}");
    }
    let mut world = World::new();
    let schedule = world.schedule(with("cron(0 3 * * ? *)", "ALLOW", "SKIP"));
    world.now_ms += DAY_MS;
    world.reconcile();
    assert_eq!(begun(&world, schedule, 0), Vec::<i64>::new(), "nine hours late is too late to skip nothing");
    let mut world = World::new();
    let schedule = world.schedule(with("rate(1 minute)", "FORBID", "ALL"));
    let began_ms = world.now_ms;
    world.ends = vec![End { after_ms: 0, exit_code: 0 }; 2 * CATCH_UP_MAX];
    world.now_ms += 30 * DAY_MS;
    let last = 30 * 24 * 60;
    world.pass(MINUTE_MS - SECOND_MS);
    let begun = begun(&world, schedule, began_ms);
    assert_eq!(begun[0], last - CATCH_UP_MAX as i64 + 1, "a month of minutes is not made up for");
    assert!(begun.is_sorted_by(|a, b| a + 1 == *b), "one after the other, none left out: {begun:?}");
}

#[test]
fn jobs_wait_for_each_other() {
    let mut world = World::new();
    world.ends = vec![End { after_ms: 150 * SECOND_MS, exit_code: 0 }; 20];
    let schedule = world.schedule(with("rate(1 minute)", "FORBID", "ONE"));
    let began_ms = world.now_ms;
    for _ in 0..600 {
        world.pass(SECOND_MS);
        assert!(world.live().len() <= 1, "two at once");
    }
    assert_eq!(begun(&world, schedule, began_ms), [1, 3, 6, 8], "the last missed time follows at once");
    let written = world.written;
    world.pass(20 * SECOND_MS);
    assert_eq!(world.written, written, "waiting for the end of one writes nothing");
}

#[test]
fn a_job_is_replaced_once_it_has_stopped() {
    let mut world = World::new();
    let schedule = world.schedule(with("rate(1 minute)", "REPLACE", "ONE"));
    let began_ms = world.now_ms;
    world.pass(60 * SECOND_MS);
    assert_eq!(world.live().len(), 1);
    world.now_ms += MINUTE_MS;
    world.agents();
    assert_snapshot!(world.plan_schedule(schedule).text, @"stop job nightly-20260328-1201: its schedule's next time has come");
    for _ in 0..10 {
        world.pass(SECOND_MS);
        assert!(world.live().len() <= 1, "two at once");
    }
    assert_eq!(begun(&world, schedule, began_ms), [1, 2]);
    let old = world.state.jobs_of_schedule(schedule, true).next().unwrap();
    assert_eq!(old.status(), JobStatus::Stopped);
    assert_eq!(old.reason, "Replaced: the next time of the schedule nightly has come.");
}

#[test]
fn several_jobs_at_once_where_it_allows_them() {
    let mut world = World::new();
    let schedule = world.schedule(with("rate(1 minute)", "ALLOW", "ONE"));
    world.pass(5 * MINUTE_MS);
    assert_eq!((world.live().len(), begun(&world, schedule, world.now_ms).len()), (5, 5));
}

#[test]
fn one_time_only() {
    let mut world = World::new();
    world.ends = ends(&[0]);
    let schedule = world.schedule(every("at(2026-03-28T12:02:30)"));
    world.pass(10 * MINUTE_MS);
    assert_eq!(world.schedule_row(schedule).fired, 1);
    let plan = world.plan_schedule(schedule);
    assert_eq!((plan.commands, plan.wake_at_ms), (vec![], None));
}

#[test]
fn one_that_is_disabled_begins_nothing_and_makes_up_for_nothing() {
    let mut world = World::new();
    world.ends = ends(&[0; 10]);
    let schedule = world.schedule(every("rate(1 minute)"));
    let set = |state: &str| {
        let spec = ScheduleSpec { state: Some(state.into()), ..ScheduleSpec::default() };
        Kind::UpdateSchedule(UpdateSchedule { schedule_id: schedule.0, spec: Some(spec) })
    };
    world.done(set("DISABLED"));
    world.pass(10 * MINUTE_MS);
    assert_eq!(world.schedule_row(schedule).fired, 0);
    world.done(set("ENABLED"));
    let enabled_ms = world.now_ms;
    world.pass(2 * MINUTE_MS + SECOND_MS);
    assert_eq!(begun(&world, schedule, enabled_ms), [1, 2]);
}

/// Where clocks are set forward or back within the next ten days.
const ZONES: [&str; 5] =
    ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "America/Santiago"];
const EXPRESSIONS: [&str; 5] =
    ["cron(*/15 * * * ? *)", "cron(30 2 * * ? *)", "cron(*/20 1,2,3 * * ? *)", "cron(0 0 * * ? *)", "rate(35 minutes)"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    /// Leaders look at odd moments, and the clock jumps. With ALL every time has its job, once and in order; and what is
    /// written is in proportion to the times that came.
    #[test]
    fn over_changes_of_the_clock_every_time_has_one_job(
        zone in 0..5usize, expression in 0..5usize, start_day in 0i64..400, looks in prop::collection::vec(1i64..40_000_000, 5..40),
    ) {
        let mut world = World::new();
        world.now_ms += start_day * DAY_MS;
        world.ends = vec![End { after_ms: 0, exit_code: 0 }; 10_000];
        let spec = ScheduleSpec { time_zone: Some(ZONES[zone].into()), ..with(EXPRESSIONS[expression], "FORBID", "ALL") };
        let schedule = world.schedule(spec);
        let began_ms = world.now_ms;
        let ticks = Ticks::parse(EXPRESSIONS[expression], ZONES[zone]).unwrap();
        let mut fired: Vec<i64> = Vec::new();
        for look in looks {
            world.now_ms += look.min(20 * HOUR_MS);
            loop {
                let before = world.schedule_row(schedule).fired;
                world.reconcile();
                world.agents();
                world.agents();
                let row = world.schedule_row(schedule);
                if row.fired == before {
                    break;
                }
                prop_assert_eq!(row.fired, before + 1);
                fired.push(row.last_tick_ms);
            }
        }
        let now_ms = world.now_ms;
        let expected: Vec<i64> = std::iter::successors(ticks.next(began_ms, began_ms), |last| ticks.next(began_ms, *last))
            .take_while(|tick| *tick <= now_ms)
            .collect();
        prop_assert_eq!(&fired, &expected);
        prop_assert!(world.written <= 3 * expected.len(), "{} commands for {} times", world.written, expected.len());
    }
}
