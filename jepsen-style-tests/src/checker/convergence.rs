//! Desired equals actual: what one member shows of services, tasks and instances, held against what clients were promised.

use std::collections::{BTreeMap, BTreeSet};

/// What a service must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Tasks.
    pub desired: i32,
    /// ARN of their task definition.
    pub task_definition: String,
}

/// DescribeServices of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceView {
    /// Its name.
    pub name: String,
    /// ACTIVE, DRAINING or INACTIVE.
    pub status: String,
    /// desiredCount.
    pub desired: i32,
    /// runningCount.
    pub running: i32,
    /// pendingCount.
    pub pending: i32,
    /// ARN.
    pub task_definition: String,
    /// How many deployments are left.
    pub deployments: usize,
}

/// One of ListTasks with desired status RUNNING.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskView {
    /// Its ARN.
    pub arn: String,
    /// "service:NAME".
    pub group: String,
    /// lastStatus.
    pub last_status: String,
    /// ARN.
    pub task_definition: String,
    /// ARN of the instance.
    pub instance: String,
}

/// Everything that one member shows.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Services of ListServices, and those that clients know of.
    pub services: Vec<ServiceView>,
    /// Tasks as listed, page by page.
    pub tasks: Vec<TaskView>,
    /// (ARN, runningTasksCount, pendingTasksCount).
    pub instances: Vec<(String, i32, i32)>,
}

/// What in `view` is not as `expected`.
pub fn problems(expected: &BTreeMap<String, Expected>, view: &View) -> Vec<String> {
    let mut problems = services(expected, view);
    problems.extend(tasks(expected, view));
    problems.extend(instances(view));
    problems
}

fn services(expected: &BTreeMap<String, Expected>, view: &View) -> Vec<String> {
    let mut problems = Vec::new();
    let active: Vec<&ServiceView> = view.services.iter().filter(|s| s.status != "INACTIVE").collect();
    for (name, wanted) in expected {
        let found: Vec<_> = active.iter().filter(|s| s.name == *name).collect();
        let [service] = found[..] else {
            problems.push(format!("service {name} is there {} times", found.len()));
            continue;
        };
        let actual = ServiceView {
            name: name.clone(),
            status: "ACTIVE".into(),
            desired: wanted.desired,
            running: wanted.desired,
            pending: 0,
            task_definition: wanted.task_definition.clone(),
            deployments: 1,
        };
        if **service != actual {
            problems.push(format!("service {name} is {service:?}, not {actual:?}"));
        }
    }
    let unknown = active.iter().filter(|s| !expected.contains_key(&s.name));
    problems.extend(unknown.map(|s| format!("service {} is {} and should be gone", s.name, s.status)));
    problems
}

fn tasks(expected: &BTreeMap<String, Expected>, view: &View) -> Vec<String> {
    let mut problems = Vec::new();
    let mut arns = BTreeSet::new();
    let mut by_service: BTreeMap<&str, i32> = BTreeMap::new();
    for task in &view.tasks {
        if !arns.insert(&task.arn) {
            problems.push(format!("task {} is listed twice", task.arn));
        }
        let service = task.group.strip_prefix("service:").unwrap_or(&task.group);
        match expected.get(service) {
            None => problems.push(format!("task {} belongs to {}, which should be gone", task.arn, task.group)),
            Some(wanted) if task.task_definition != wanted.task_definition => {
                problems.push(format!("task {} runs {}", task.arn, task.task_definition));
            }
            Some(_) => {}
        }
        if task.last_status != "RUNNING" {
            problems.push(format!("task {} is {}", task.arn, task.last_status));
        }
        *by_service.entry(service).or_default() += 1;
    }
    for (name, wanted) in expected {
        let listed = by_service.get(name.as_str()).copied().unwrap_or_default();
        if listed != wanted.desired {
            problems.push(format!("service {name}: {listed} tasks are listed, {} desired", wanted.desired));
        }
    }
    problems
}

fn instances(view: &View) -> Vec<String> {
    let mut problems = Vec::new();
    for (arn, running, pending) in &view.instances {
        let listed = view.tasks.iter().filter(|task| task.instance == *arn).count();
        if usize::try_from(*running).ok() != Some(listed) || *pending != 0 {
            problems
                .push(format!("instance {arn} counts {running} running and {pending} pending, {listed} are listed"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> BTreeMap<String, Expected> {
        BTreeMap::from([("web".to_owned(), Expected { desired: 2, task_definition: "td:1".into() })])
    }

    fn view() -> View {
        let task = |arn: &str, instance: &str| TaskView {
            arn: arn.into(),
            group: "service:web".into(),
            last_status: "RUNNING".into(),
            task_definition: "td:1".into(),
            instance: instance.into(),
        };
        let web = ServiceView {
            name: "web".into(),
            status: "ACTIVE".into(),
            desired: 2,
            running: 2,
            pending: 0,
            task_definition: "td:1".into(),
            deployments: 1,
        };
        let gone = ServiceView { name: "old".into(), status: "INACTIVE".into(), ..ServiceView::default() };
        View {
            services: vec![web, gone],
            tasks: vec![task("t1", "i1"), task("t2", "i2")],
            instances: vec![("i1".into(), 1, 0), ("i2".into(), 1, 0), ("i3".into(), 0, 0)],
        }
    }

    #[test]
    fn a_cluster_at_rest_is_accepted() {
        assert_eq!(problems(&expected(), &view()), Vec::<String>::new());
    }

    type Departure = (&'static str, fn(&mut View));

    #[test]
    fn every_departure_is_found() {
        let departures: &[Departure] = &[
            ("there 0 times", |v| v.services.clear()),
            ("there 2 times", |v| v.services.push(v.services[0].clone())),
            ("running: 1", |v| v.services[0].running = 1),
            ("deployments: 2", |v| v.services[0].deployments = 2),
            ("should be gone", |v| v.services[1].status = "DRAINING".into()),
            ("listed twice", |v| v.tasks[1].arn = "t1".into()),
            ("which should be gone", |v| v.tasks[0].group = "service:old".into()),
            ("is PENDING", |v| v.tasks[0].last_status = "PENDING".into()),
            ("runs td:2", |v| v.tasks[0].task_definition = "td:2".into()),
            ("1 tasks are listed, 2 desired", |v| v.tasks.truncate(1)),
            ("counts 2 running", |v| v.instances[0].1 = 2),
        ];
        for (words, change) in departures {
            let mut changed = view();
            change(&mut changed);
            let found = problems(&expected(), &changed);
            assert!(found.iter().any(|problem| problem.contains(words)), "{words}: {found:?}");
        }
    }
}
