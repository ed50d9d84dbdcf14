//! Jobs and schedules: plans for the cases, and runs over time with the real state machine.

mod job;
mod schedule;
mod world;
