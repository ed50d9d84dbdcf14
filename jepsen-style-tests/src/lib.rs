//! Tests of a whole Seawall cluster from outside, in the manner of Jepsen: real processes on real disks, clients that keep
//! a history, faults from a seed, and checkers that read the history afterwards. What simulation cannot show is looked
//! for here: real signals, real sockets, real syncs.

pub mod checker;
pub mod client;
pub mod cluster;
pub mod failover;
pub mod history;
pub mod nemesis;
pub mod observer;
pub mod process;
pub mod report;
pub mod runner;
pub mod workload;
