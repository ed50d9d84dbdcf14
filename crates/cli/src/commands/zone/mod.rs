//! `seawall zone …`: what stands where, what the loss of a zone would mean, and taking one out of use.

mod check;
mod dev;
mod fence;

use std::io::{self, Write as _};

use seawall_proto::v1::{GetStatusRequest, GetStatusResponse, ZoneStatus};

use crate::{
    args::{ZoneArgs, ZoneCommand},
    client::{Again, Connection},
    context::Context,
    dev::{cluster::Action, layout::zone_called},
    failure::Failure,
    output::{
        self, Listing,
        table::{Table, column, text},
    },
};

/// Runs `seawall zone …`.
pub async fn run(ctx: &Context, command: ZoneCommand) -> Result<(), Failure> {
    match command {
        ZoneCommand::Ls => list(ctx).await,
        ZoneCommand::Check { zones } => check::run(ctx, &zones).await,
        ZoneCommand::Fence { zone, reason } => fence::fence(ctx, &zone, reason).await,
        ZoneCommand::Evacuate { zone, reason } => fence::evacuate(ctx, &zone, reason).await,
        ZoneCommand::Return(args) => bring_back(ctx, &args).await,
        ZoneCommand::Kill(args) => dev::lose(ctx, &args, Action::Kill).await,
        ZoneCommand::Cut(args) => dev::lose(ctx, &args, Action::Cut).await,
    }
}

/// Brings back a zone of dev that was lost, and opens one that is fenced. In this order: where too many are lost nobody leads,
/// and nobody could say whether it is fenced.
async fn bring_back(ctx: &Context, args: &ZoneArgs) -> Result<(), Failure> {
    let back = !ctx.global.dry_run && dev::bring_back(ctx, args).await?;
    match fence::open(ctx, &args.zone).await {
        Ok(opened) if opened || back => Ok(()),
        Ok(_) => Err(Failure::refused(format!("zone {} is open, and nothing of it was taken away", args.zone))),
        // Where keys exist dev is reached without one, the cluster is not.
        Err(failure) if back => {
            // Nobody is left to tell when standard error is closed.
            drop(writeln!(io::stderr(), "whether it was fenced could not be asked: {failure}"));
            Ok(())
        }
        Err(failure) => Err(failure),
    }
}

async fn status(ctx: &Context) -> Result<GetStatusResponse, Failure> {
    let ask = async |mut c: Connection, r| c.control.get_status(r).await;
    ctx.client().await?.call(Again::Safe, GetStatusRequest::default(), ask).await
}

/// The zone that is called so, or ends in it.
pub async fn find(ctx: &Context, name: &str) -> Result<ZoneStatus, Failure> {
    let zones = status(ctx).await?.zones;
    let names: Vec<String> = zones.iter().map(|zone| zone.name.clone()).collect();
    let found = zone_called(&names, name).and_then(|name| zones.iter().find(|zone| zone.name == *name));
    found.cloned().ok_or_else(|| unknown(name, &names))
}

fn unknown(name: &str, zones: &[String]) -> Failure {
    Failure::refused(format!("zone {name:?} not found (there are: {})", zones.join(", ")))
}

fn done(ctx: &Context, zone: &str, sentence: &str) -> Result<(), Failure> {
    let resource = serde_json::json!({ "zone": zone, "done": sentence });
    output::done(&ctx.global, zone, sentence, &resource)
}

async fn list(ctx: &Context) -> Result<(), Failure> {
    let zones = status(ctx).await?.zones;
    let mut table = Table::new(&[
        column("ZONE"),
        column("STATE"),
        column("MEMBERS"),
        column("INSTANCES"),
        column("RUNNING"),
        text("REASON"),
    ]);
    for zone in &zones {
        table.row([
            zone.name.clone(),
            state_of(zone),
            format!("{} of {}", zone.members_alive, zone.members),
            format!("{} of {}", zone.instances_connected, zone.instances),
            zone.running_tasks.to_string(),
            zone.state_reason.clone(),
        ]);
    }
    Listing {
        table,
        names: zones.iter().map(|zone| zone.name.clone()).collect(),
        json: serde_json::json!({ "zones": zones }),
        items: zones.iter().map(output::json).collect(),
        none: "no zones: no member and no instance is known",
    }
    .print(&ctx.global)
}

fn state_of(zone: &ZoneStatus) -> String {
    match zone.state.as_str() {
        "" => "open".to_owned(),
        "EVACUATING" if zone.tasks_to_move > 0 => format!("evacuating, {} to move", zone.tasks_to_move),
        "EVACUATING" => "evacuated".to_owned(),
        state => state.to_lowercase(),
    }
}
