//! The whole cluster on one thread: members, agents and clients under faults that a seed decides.
//!
//! A [`World`] is a cluster in [`seawall_env::sim`]. It runs what production runs; only links, disks, clocks and the
//! machines that containers run on are simulated. A [`scenarios::Scenario`] hurts it. The [`invariants`] are checked at
//! every entry that any member applies and whenever time has passed, whatever the scenario is.
//!
//! A run that fails prints how to repeat it: `cargo run -p seawall-sim -- --scenario NAME --seed N`.

pub mod invariants;
pub mod scenarios;
pub mod world;

pub use world::World;
