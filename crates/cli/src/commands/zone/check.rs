//! `seawall zone check`: would everything fit if a zone were lost now?

use seawall_proto::v1::{CheckZonesRequest, CheckZonesResponse};

use crate::{
    client::{Again, Connection},
    context::Context,
    failure::{Exit, Failure},
    output::{
        self, Listing,
        table::{Table, column, text},
    },
};

/// Prints what each loss would mean; exits 1 where something would be short, for scripts that watch it.
pub async fn run(ctx: &Context, named: &[String]) -> Result<(), Failure> {
    let mut zones = Vec::new();
    for name in named {
        zones.push(super::find(ctx, name).await?.name);
    }
    let ask = async |mut c: Connection, r| c.control.check_zones(r).await;
    let answer = ctx.client().await?.call(Again::Safe, CheckZonesRequest { zones }, ask).await?;
    listing(&answer).print(&ctx.global)?;
    let short: Vec<&str> = answer.zones.iter().filter(|z| z.services_short > 0).map(|z| z.zone.as_str()).collect();
    if short.is_empty() {
        return Ok(());
    }
    let what = format!("without zone {} not every task would find a place", short.join(" or "));
    Err(Failure::new(Exit::Refused, what).next("add instances in the other zones, or scale down what is listed"))
}

fn listing(answer: &CheckZonesResponse) -> Listing {
    let mut table =
        Table::new(&[column("LOST ZONE"), column("TASKS"), column("SERVICE"), column("SHORT"), text("WHY")]);
    for zone in &answer.zones {
        if zone.shortfalls.is_empty() {
            let row = [zone.zone.clone(), zone.tasks.to_string(), "-".into(), "0".into(), "all would fit".into()];
            table.row(row);
        }
        for short in &zone.shortfalls {
            table.row([
                zone.zone.clone(),
                zone.tasks.to_string(),
                format!("{}/{}", short.cluster, short.service),
                format!("{} of {}", short.unplaced, short.lost),
                short.reason.clone(),
            ]);
        }
    }
    Listing {
        table,
        names: answer.zones.iter().map(|zone| zone.zone.clone()).collect(),
        json: output::json(answer),
        items: answer.zones.iter().map(output::json).collect(),
        none: "no instances, so no zone to lose",
    }
}
