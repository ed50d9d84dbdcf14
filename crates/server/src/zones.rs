//! What would not fit if a zone were lost.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use seawall_env::Instant;
use seawall_model::ApiError;
use seawall_proto::v1::{CheckZonesResponse, ZoneLoss, ZoneShortfall};
use seawall_scheduler::{Fargate, Shortfall, ZoneProof};
use seawall_state::State;

/// A proof that nobody asks for is dropped after so long: it holds on to the state that it was made of.
const KEPT: Duration = Duration::from_secs(150);

/// The proofs of the zones that are asked for, kept up from one time to the next.
pub(crate) struct ZoneProofs {
    fargate: Fargate,
    kept: Mutex<BTreeMap<String, Kept>>,
}

struct Kept {
    proof: ZoneProof,
    asked_at: Instant,
}

impl ZoneProofs {
    pub(crate) fn new(fargate: Fargate) -> Self {
        ZoneProofs { fargate, kept: Mutex::default() }
    }

    /// What the loss of the zone would mean.
    pub(crate) fn look(&self, state: &State, zone: &str, now: Instant) -> seawall_scheduler::ZoneLoss {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let anew = || Kept { proof: ZoneProof::new(zone, self.fargate), asked_at: now };
        let it = kept.entry(zone.to_owned()).or_insert_with(anew);
        it.asked_at = now;
        it.proof.look(state).clone()
    }

    /// Drops those that nobody asks for.
    pub(crate) fn forget(&self, now: Instant) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, it| now < it.asked_at + KEPT);
    }

    /// The losses of the zones that are named, or of every zone that has instances.
    ///
    /// # Errors
    /// `InvalidParameterException` for a zone without instances.
    pub(crate) fn check(&self, state: &State, named: &[String], now: Instant) -> Result<CheckZonesResponse, ApiError> {
        let all = state.instance_zones();
        if let Some(unknown) = named.iter().find(|zone| !all.contains(zone.as_str())) {
            let there_are = all.into_iter().collect::<Vec<_>>().join(", ");
            return Err(ApiError::invalid(format!("No instance is in a zone {unknown:?}; there are {there_are}.")));
        }
        let zones = all.into_iter().filter(|zone| named.is_empty() || named.iter().any(|name| name == zone));
        let losses = zones.map(|zone| rendered(state, zone, &self.look(state, zone, now)));
        Ok(CheckZonesResponse { zones: losses.collect() })
    }
}

fn rendered(state: &State, zone: &str, loss: &seawall_scheduler::ZoneLoss) -> ZoneLoss {
    ZoneLoss {
        zone: zone.to_owned(),
        tasks: loss.tasks,
        services: loss.services,
        shortfalls: loss.shortfalls.iter().map(|short| shortfall(state, short)).collect(),
        services_short: loss.services_short,
    }
}

fn shortfall(state: &State, short: &Shortfall) -> ZoneShortfall {
    ZoneShortfall {
        cluster: state.clusters.get(&short.cluster).map(|row| row.name.clone()).unwrap_or_default(),
        service: state.services.get(&short.service).map(|row| row.name.clone()).unwrap_or_default(),
        lost: short.lost,
        unplaced: short.unplaced,
        reason: short.reason.clone(),
    }
}
