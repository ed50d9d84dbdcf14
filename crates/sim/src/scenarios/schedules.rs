//! Jobs that begin by the clock, while leaders die and clocks jump.

use std::{collections::BTreeMap, time::Duration};

use seawall_proto::{
    internal::v1::{JobRow, JobStatus, ScheduleRow},
    v1::{CreateScheduleRequest, CreateScheduleResponse, JobTemplate, ScheduleSpec},
};

use crate::{World, world::Setup};

const SECOND: Duration = Duration::from_secs(1);
const SETTLE: Duration = Duration::from_secs(60);
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// A schedule of the family "job", whose tasks run for two seconds.
fn create(world: &World, name: &str, expression: &str, catch_up: &str) {
    let job = JobTemplate { task_definition: Some("job".into()), ..JobTemplate::default() };
    let spec = ScheduleSpec {
        expression: Some(expression.into()),
        job: Some(job),
        catch_up: Some(catch_up.into()),
        jobs_kept: Some(100),
        ..ScheduleSpec::default()
    };
    let request = CreateScheduleRequest { name: name.into(), spec: Some(spec), ..Default::default() };
    let _: CreateScheduleResponse = world.must("CreateSchedule", &request);
}

fn formed(setup: &Setup) -> World {
    let world = World::formed(setup);
    world.register("job", &[("FAKE_RUN_MS", "2000")]);
    world
}

fn schedule(world: &World) -> ScheduleRow {
    world.state().schedules.iter().next().map(|(_, row)| ScheduleRow::clone(row)).unwrap_or_default()
}

/// Jobs by the minute after the schedule was made that they began for.
fn jobs(world: &World) -> BTreeMap<i64, JobRow> {
    let anchor_ms = schedule(world).anchor_ms;
    let state = world.state();
    let minute = |row: &JobRow| (row.tick_ms - anchor_ms) / MINUTE_MS;
    state.jobs.iter().map(|(_, row)| (minute(row), JobRow::clone(row))).collect()
}

/// A leader dies, pauses or hands over just before, at and just after a time, and no time is lost or comes twice.
pub(super) fn leaders_die_around_the_times_of_a_schedule(seed: u64) {
    let mut world = formed(&Setup::three_zones(seed));
    create(&world, "every-minute", "rate(1 minute)", "ALL");
    let anchor_ms = schedule(&world).anchor_ms;
    let minutes = 6;
    for minute in 1..=minutes {
        let time_ms = anchor_ms + minute * MINUTE_MS;
        // Within 300 ms of it.
        let offset_ms = (world.client().random_u64() % 600) as i64 - 300;
        let wait_ms = time_ms + offset_ms - world.client().wall_ms();
        world.run_for(Duration::from_millis(wait_ms.max(0) as u64));
        let leader = world.wait_leader();
        match minute % 3 {
            0 => world.stop_member(&leader),
            1 => world.kill_member(&leader),
            _ => world.sim.pause(&leader),
        }
        world.wait_other_leader(&leader);
        world.run_for(SECOND * 5);
        match minute % 3 {
            2 => world.sim.resume(&leader),
            _ => world.restart_member(&leader),
        }
        world.run_for(SECOND * 5);
    }
    world.settle(SETTLE);
    world.wait_for("every job to succeed", SETTLE, |world| {
        let jobs = jobs(world);
        let ended = jobs.values().filter(|job| job.status() == JobStatus::Succeeded).count();
        if ended as i64 >= minutes { Ok(()) } else { Err(format!("{jobs:?}")) }
    });
    let jobs = jobs(&world);
    let expected: Vec<i64> = (1..=jobs.len() as i64).collect();
    assert_eq!(jobs.keys().copied().collect::<Vec<_>>(), expected, "no time is left out");
    assert_eq!(schedule(&world).fired as usize, jobs.len(), "none has two jobs");
    let tasks = world.state().tasks.iter().filter(|(_, task)| task.job_id != 0).count();
    assert_eq!(tasks, jobs.len(), "none of which ran twice");
}

/// Waiting costs nothing: not an entry is written.
pub(super) fn a_hundred_schedules_wait_without_a_write(seed: u64) {
    let world = formed(&Setup::three_zones(seed));
    for number in 0..100 {
        create(&world, &format!("yearly-{number}"), "cron(0 0 1 1 ? 2100-2199)", "ONE");
    }
    let applied = |world: &World| {
        let of = |member: &crate::world::MemberNode| member.member().map(|member| member.consensus().state().index);
        world.members().values().filter_map(of).max().unwrap_or_default()
    };
    world.run_for(SECOND * 5);
    let (before, leader) = (applied(&world), world.leading());
    world.run_for(SECOND * 120);
    assert_eq!((applied(&world), world.leading()), (before, leader));
    // And a new leader writes what it begins its term with, and nothing else.
    let leader = world.leading();
    world.sim.pause(&leader);
    world.wait_other_leader(&leader);
    world.sim.resume(&leader);
    world.run_for(SECOND * 60);
    let written = applied(&world) - before;
    assert!(written <= 5, "{written} entries for an election while nothing happens");
    world.settle(SETTLE);
}

/// Every clock jumps by hours while nobody leads: the last of the times that were missed has its job, once.
pub(super) fn every_clock_jumps_over_many_times(seed: u64) {
    let mut world = formed(&Setup::three_zones(seed));
    create(&world, "every-minute", "rate(1 minute)", "ONE");
    world.run_for(SECOND * 90);
    assert_eq!(jobs(&world).into_keys().collect::<Vec<_>>(), [1]);
    let names = ["s1", "s2", "s3"];
    names.iter().for_each(|name| world.kill_member(name));
    names.iter().for_each(|name| world.sim.set_wall_offset_ms(name, 3 * HOUR_MS));
    names.iter().for_each(|name| world.restart_member(name));
    world.wait_leader();
    world.run_for(SECOND * 20);
    let begun: Vec<i64> = jobs(&world).into_keys().collect();
    assert!(matches!(begun[..], [1, last] if (180..=183).contains(&last)), "{begun:?}");
    assert_eq!(schedule(&world).missed as i64, begun[1] - 2);
    // Back again: the cluster's time stands still until the clocks reach it, and nothing comes a second time.
    names.iter().for_each(|name| world.sim.set_wall_offset_ms(name, 0));
    let leader = world.leading();
    world.kill_member(&leader);
    world.wait_other_leader(&leader);
    world.restart_member(&leader);
    world.run_for(SECOND * 120);
    let after: Vec<i64> = jobs(&world).into_keys().collect();
    assert!(after.starts_with(&begun) && after.len() <= begun.len() + 2, "{after:?}");
    world.settle(SETTLE);
}
