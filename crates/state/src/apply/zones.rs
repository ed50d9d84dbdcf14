//! What the operator says of a zone.

use std::{collections::BTreeSet, sync::Arc};

use seawall_model::{ApiError, is_zone};
use seawall_proto::internal::v1::{SetZone, ZoneRow, ZoneState};

use super::{Apply, Outcome, done, refusal::cut};
use crate::{Change, State};

const REASON_BYTES_MAX: usize = 256;

impl Apply<'_> {
    /// A zone exists that has an instance or a member; one that was fenced can be opened again when it has neither.
    pub(super) fn set_zone(&mut self, it: &SetZone) -> Outcome {
        if !is_zone(&it.zone) {
            return Err(ApiError::invalid(format!("Invalid zone {:?}.", it.zone)).into());
        }
        let zones = self.state.zone_names();
        if self.state.zones.get(&it.zone).is_none() && !zones.contains(it.zone.as_str()) {
            let there_are = zones.into_iter().collect::<Vec<_>>().join(", ");
            return Err(ApiError::invalid(format!("There is no zone {:?}; there are {there_are}.", it.zone)).into());
        }
        match it.state() {
            ZoneState::Open => drop(self.state.zones.remove(&it.zone)),
            state => self.state.zones.put(
                it.zone.clone(),
                Arc::new(ZoneRow {
                    name: it.zone.clone(),
                    state: state.into(),
                    reason: cut(&it.reason, REASON_BYTES_MAX).to_owned(),
                    since_ms: self.now_ms,
                    changed_by: self.principal.name.clone(),
                    changed: self.index,
                }),
            ),
        }
        self.changed(Change::Zone(it.zone.clone()));
        Ok(done(0))
    }
}

impl State {
    /// What the operator says of a zone.
    pub fn zone_state(&self, zone: &str) -> ZoneState {
        self.zones.get(zone).map_or(ZoneState::Open, |row| row.state())
    }

    /// Zones that instances are in, by name.
    pub fn instance_zones(&self) -> BTreeSet<&str> {
        self.instances.iter().map(|(_, row)| row.zone.as_str()).collect()
    }

    fn zone_names(&self) -> BTreeSet<&str> {
        let mut zones = self.instance_zones();
        zones.extend(self.members.iter().map(|(_, row)| row.zone.as_str()));
        zones
    }
}
