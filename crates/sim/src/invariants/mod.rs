//! What holds in every run, whatever its faults: one file an invariant.

mod acknowledged;
mod agents_connected;
mod at_most_one_alive;
mod cluster_time;
mod consistent_state;
mod counted_once;
mod desired_is_actual;
mod equal_hashes;
mod fired_once;
mod one_daemon_an_instance;
mod one_leader_a_term;
mod started_once;
mod within_capacity;

use crate::world::{Seen, World};

/// One thing that must hold.
pub trait Invariant {
    /// For people.
    fn name(&self) -> &'static str;

    /// A member applied an entry or follows another leader.
    ///
    /// # Errors
    /// What is wrong.
    fn seen(&mut self, member: &str, seen: &Seen) -> Result<(), String> {
        let _ = (member, seen);
        Ok(())
    }

    /// Time has passed.
    ///
    /// # Errors
    /// What is wrong.
    fn look(&mut self, world: &World) -> Result<(), String> {
        let _ = world;
        Ok(())
    }

    /// All faults are healed. Asked again until it holds or the deadline passes.
    ///
    /// # Errors
    /// What is missing.
    fn healed(&mut self, world: &World) -> Result<(), String> {
        let _ = world;
        Ok(())
    }
}

/// All of them.
pub fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(one_leader_a_term::OneLeaderATerm::default()),
        Box::new(equal_hashes::EqualHashes::default()),
        Box::new(consistent_state::ConsistentState::default()),
        Box::new(within_capacity::WithinCapacity),
        Box::new(counted_once::CountedOnce::default()),
        Box::new(fired_once::FiredOnce::default()),
        Box::new(cluster_time::ClusterTime::default()),
        Box::new(one_daemon_an_instance::OneDaemonAnInstance),
        Box::new(started_once::StartedOnce),
        Box::new(at_most_one_alive::AtMostOneAlive),
        Box::new(acknowledged::Acknowledged),
        Box::new(desired_is_actual::DesiredIsActual),
        Box::new(agents_connected::AgentsConnected),
    ]
}
