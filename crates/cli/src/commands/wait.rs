//! `seawall wait …`, and the waiting of every command that changes something.

use std::time::Duration;

use seawall_env::Instant;
use seawall_proto::v1::{GetStatusRequest, Service};

use crate::{
    args::WaitFor,
    client::{
        Again, Connection,
        find::{self, Found},
    },
    context::Context,
    failure::{Exit, Failure},
    names,
    progress::Progress,
};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What a look found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outlook {
    /// What was waited for.
    Done,
    /// Not yet; how it stands.
    Waiting(String),
}

/// Looks until it is done. Nobody answering, or leading, is a part of losing a zone: it is waited out.
///
/// # Errors
/// The wait was long enough ([`Exit::InProgress`]), or a look was refused.
pub async fn until(ctx: &Context, mut look: impl AsyncFnMut() -> Result<Outlook, Failure>) -> Result<(), Failure> {
    let deadline = ctx.env.now() + ctx.wait_max();
    let mut progress = Progress::new(ctx.global.quiet);
    loop {
        let stands = match look().await {
            Ok(Outlook::Done) => return Ok(()),
            Ok(Outlook::Waiting(stands)) => stands,
            Err(failure) if failure.exit == Exit::NoConnection => failure.what,
            Err(failure) => return Err(failure),
        };
        progress.set(&stands);
        pause(ctx, deadline, &stands).await?;
    }
}

async fn pause(ctx: &Context, deadline: Instant, stands: &str) -> Result<(), Failure> {
    if ctx.env.now() >= deadline {
        return Err(Failure::new(Exit::InProgress, stands).next("seawall status; --timeout waits longer"));
    }
    ctx.env.sleep(LOOK_EVERY).await;
    Ok(())
}

/// Runs `seawall wait …`.
pub async fn run(ctx: &Context, state: WaitFor, names: &[String]) -> Result<(), Failure> {
    match state {
        WaitFor::ServicesStable => services_stable(ctx, names).await,
        WaitFor::ServicesInactive => services_inactive(ctx, names).await,
        WaitFor::TasksRunning => tasks(ctx, names, "RUNNING").await,
        WaitFor::TasksStopped => tasks(ctx, names, "STOPPED").await,
    }
}

/// Waits until each service has one deployment and all of its tasks run.
pub async fn services_stable(ctx: &Context, names: &[String]) -> Result<(), Failure> {
    let waited = until(ctx, async || {
        for name in names {
            let service = find::service(ctx, name).await?.it;
            if let Outlook::Waiting(stands) = stable(&service)? {
                return Ok(Outlook::Waiting(stands));
            }
        }
        Ok(Outlook::Done)
    });
    match waited.await {
        Err(failure) if failure.exit == Exit::InProgress => Err(with_reason(ctx, failure, names).await),
        other => other,
    }
}

fn stable(service: &Service) -> Result<Outlook, Failure> {
    let name = service.service_name();
    if service.status() != "ACTIVE" {
        return Err(Failure::refused(format!("service {name} is {}", service.status())).next("seawall service ls"));
    }
    let primary = service.deployments.iter().find(|d| d.status() == "PRIMARY");
    if let Some(failed) = primary.filter(|d| d.rollout_state() == "FAILED") {
        let why = failed.rollout_state_reason().trim_end_matches('.');
        return Err(Failure::refused(format!("service {name}: {why}")).next(format!("seawall events {name}")));
    }
    let (running, desired) = (service.running_count(), service.desired_count());
    if service.deployments.len() == 1 && running == desired {
        return Ok(Outlook::Done);
    }
    let mut stands = format!("service {name}: {running} of {desired} running");
    if service.deployments.len() > 1 {
        let new = primary.map_or(0, |d| d.running_count());
        stands.push_str(&format!(", {new} of the new revision"));
    }
    Ok(Outlook::Waiting(stands))
}

/// Adds why the first service that is short is short.
async fn with_reason(ctx: &Context, failure: Failure, names: &[String]) -> Failure {
    let ask = async |mut c: Connection, r| c.control.get_status(r).await;
    let Ok(client) = ctx.client().await else { return failure };
    let Ok(status) = client.call(Again::Safe, GetStatusRequest { stale: false }, ask).await else { return failure };
    let is_asked = |name: &str| names.iter().any(|asked| names::short(asked) == name);
    match status.services.iter().find(|s| is_asked(&s.name) && !s.reason.is_empty()) {
        Some(short) => {
            let what = format!("{}, {}", failure.what, short.reason);
            failure.reworded(what).next(format!("seawall why {}", short.name))
        }
        None => failure,
    }
}

/// Waits until services are deleted.
pub async fn services_inactive(ctx: &Context, names: &[String]) -> Result<(), Failure> {
    until(ctx, async || {
        for name in names {
            // A service that is gone altogether is as inactive as can be.
            if let Ok(Found { it, .. }) = find::service_if_any(ctx, name).await?
                && it.status() != "INACTIVE"
            {
                let left = it.running_count() + it.pending_count();
                return Ok(Outlook::Waiting(format!("service {}: {left} tasks left", it.service_name())));
            }
        }
        Ok(Outlook::Done)
    })
    .await
}

/// Waits until tasks have reached a status.
pub async fn tasks(ctx: &Context, names: &[String], wanted: &str) -> Result<(), Failure> {
    until(ctx, async || {
        let mut there = 0;
        for name in names {
            let task = find::task(ctx, name).await?.it;
            let id = names::abbreviated(names::short(task.task_arn())).to_owned();
            match task.last_status() {
                status if status == wanted => there += 1,
                "STOPPED" => {
                    let why = task.stopped_reason().trim_end_matches('.').to_owned();
                    return Err(Failure::refused(format!("task {id} stopped: {why}")).next(format!("seawall why {id}")));
                }
                _ => {}
            }
        }
        if there == names.len() {
            return Ok(Outlook::Done);
        }
        Ok(Outlook::Waiting(format!("{there} of {} tasks {wanted}", names.len())))
    })
    .await
}

#[cfg(test)]
mod tests {
    use seawall_proto::v1::Deployment;

    use super::*;

    fn service(running: i32, deployments: &[(&str, &str, i32)]) -> Service {
        Service {
            service_name: Some("web".into()),
            status: Some("ACTIVE".into()),
            desired_count: Some(6),
            running_count: Some(running),
            deployments: deployments
                .iter()
                .map(|(status, rollout, running)| Deployment {
                    status: Some((*status).into()),
                    rollout_state: Some((*rollout).into()),
                    rollout_state_reason: Some("tasks failed to start.".into()),
                    running_count: Some(*running),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        }
    }

    #[test]
    fn stable_is_one_deployment_with_all_of_its_tasks() {
        assert_eq!(stable(&service(6, &[("PRIMARY", "COMPLETED", 6)])), Ok(Outlook::Done));
        let short = stable(&service(4, &[("PRIMARY", "IN_PROGRESS", 4)]));
        assert_eq!(short, Ok(Outlook::Waiting("service web: 4 of 6 running".into())));
        let rolling = stable(&service(6, &[("PRIMARY", "IN_PROGRESS", 2), ("ACTIVE", "COMPLETED", 4)]));
        assert_eq!(rolling, Ok(Outlook::Waiting("service web: 6 of 6 running, 2 of the new revision".into())));
        let failed = stable(&service(2, &[("PRIMARY", "FAILED", 2)])).unwrap_err();
        assert_eq!(failed.to_string(), "service web: tasks failed to start. next: seawall events web");
    }
}
