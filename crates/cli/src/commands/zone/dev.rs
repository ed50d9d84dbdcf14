//! `seawall zone kill|cut|return` of `seawall dev`: lose a zone, and bring it back.

use std::{
    io::{self, Write as _},
    path::Path,
    time::Duration,
};

use seawall_proto::v1::GetStatusResponse;

use crate::{
    args::ZoneArgs,
    context::Context,
    dev::{
        board::{Board, ZoneState},
        cluster::Action,
        control, folder,
        layout::{Layout, zone_called},
        ready,
    },
    failure::{Exit, Failure},
};

use super::super::wait::{self, Outlook};

/// Longest wait for one answer while a zone comes back.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// Kills or cuts off a zone.
pub async fn lose(ctx: &Context, args: &ZoneArgs, action: Action) -> Result<(), Failure> {
    let folder = folder::choose(args.data_dir.as_deref())?;
    let Some(board) = Board::load(&ctx.env, &folder)? else {
        let what = format!("no dev runs on {}", folder.display());
        return Err(Failure::new(Exit::NoConnection, what).next("seawall dev, or --data-dir of the one that runs"));
    };
    let zone = find(&board, args)?;
    let sentence = control::ask(&ctx.env, &folder, action, &zone).await?;
    super::done(ctx, &zone, &sentence)?;
    advise(ctx, &board, &zone)
}

/// Brings a zone back that was lost; false where no dev runs, or nothing of the zone was taken away.
pub async fn bring_back(ctx: &Context, args: &ZoneArgs) -> Result<bool, Failure> {
    let folder = folder::choose(args.data_dir.as_deref())?;
    let Some(board) = Board::load(&ctx.env, &folder)? else { return Ok(false) };
    let Ok(zone) = find(&board, args) else { return Ok(false) };
    if board.zones.get(&zone).is_none_or(|state| *state == ZoneState::Up) {
        return Ok(false);
    }
    let sentence = control::ask(&ctx.env, &folder, Action::Return, &zone).await?;
    if ctx.global.detach {
        super::done(ctx, &zone, &sentence)?;
        return Ok(true);
    }
    returned(ctx, &folder, &board, &zone).await?;
    super::done(ctx, &zone, &format!("zone {zone} is back"))?;
    Ok(true)
}

fn find(board: &Board, args: &ZoneArgs) -> Result<String, Failure> {
    let zones: Vec<String> = board.zones.keys().cloned().collect();
    zone_called(&zones, &args.zone).cloned().ok_or_else(|| super::unknown(&args.zone, &zones))
}

/// What to look at now, for people; and a word of warning where nobody can lead any more.
fn advise(ctx: &Context, board: &Board, zone: &str) -> Result<(), Failure> {
    if ctx.global.quiet {
        return Ok(());
    }
    let gone = board.zones.iter().filter(|(name, state)| *name == zone || **state != ZoneState::Up).count();
    let warning = match gone * 2 > board.zones.len() {
        true => format!("{gone} of {} zones are gone: nobody leads until one returns. ", board.zones.len()),
        false => String::new(),
    };
    // Nobody is left to advise when standard error is closed.
    drop(writeln!(io::stderr(), "{warning}next: seawall status -w; seawall zone return {zone}"));
    Ok(())
}

/// Waits until the zone's members and instances are there again, and what was replaced has stopped.
async fn returned(ctx: &Context, folder: &Path, board: &Board, zone: &str) -> Result<(), Failure> {
    let members = ready::context_of(ctx, &Layout::sockets(folder), ANSWER_MAX);
    let agents = board.processes.iter().filter(|p| p.role == "agent" && p.zone == zone).count();
    wait::until(ctx, async || Ok(stands(&ready::status(&members).await?, zone, agents))).await
}

fn stands(status: &GetStatusResponse, zone: &str, agents: usize) -> Outlook {
    let Some(found) = status.zones.iter().find(|found| found.name == zone) else {
        return Outlook::Waiting(format!("zone {zone} is not known yet"));
    };
    let connected = found.instances_connected as usize;
    if found.members_alive < found.members || connected < agents {
        return Outlook::Waiting(format!(
            "zone {zone}: {} of {} members and {connected} of {agents} instances are back",
            found.members_alive, found.members
        ));
    }
    // A roll-out runs more than the service has, and may take its time.
    let settled = status.services.iter().filter(|service| service.rollout == "COMPLETED");
    match settled.map(|service| service.running.saturating_sub(service.desired)).sum::<u32>() {
        0 => Outlook::Done,
        surplus => Outlook::Waiting(format!("zone {zone}: {surplus} tasks that were replaced are being stopped")),
    }
}

#[cfg(test)]
mod tests {
    use seawall_proto::v1::{ServiceStatus, ZoneStatus};

    use super::*;

    #[test]
    fn a_zone_is_back_with_its_member_and_its_agents() {
        let zone = |members_alive, instances_connected| GetStatusResponse {
            zones: vec![ZoneStatus {
                name: "b".into(),
                members: 1,
                members_alive,
                instances: 1,
                instances_connected,
                ..Default::default()
            }],
            ..Default::default()
        };
        assert_eq!(stands(&zone(1, 1), "b", 1), Outlook::Done);
        let waiting = Outlook::Waiting("zone b: 1 of 1 members and 0 of 1 instances are back".into());
        assert_eq!(stands(&zone(1, 0), "b", 1), waiting);
        assert_ne!(stands(&zone(0, 1), "b", 1), Outlook::Done);
        let service =
            |rollout: &str| ServiceStatus { desired: 6, running: 8, rollout: rollout.into(), ..Default::default() };
        let surplus = GetStatusResponse { services: vec![service("COMPLETED")], ..zone(1, 1) };
        let waiting = Outlook::Waiting("zone b: 2 tasks that were replaced are being stopped".into());
        assert_eq!(stands(&surplus, "b", 1), waiting);
        let rolling = GetStatusResponse { services: vec![service("IN_PROGRESS")], ..zone(1, 1) };
        assert_eq!(stands(&rolling, "b", 1), Outlook::Done);
    }
}
