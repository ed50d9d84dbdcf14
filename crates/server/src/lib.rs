//! One member: serves clients and agents, forwards writes, and runs the controllers while it leads.

mod api;
mod auth;
mod calls;
#[cfg(test)]
mod compatibility;
mod config;
mod dispatch;
mod ecs;
mod explain;
mod grpc;
mod history;
mod leader;
mod member;
mod metrics;
mod ops;
mod ports;
mod render;
mod replay;
mod resolve;
mod simulate;
pub mod simulated;
mod status;
#[cfg(test)]
mod testing;
mod trust;
mod watch;
mod zones;

use seawall_rules as validate;

pub use config::{ServerConfig, TlsMode};
pub use member::{ServerError, run};
pub use seawall_scheduler::Fargate;
