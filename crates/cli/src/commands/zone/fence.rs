//! `seawall zone fence|evacuate|return`.

use seawall_proto::v1::{EvacuateZoneRequest, FenceZoneRequest, ReturnZoneRequest};

use super::{
    super::wait::{self, Outlook},
    done,
};
use crate::{
    client::{Again, Connection},
    context::Context,
    failure::Failure,
};

/// Nothing new goes there.
pub async fn fence(ctx: &Context, name: &str, reason: Option<String>) -> Result<(), Failure> {
    let zone = super::find(ctx, name).await?.name;
    let request = FenceZoneRequest { zone: zone.clone(), reason: reason.unwrap_or_default() };
    let ask = async |mut c: Connection, r| c.control.fence_zone(r).await;
    if ctx.change(Again::Safe, request, ask).await?.is_none() {
        return Ok(());
    }
    done(ctx, &zone, &format!("zone {zone} is fenced: nothing new is placed there. next: seawall zone return {zone}"))
}

/// Nothing new goes there, and what services run there moves off.
pub async fn evacuate(ctx: &Context, name: &str, reason: Option<String>) -> Result<(), Failure> {
    let zone = super::find(ctx, name).await?.name;
    let request = EvacuateZoneRequest { zone: zone.clone(), reason: reason.unwrap_or_default() };
    let ask = async |mut c: Connection, r| c.control.evacuate_zone(r).await;
    if ctx.change(Again::Safe, request, ask).await?.is_none() {
        return Ok(());
    }
    if ctx.global.detach {
        return done(ctx, &zone, &format!("zone {zone} is being evacuated"));
    }
    wait::until(ctx, async || {
        Ok(match super::find(ctx, &zone).await?.tasks_to_move {
            0 => Outlook::Done,
            left => Outlook::Waiting(format!("zone {zone}: {left} tasks of services are still there")),
        })
    })
    .await?;
    done(ctx, &zone, &format!("zone {zone} is evacuated. next: seawall zone return {zone}"))
}

/// Opens a zone again; false where it is open.
pub async fn open(ctx: &Context, name: &str) -> Result<bool, Failure> {
    let zone = super::find(ctx, name).await?;
    if zone.state.is_empty() && !ctx.global.dry_run {
        return Ok(false);
    }
    let request = ReturnZoneRequest { zone: zone.name.clone() };
    let ask = async |mut c: Connection, r| c.control.return_zone(r).await;
    if ctx.change(Again::Safe, request, ask).await?.is_some() {
        done(ctx, &zone.name, &format!("zone {} is open", zone.name))?;
    }
    Ok(true)
}
