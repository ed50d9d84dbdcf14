//! In which order the containers of a task start and stop. Pure.

use std::time::Duration;

use seawall_env::Instant;
use seawall_proto::internal::v1::Health;
use seawall_proto::v1::ContainerDefinition;

use super::slot::ContainerState;
use crate::{runtime::Phase, spec::TaskSpec};

/// What the start phase does next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Next {
    /// This container may start.
    Start(usize),
    /// Nothing may start until a container changes, or until then.
    Wait(Option<Instant>),
    /// A dependency can no longer be met.
    Fail(String),
    /// All have started.
    Done,
}

/// What one container waits for of another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Condition {
    Start,
    Complete,
    Success,
    Healthy,
}

/// Whether a condition holds.
enum Met {
    Yes,
    Until(Option<Instant>),
    Never(String),
}

/// The first container that has not started and whose dependencies are met.
pub fn next(task: &TaskSpec, states: &[ContainerState], now: Instant) -> Next {
    let mut until = None;
    let mut waits = false;
    for (index, state) in states.iter().enumerate() {
        if state.phase >= Phase::Running {
            continue;
        }
        match ready(task, states, index, now) {
            Met::Yes => return Next::Start(index),
            Met::Never(why) => return Next::Fail(why),
            Met::Until(at) => {
                waits = true;
                until = earlier(until, at);
            }
        }
    }
    if waits { Next::Wait(until) } else { Next::Done }
}

/// A cycle among the dependencies, by the names on it.
pub fn cycle(task: &TaskSpec) -> Option<String> {
    let mut left: Vec<usize> = (0..task.containers.len()).collect();
    while !left.is_empty() {
        let free = left.iter().position(|&index| {
            let needs = dependencies(&task.containers[index]);
            needs.iter().all(|(name, _)| task.index_of(name).is_none_or(|on| !left.contains(&on)))
        });
        match free {
            Some(at) => left.remove(at),
            None => {
                let names: Vec<&str> = left.iter().map(|&index| task.containers[index].name()).collect();
                return Some(names.join(", "));
            }
        };
    }
    None
}

/// A container that another names and that is not there.
pub fn missing(task: &TaskSpec) -> Option<String> {
    let of = |container: &ContainerDefinition| {
        dependencies(container).into_iter().find(|(name, _)| task.index_of(name).is_none()).map(|(name, _)| name)
    };
    task.containers.iter().find_map(of)
}

/// Those that may stop now: nothing that still runs depends on them.
pub fn stoppable(task: &TaskSpec, ended: &[bool]) -> Vec<usize> {
    let depends = |index: usize, on: usize| {
        dependencies(&task.containers[index]).iter().any(|(name, _)| task.index_of(name) == Some(on))
    };
    let is_free = |on: usize| (0..ended.len()).all(|index| ended[index] || !depends(index, on));
    let free: Vec<usize> = (0..ended.len()).filter(|&on| !ended[on] && is_free(on)).collect();
    // A cycle is refused before anything starts; what an older agent left behind must still be stopped.
    if free.is_empty() { (0..ended.len()).filter(|&on| !ended[on]).collect() } else { free }
}

fn ready(task: &TaskSpec, states: &[ContainerState], index: usize, now: Instant) -> Met {
    let mut until = None;
    let mut waits = false;
    for (name, condition) in dependencies(&task.containers[index]) {
        let Some(on) = task.index_of(&name) else { continue };
        match met(&task.containers[on], &states[on], condition, now) {
            Met::Yes => {}
            Met::Never(why) => {
                return Met::Never(format!("container {}: {why}", task.containers[index].name()));
            }
            Met::Until(at) => {
                waits = true;
                until = earlier(until, at);
            }
        }
    }
    if waits { Met::Until(until) } else { Met::Yes }
}

fn met(on: &ContainerDefinition, state: &ContainerState, condition: Condition, now: Instant) -> Met {
    let name = on.name();
    let ended = state.phase >= Phase::Exited;
    let good = state.exit_code == Some(0);
    match condition {
        Condition::Start if state.phase >= Phase::Running => Met::Yes,
        Condition::Complete if ended => Met::Yes,
        Condition::Success if ended && good => Met::Yes,
        Condition::Success if ended => {
            let code = state.exit_code.map_or_else(|| "no code".to_owned(), |code| format!("code {code}"));
            Met::Never(format!("dependency {name} exited with {code}, not with success"))
        }
        Condition::Healthy if ended => Met::Never(format!("dependency {name} exited before it was healthy")),
        Condition::Healthy if state.health == Health::Healthy => Met::Yes,
        Condition::Healthy if state.health == Health::Unhealthy => {
            Met::Never(format!("dependency {name} is unhealthy"))
        }
        _ => started_in_time(on, state, now),
    }
}

/// `startTimeout` is the dependency's: how long others wait for it, from its start.
fn started_in_time(on: &ContainerDefinition, state: &ContainerState, now: Instant) -> Met {
    let limit = on.start_timeout.filter(|seconds| *seconds > 0).and_then(|seconds| u64::try_from(seconds).ok());
    let (Some(seconds), Some(started)) = (limit, state.started) else { return Met::Until(None) };
    let at = started + Duration::from_secs(seconds);
    if now >= at {
        return Met::Never(format!(
            "dependency {} did not get there within its startTimeout of {seconds} s",
            on.name()
        ));
    }
    Met::Until(Some(at))
}

/// dependsOn, and what links and volumesFrom need to be there first.
fn dependencies(container: &ContainerDefinition) -> Vec<(String, Condition)> {
    let condition = |text: &str| match text {
        "COMPLETE" => Condition::Complete,
        "SUCCESS" => Condition::Success,
        "HEALTHY" => Condition::Healthy,
        _ => Condition::Start,
    };
    let listed = container.depends_on.iter().map(|d| (d.container_name().to_owned(), condition(d.condition())));
    let links = container.links.iter().map(|link| link.split(':').next().unwrap_or(link));
    let volumes = container.volumes_from.iter().map(|from| from.source_container());
    listed.chain(links.chain(volumes).map(|name| (name.to_owned(), Condition::Start))).collect()
}

fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use seawall_proto::v1::ContainerDependency;

    use super::*;
    use crate::engine::testing::{container, task};

    fn on(name: &str, condition: &str) -> ContainerDependency {
        ContainerDependency { container_name: Some(name.into()), condition: Some(condition.into()) }
    }

    fn two(condition: &str, start_timeout: Option<i32>) -> TaskSpec {
        let mut app = container("app");
        app.depends_on = vec![on("init", condition)];
        let mut init = container("init");
        init.start_timeout = start_timeout;
        task(vec![app, init])
    }

    fn states(init: ContainerState) -> Vec<ContainerState> {
        vec![ContainerState::default(), init]
    }

    fn init(phase: Phase) -> ContainerState {
        ContainerState { phase, started: Some(Instant::default()), ..Default::default() }
    }

    #[test]
    fn a_dependency_starts_first_whatever_its_place() {
        let task = two("START", None);
        assert_eq!(next(&task, &states(ContainerState::default()), Instant::default()), Next::Start(1));
        assert_eq!(next(&task, &states(init(Phase::Running)), Instant::default()), Next::Start(0));
    }

    #[test]
    fn complete_takes_any_code_and_success_only_zero() {
        let failed = ContainerState { exit_code: Some(3), ..init(Phase::Exited) };
        assert_eq!(next(&two("COMPLETE", None), &states(failed.clone()), Instant::default()), Next::Start(0));
        let Next::Fail(why) = next(&two("SUCCESS", None), &states(failed), Instant::default()) else { panic!() };
        assert_eq!(why, "container app: dependency init exited with code 3, not with success");
        let good = ContainerState { exit_code: Some(0), ..init(Phase::Exited) };
        assert_eq!(next(&two("SUCCESS", None), &states(good), Instant::default()), Next::Start(0));
        assert_eq!(next(&two("SUCCESS", None), &states(init(Phase::Running)), Instant::default()), Next::Wait(None));
    }

    #[test]
    fn healthy_waits_for_the_check_and_fails_with_it() {
        let task = two("HEALTHY", None);
        let with = |health| states(ContainerState { health, ..init(Phase::Running) });
        assert_eq!(next(&task, &with(Health::Unknown), Instant::default()), Next::Wait(None));
        assert_eq!(next(&task, &with(Health::Healthy), Instant::default()), Next::Start(0));
        assert!(matches!(next(&task, &with(Health::Unhealthy), Instant::default()), Next::Fail(_)));
        assert!(matches!(next(&task, &states(init(Phase::Exited)), Instant::default()), Next::Fail(_)));
    }

    #[test]
    fn start_timeout_is_counted_from_the_start_of_the_dependency() {
        let task = two("HEALTHY", Some(10));
        let at = Instant(Duration::from_secs(10));
        assert_eq!(next(&task, &states(init(Phase::Running)), Instant::default()), Next::Wait(Some(at)));
        assert!(matches!(next(&task, &states(init(Phase::Running)), at), Next::Fail(_)));
    }

    #[test]
    fn stop_order_is_the_reverse() {
        let task = two("START", None);
        assert_eq!(stoppable(&task, &[false, false]), [0]);
        assert_eq!(stoppable(&task, &[true, false]), [1]);
    }

    #[test]
    fn cycles_and_missing_names_are_found() {
        let mut a = container("a");
        a.depends_on = vec![on("b", "START")];
        let mut b = container("b");
        b.links = vec!["a:alias".into()];
        assert_eq!(cycle(&task(vec![a.clone(), b])), Some("a, b".into()));
        assert_eq!(missing(&task(vec![a])), Some("b".into()));
        assert_eq!(cycle(&two("START", None)), None);
    }
}
