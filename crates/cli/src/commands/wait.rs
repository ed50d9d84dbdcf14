//! `seawall wait …`, and the waiting of every command that changes something.

use std::{cmp::Reverse, time::Duration};

use seawall_env::Instant;
use seawall_proto::v1::{ExplainRequest, ExplainResponse, Service};

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
    // How many a daemon is to have is known once it was looked at.
    let is_counted = service.scheduling_strategy() != super::service::DAEMON
        || primary.is_some_and(|d| d.rollout_state() == "COMPLETED");
    if service.deployments.len() == 1 && running == desired && is_counted {
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
    for name in names {
        let Ok(Found { cluster, it }) = find::service(ctx, name).await else { continue };
        if stable(&it) == Ok(Outlook::Done) {
            continue;
        }
        let request =
            ExplainRequest { cluster: Some(cluster), resource: it.service_arn.clone().unwrap_or_default(), all: false };
        let ask = async |mut c: Connection, r| c.control.explain(r).await;
        let Ok(client) = ctx.client().await else { return failure };
        let Ok(explained) = client.call(Again::Safe, request, ask).await else { return failure };
        let next = format!("seawall why {}", it.service_name());
        return match unplaced(&it, &explained) {
            Some(why) => {
                let what = format!("{}, {why}", failure.what);
                failure.reworded(what).next(next)
            }
            None => failure.next(next),
        };
    }
    failure
}

/// "2 cannot be placed: memory (i-b1: needs 512 MiB; has 300)"; `None` where there is room for the next task.
fn unplaced(service: &Service, explained: &ExplainResponse) -> Option<String> {
    let missing = service.desired_count() - service.running_count() - service.pending_count();
    if missing <= 0 || explained.instances.iter().any(|verdict| verdict.fits) {
        return None;
    }
    let filters: Vec<&str> = explained.filters.iter().map(|filter| filter.filter.as_str()).collect();
    let told = explained.instances.iter().filter(|verdict| !verdict.detail.is_empty());
    let best = told.max_by_key(|verdict| (has(&verdict.detail), Reverse(&verdict.ec2_instance_id)));
    let best = best.map(|verdict| format!(" ({}: {})", verdict.ec2_instance_id, verdict.detail)).unwrap_or_default();
    let why = if filters.is_empty() { "there are no instances".to_owned() } else { filters.join(", ") };
    Some(format!("{missing} cannot be placed: {why}{best}"))
}

/// What an instance has, in "needs 512 MiB; has 300": the one with the most is the nearest to what is needed.
fn has(detail: &str) -> Option<u64> {
    detail.rsplit_once("has ")?.1.split(' ').next()?.parse().ok()
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
    use seawall_proto::v1::{Deployment, FilterCount, InstanceVerdict};

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

    #[test]
    fn what_cannot_be_placed_says_what_is_missing() {
        let verdict = |fits, detail: &str| InstanceVerdict {
            ec2_instance_id: "i-b1".into(),
            fits,
            detail: detail.into(),
            ..Default::default()
        };
        let memory = FilterCount { filter: "memory".into(), instances: 1, detail: String::new() };
        let full = ExplainResponse {
            filters: vec![memory],
            instances: vec![verdict(false, "needs 512 MiB; has 300")],
            ..Default::default()
        };
        let short = service(4, &[("PRIMARY", "IN_PROGRESS", 4)]);
        let why = unplaced(&short, &full);
        assert_eq!(why.as_deref(), Some("2 cannot be placed: memory (i-b1: needs 512 MiB; has 300)"));
        let roomy = ExplainResponse { instances: vec![verdict(true, "")], ..Default::default() };
        assert_eq!(unplaced(&short, &roomy), None);
        let none = unplaced(&short, &ExplainResponse::default());
        assert_eq!(none.as_deref(), Some("2 cannot be placed: there are no instances"));
    }
}
