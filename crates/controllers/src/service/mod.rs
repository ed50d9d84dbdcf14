//! Keeps a service's tasks: as many as desired, of the right revision, where they can be reached.
//!
//! One pass looks at the whole service, sorts its tasks ([`view`]), and proposes what brings it nearer to what is wanted:
//! starts and stops within the deployment's percentages ([`rollout`]), one task on each instance for a daemon
//! ([`daemon`]), stops of a surplus in balance ([`scale`]), moves to where there are fewer ([`rebalance`]), waits
//! after failures ([`backoff`]), room made by tasks of lower classes ([`preempt`]), the end of a rollout that fails ([`breaker`]) or has enough healthy tasks ([`early_success`]), events ([`events`]) and the deployments' progress ([`deployments`]). It remembers nothing
//! between passes: what must be known later is in the service's row.
//!
//! The caller adds what it proposes to the overlay until it is applied: tasks that are being placed or stopped are then
//! neither placed nor stopped again.

mod backoff;
mod breaker;
mod daemon;
mod delete;
mod deployments;
mod early_success;
mod events;
mod place;
mod preempt;
mod rebalance;
mod rollout;
mod scale;
mod step;
mod view;

use seawall_model::ServiceId;
use seawall_proto::internal::v1::{ServiceStatusCode, StopCode, StopTasks, TaskRow, command};
use seawall_scheduler::Fleet;

use crate::{ControllerPlan, Now};
pub use preempt::{LOOK_AGAIN_MS, PREEMPTIONS_A_MINUTE};
pub use rebalance::{BUDGET_RETRY_MS, SHUN_MS};
use step::Step;
use view::View;

/// Tasks that one pass places; the rest follow at once. Keeps a command far below its limit of bytes.
pub const PLACEMENTS_PER_PASS: u32 = 256;
/// Tasks that one pass stops; the rest follow at once.
pub const STOPS_PER_PASS: usize = 256;
/// A service that found no place looks again this often, even if nobody wakes it.
pub const RETRY_MS: i64 = 15_000;

/// What the service needs now.
pub fn plan(fleet: &Fleet, service: ServiceId, now: Now) -> ControllerPlan {
    let Some(view) = View::new(fleet, service, now) else { return ControllerPlan::default() };
    match view.service.status() {
        ServiceStatusCode::Active => reconcile(&view),
        ServiceStatusCode::Draining => delete::plan(&view),
        ServiceStatusCode::Inactive | ServiceStatusCode::Unspecified => ControllerPlan::default(),
    }
}

fn reconcile(view: &View<'_>) -> ControllerPlan {
    let mut plan = ControllerPlan::default();
    let mut step = Step::new(view);
    events::started_and_stopped(view, &mut step);
    backoff::account(view, &mut step);
    if let Some(at_ms) = view.next_change_ms() {
        plan.wake(at_ms);
    }
    if breaker::judge(view, &mut step) {
        step.finish(view, &mut plan);
        return plan;
    }
    let stops = match &view.belongs {
        Some(belongs) => daemon::plan(view, belongs, &mut step, &mut plan),
        None => replicas(view, &mut step, &mut plan),
    };
    stop_tasks(view, stops, &mut plan);
    deployments::advance(view, &mut step, &mut plan);
    step.finish(view, &mut plan);
    plan
}

/// As many tasks as desired, wherever they fit.
fn replicas<'a>(view: &View<'a>, step: &mut Step, plan: &mut ControllerPlan) -> Stops<'a> {
    let limits = rollout::Limits::new(view);
    let wanted = rollout::starts(view, limits);
    let allowed = backoff::allowed(view, &step.backoff, wanted, plan);
    let unplaced = place::place(view, allowed, step, plan);
    preempt::make_room(view, unplaced, step, plan);
    let stops = rollout::stops(view, limits, wanted, unplaced);
    events::blocked(view, limits, wanted, step);
    events::protected(view, &stops, step);
    events::lost(view, step);
    rebalance::tend(view, limits, wanted, step, plan);
    stops
}

/// Tasks to stop and what is said about them.
#[derive(Default)]
pub(crate) struct Stops<'a> {
    /// Their containers are unhealthy.
    pub unhealthy: Vec<&'a TaskRow>,
    /// Others take their place, or there are too many.
    pub scaling: Vec<&'a TaskRow>,
    /// They cannot be reached: they stop when their instance is back.
    pub unreachable: Vec<&'a TaskRow>,
}

fn stop_tasks(view: &View<'_>, stops: Stops<'_>, plan: &mut ControllerPlan) {
    let scaling = format!("Scaling activity initiated by (deployment ecs-svc/{})", view.primary.id);
    // Apply refuses a stop if fewer tasks want to run by then: what was surplus is perhaps needed.
    let mut wanted = view.wanted;
    for (tasks, reason) in [(stops.unhealthy, events::UNHEALTHY), (stops.scaling, &scaling)] {
        let guard = wanted + 1;
        wanted -= stop(view, tasks, reason, guard, plan);
    }
    stop(view, stops.unreachable, &scaling, 0, plan);
}

/// Proposes one `StopTasks`; how many tasks are in it.
fn stop(view: &View<'_>, mut tasks: Vec<&TaskRow>, reason: &str, guard: u32, plan: &mut ControllerPlan) -> u32 {
    if tasks.len() > STOPS_PER_PASS {
        tasks.truncate(STOPS_PER_PASS);
        plan.wake(view.now.cluster_time_ms);
    }
    if tasks.is_empty() {
        return 0;
    }
    for task in &tasks {
        plan.say(format_args!("stop {}: {reason}", view::label(task)));
    }
    plan.commands.push(command::Kind::StopTasks(StopTasks {
        tasks: tasks.iter().filter_map(|t| t.id).collect(),
        code: StopCode::ServiceSchedulerInitiated.into(),
        reason: reason.to_owned(),
        service_id: view.service.id,
        service_version: view.service.changed,
        wanted_before: guard,
        preempted_by: 0,
    }));
    tasks.len() as u32
}
