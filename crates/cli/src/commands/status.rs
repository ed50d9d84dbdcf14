//! `seawall status`: who leads, how the zones stand, which services are short and why.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    time::Duration,
};

use seawall_proto::v1::{GetStatusRequest, GetStatusResponse};

use crate::{
    args::{Format, Global, StatusArgs},
    client::{Again, Connection},
    context::Context,
    failure::{Exit, Failure},
    output::{
        self,
        table::{Style, Table, column, text},
    },
};

/// Longest wait for a leader's word, unless `--timeout`.
const LEADER_MAX: Duration = Duration::from_secs(3);
/// Between two pictures of `-w`.
const REFRESH: Duration = Duration::from_secs(1);

/// Shows the status once, or until interrupted.
pub async fn run(ctx: &Context, args: &StatusArgs) -> Result<(), Failure> {
    let asking = patient(ctx);
    loop {
        let (shown, trouble) = match get(&asking, ctx.global.stale).await {
            Ok(status) => (picture(ctx, &status), None),
            Err(failure) if failure.exit == Exit::NoConnection => (without_leader(ctx, &asking).await, Some(failure)),
            Err(failure) => return Err(failure),
        };
        let mut out = io::stdout().lock();
        if args.watch && output::style(&ctx.global).width.is_some() {
            write!(out, "\x1b[H\x1b[J")?;
        }
        if args.watch
            && let Some(trouble) = &trouble
        {
            // Losing every member is one of the things that `-w` is there to show.
            writeln!(out, "{trouble}")?;
        }
        out.write_all(shown.as_bytes())?;
        out.flush()?;
        drop(out);
        match trouble {
            Some(trouble) if !args.watch => return Err(trouble),
            None if !args.watch => return Ok(()),
            _ => ctx.env.sleep(REFRESH).await,
        }
    }
}

/// A context that does not wait as long for a leader as a write may: that there is none is what one wants to see.
fn patient(ctx: &Context) -> Context {
    let timeout = Some(ctx.global.timeout.unwrap_or(LEADER_MAX));
    Context::new(ctx.env.clone(), Global { timeout, ..ctx.global.clone() })
}

async fn get(ctx: &Context, stale: bool) -> Result<GetStatusResponse, Failure> {
    let ask = async |mut c: Connection, r| c.control.get_status(r).await;
    ctx.client().await?.call(Again::Safe, GetStatusRequest { stale }, ask).await
}

/// What one member knows by itself; nothing where none answers.
async fn without_leader(ctx: &Context, asking: &Context) -> String {
    match get(asking, true).await {
        // Who led last is not who leads.
        Ok(status) => picture(ctx, &GetStatusResponse { leader: String::new(), ..status }),
        Err(_) => String::new(),
    }
}

fn picture(ctx: &Context, status: &GetStatusResponse) -> String {
    match output::effective(&ctx.global) {
        Format::Json => format!("{:#}\n", output::json(status)),
        Format::Jsonl => format!("{}\n", output::json(status)),
        Format::Name => format!("{}\n", status.leader),
        Format::Table | Format::Wide => for_people(status, output::style(&ctx.global)),
    }
}

fn for_people(status: &GetStatusResponse, style: Style) -> String {
    let mut out = String::new();
    let leader = if status.leader.is_empty() { "nobody" } else { &status.leader };
    // Writing to a string never fails.
    let _ = writeln!(
        out,
        "leader {leader}   {} tasks running, {} pending   region {}   version {}   answered by {}",
        status.running_tasks, status.pending_tasks, status.region, status.version, status.answered_by
    );
    if !status.mass_loss_hold.is_empty() {
        let hold = output::visible(&status.mass_loss_hold);
        let _ = writeln!(
            out,
            "HOLD: {hold}; their tasks are not replaced for now. next: seawall instance replace-lost ends it"
        );
    }
    for warning in &status.warnings {
        let _ = writeln!(out, "warning: {}", output::visible(warning));
    }
    for zone in status.zones.iter().filter(|zone| !zone.state.is_empty()) {
        let (state, reason) = (zone.state.to_lowercase(), output::visible(&zone.state_reason));
        let because = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
        let _ = writeln!(out, "zone {} is {state}{because}. next: seawall zone return {}", zone.name, zone.name);
    }
    let mut zones = Table::new(&[column("ZONE"), column("MEMBERS"), column("INSTANCES"), column("TASKS")]);
    for zone in &status.zones {
        zones.row([
            zone.name.clone(),
            format!("{} of {}", zone.members_alive, zone.members),
            format!("{} of {}", zone.instances_connected, zone.instances),
            zone.running_tasks.to_string(),
        ]);
    }
    let _ = write!(out, "\n{}", zones.render(style));
    if !status.services.is_empty() {
        let _ = write!(out, "\n{}", services(status).render(style));
    }
    out
}

fn services(status: &GetStatusResponse) -> Table {
    let mut table = Table::new(&[column("SERVICE"), column("RUNNING"), column("ROLLOUT"), text("WHY IT IS SHORT")]);
    for service in &status.services {
        let pending = match service.pending {
            0 => String::new(),
            count => format!(" (+{count})"),
        };
        table.row([
            qualified(&service.cluster, &service.name),
            format!("{} of {}{pending}", service.running, service.desired),
            output::or_dash(Some(&service.rollout)),
            service.reason.clone(),
        ]);
    }
    table
}

fn qualified(cluster: &str, name: &str) -> String {
    if cluster == seawall_model::DEFAULT_CLUSTER { name.to_owned() } else { format!("{cluster}/{name}") }
}

#[cfg(test)]
mod tests {
    use seawall_proto::v1::{ServiceStatus, ZoneStatus};

    use super::*;

    #[test]
    fn the_picture_tells_leader_zones_and_reasons() {
        let status = GetStatusResponse {
            leader: "s1".into(),
            answered_by: "s2".into(),
            region: "us-local-1".into(),
            version: "0.1.0".into(),
            running_tasks: 4,
            pending_tasks: 2,
            zones: vec![ZoneStatus {
                name: "us-local-1a".into(),
                members: 1,
                members_alive: 0,
                instances: 1,
                instances_connected: 1,
                running_tasks: 4,
                ..Default::default()
            }],
            services: vec![ServiceStatus {
                cluster: "prod".into(),
                name: "web".into(),
                desired: 6,
                running: 4,
                pending: 2,
                rollout: "COMPLETED".into(),
                reason: "memory (needs 512 MiB; best is i-b1 with 300)".into(),
            }],
            warnings: vec!["clients need neither TLS nor keys (--insecure)".into()],
            ..Default::default()
        };
        insta::assert_snapshot!(for_people(&status, Style { wide: false, width: Some(100), colours: false }), @r"
        leader s1   4 tasks running, 2 pending   region us-local-1   version 0.1.0   answered by s2
        warning: clients need neither TLS nor keys (--insecure)

        ZONE         MEMBERS  INSTANCES  TASKS
        us-local-1a  0 of 1   1 of 1     4

        SERVICE   RUNNING      ROLLOUT    WHY IT IS SHORT
        prod/web  4 of 6 (+2)  COMPLETED  memory (needs 512 MiB; best is i-b1 with 300)
        ");
    }
}
