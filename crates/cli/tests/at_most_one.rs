//! A service of which at most one task may be alive, with real processes: an agent that hangs keeps no task alive.

mod support;

use std::{fs, path::Path};

use support::{Dev, signal, until};

/// When a task said that it is alive, in nanoseconds; empty where it never did.
fn signs(folder: &Path, token: &str) -> Vec<u64> {
    let text = fs::read_to_string(folder.join(token)).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Tokens of the tasks that ever ran, in order.
fn tokens(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut tokens: Vec<String> = names.collect();
    tokens.sort_by_key(|token| token.parse::<u64>().unwrap());
    tokens
}

/// The agent that has the one task of the service.
fn agent(dev: &Dev) -> String {
    let tasks = dev.run(&["ps", "-o", "json"]).json();
    let arn = tasks["tasks"][0]["containerInstanceArn"].clone();
    let instances = dev.run(&["instance", "ls", "-o", "json"]).json();
    let mut instances = instances["containerInstances"].as_array().unwrap().iter();
    let instance = instances.find(|instance| instance["containerInstanceArn"] == arn).unwrap();
    instance["ec2InstanceId"].as_str().unwrap().to_owned()
}

#[test]
fn a_hung_agents_task_is_ended_by_its_guard_before_another_starts() {
    let mut dev = Dev::new();
    let port = dev.port().to_string();
    dev.start(&["--runtime", "process", "--port", &port]);
    let alive = tempfile::tempdir().unwrap();
    let script =
        format!("while :; do date +%s%N >> {}/$SEAWALL_FENCING_TOKEN; sleep 0.02; done", alive.path().display());
    let definition = serde_json::json!({"family": "one", "containerDefinitions": [
        {"name": "app", "image": "process", "memory": 64, "command": ["/bin/sh", "-c", script]}]});
    dev.run(&["taskdef", "register", &dev.file("definition.json", &definition.to_string())]).ok();
    let tags = serde_json::json!([{"key": "seawall:loss-policy", "value": "at-most-one"}]);
    let service = serde_json::json!({"serviceName": "one", "taskDefinition": "one", "desiredCount": 1, "tags": tags,
        "deploymentConfiguration": {"minimumHealthyPercent": 0, "maximumPercent": 100}});
    dev.run(&["service", "create", &dev.file("service.json", &service.to_string())]).ok();
    let first = until("the task says that it is alive", || tokens(alive.path()).pop().ok_or("nothing".into()));

    assert!(dev.run(&["service", "show", "one"]).ok().contains("one: loss policy at-most-one"));
    let hung = agent(&dev);
    let pid = u32::try_from(dev.pid_of(&hung).unwrap()).unwrap();
    signal(pid, "STOP");
    until("the cluster says what it waits for", || {
        let why = dev.run(&["why", "one"]).ok();
        if why.contains("loss policy at-most-one: another task waits") { Ok(()) } else { Err(why) }
    });
    let second = until("another task starts", || match &tokens(alive.path())[..] {
        [_, second] => Ok(second.clone()),
        other => Err(format!("{other:?}")),
    });
    let (old, new) = (
        signs(alive.path(), &first),
        until("it says so", || match signs(alive.path(), &second) {
            signs if signs.is_empty() => Err("nothing".into()),
            signs => Ok(signs),
        }),
    );
    assert!(old.last() < new.first(), "two were alive: {:?} and {:?}", old.last(), new.first());
    assert_ne!(agent(&dev), hung);

    signal(pid, "CONT");
    dev.run(&["wait", "services-stable", "one"]).ok();
    assert_eq!(tokens(alive.path()), [first.clone(), second]);
    assert_eq!(signs(alive.path(), &first), old, "what was ended stays so when its agent goes on");
    let shown = dev.run(&["ps", "-o", "json"]).json();
    let attributes = shown["tasks"][0]["attributes"].to_string();
    assert!(attributes.contains("seawall.fencing-token"), "{attributes}");
}
