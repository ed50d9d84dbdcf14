//! Waiting until three zones are of use: every member serves, every agent is connected.

use std::time::Duration;

use seawall_proto::v1::{GetStatusRequest, GetStatusResponse};

use super::{
    cluster::Cluster,
    layout::{Layout, ZONE_LETTERS},
};
use crate::{
    args::Global,
    client::{Again, Connection},
    context::Context,
    failure::{Exit, Failure},
    progress::Progress,
};

/// Longest wait, unless `--timeout`.
const READY_MAX: Duration = Duration::from_secs(60);
/// Longest wait for one member's answer.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A context that asks these members alone, whatever the command line says.
pub fn context_of(ctx: &Context, endpoints: &[String], answer_max: Duration) -> Context {
    let global = Global {
        addr: endpoints.to_vec(),
        ca_file: None,
        stale: false,
        timeout: Some(answer_max),
        cluster: seawall_model::DEFAULT_CLUSTER.to_owned(),
        ..ctx.global.clone()
    };
    Context::new(ctx.env.clone(), global)
}

/// Waits; what the last member to be ready said.
///
/// # Errors
/// A process ended, or it took too long: with what the processes wrote.
pub async fn wait(ctx: &Context, cluster: &mut Cluster) -> Result<GetStatusResponse, Failure> {
    let limit = ctx.global.timeout.unwrap_or(READY_MAX);
    let deadline = ctx.env.now() + limit;
    // Its users may have made access keys, which dev has not.
    let sockets = Layout::sockets(&cluster.layout().folder);
    let members: Vec<Context> =
        sockets.iter().map(|socket| context_of(ctx, std::slice::from_ref(socket), ANSWER_MAX)).collect();
    let mut progress = Progress::new(ctx.global.quiet);
    loop {
        if let Some(failure) = cluster.failed_start() {
            return Err(failure);
        }
        let answers = futures::future::join_all(members.iter().map(status)).await;
        let agents = u32::from(cluster.layout().agents_per_zone) * ZONE_LETTERS.len() as u32;
        let stands = match judge(answers, agents) {
            Ok(status) => return Ok(status),
            Err(stands) => stands,
        };
        progress.set(&stands);
        if ctx.env.now() >= deadline {
            drop(progress);
            let what = format!("not ready after {} s: {stands}\n{}", limit.as_secs(), cluster.last_words());
            return Err(Failure::new(Exit::InProgress, what));
        }
        ctx.env.sleep(LOOK_EVERY).await;
    }
}

/// What one member says of the cluster, once it knows the leader's word.
pub async fn status(member: &Context) -> Result<GetStatusResponse, Failure> {
    let ask = async |mut c: Connection, r| c.control.get_status(r).await;
    member.client().await?.call(Again::Safe, GetStatusRequest { stale: false }, ask).await
}

/// The last answer if all is well, else how it stands.
fn judge(answers: Vec<Result<GetStatusResponse, Failure>>, agents: u32) -> Result<GetStatusResponse, String> {
    let members = answers.len();
    let mut serving: Vec<GetStatusResponse> = answers.into_iter().flatten().collect();
    let connected = |status: &GetStatusResponse| status.zones.iter().map(|zone| zone.instances_connected).sum::<u32>();
    let fewest = serving.iter().map(connected).min().unwrap_or_default();
    match serving.pop() {
        Some(status) if serving.len() + 1 == members && fewest >= agents => Ok(status),
        last => {
            let serving = serving.len() + usize::from(last.is_some());
            Err(format!("{serving} of {members} members serve, {fewest} of {agents} instances are connected"))
        }
    }
}

#[cfg(test)]
mod tests {
    use seawall_proto::v1::ZoneStatus;

    use super::*;

    fn answer(connected: u32) -> Result<GetStatusResponse, Failure> {
        let zone = ZoneStatus { instances_connected: connected, ..Default::default() };
        Ok(GetStatusResponse { zones: vec![zone], ..Default::default() })
    }

    #[test]
    fn ready_is_every_member_and_every_agent() {
        assert!(judge(vec![answer(3), answer(3)], 3).is_ok());
        let stands = judge(vec![answer(3), answer(2)], 3).unwrap_err();
        assert_eq!(stands, "2 of 2 members serve, 2 of 3 instances are connected");
        let stands = judge(vec![answer(3), Err(Failure::refused("no"))], 3).unwrap_err();
        assert_eq!(stands, "1 of 2 members serve, 3 of 3 instances are connected");
        assert!(judge(vec![Err(Failure::refused("no"))], 0).is_err());
    }
}
