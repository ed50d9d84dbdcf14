//! What each command does, what it refuses, and what holds whatever the commands are.

mod access_keys;
mod at_most_one;
mod clusters;
mod compat;
mod cordon;
mod decisions;
mod definitions;
mod exactly_once;
mod fixture;
mod formation;
mod history;
mod instances;
mod jobs;
mod placement;
mod priority;
mod random;
mod reports;
mod schedules;
mod service_deployments;
mod services;
mod snapshot;
mod stops;
mod tags;
mod waiting;
mod zones;
