//! What would not fit if a zone were lost.

use seawall_model::ApiError;
use seawall_proto::v1::{CheckZonesResponse, ZoneLoss, ZoneShortfall};
use seawall_scheduler::{Fargate, Shortfall, lose_zone};
use seawall_state::State;

/// The losses of the zones that are named, or of every zone that has instances.
///
/// # Errors
/// `InvalidParameterException` for a zone without instances.
pub(crate) fn check(state: &State, named: &[String], fargate: Fargate) -> Result<CheckZonesResponse, ApiError> {
    let all = state.instance_zones();
    if let Some(unknown) = named.iter().find(|zone| !all.contains(zone.as_str())) {
        let there_are = all.into_iter().collect::<Vec<_>>().join(", ");
        return Err(ApiError::invalid(format!("No instance is in a zone {unknown:?}; there are {there_are}.")));
    }
    let zones = all.into_iter().filter(|zone| named.is_empty() || named.iter().any(|name| name == zone));
    Ok(CheckZonesResponse { zones: zones.map(|zone| loss(state, zone, fargate)).collect() })
}

fn loss(state: &State, zone: &str, fargate: Fargate) -> ZoneLoss {
    let loss = lose_zone(state, zone, fargate);
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
