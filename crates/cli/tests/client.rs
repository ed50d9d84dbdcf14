//! The commands of people and scripts against three zones of the fake runtime: forms of output, exit codes, error texts.

mod support;

use std::time::Duration;

use support::{Dev, until};

const DEFINITION: &str = r#"{
  "family": "web",
  "containerDefinitions": [
    {
      "name": "web",
      "image": "web:1",
      "memoryReservation": 64,
      "portMappings": [{ "containerPort": 80 }]
    }
  ]
}"#;
const SERVICE: &str = r#"{ "serviceName": "web", "taskDefinition": "web", "desiredCount": 6 }"#;

#[test]
fn a_service_from_files_through_its_life() {
    let dev = Dev::ready();
    let definition = dev.file("definition.json", DEFINITION);
    let service = dev.file("service.json", SERVICE);

    assert_eq!(dev.run(&["taskdef", "register", &definition]).ok(), "task definition web:1 registered\n");
    assert_eq!(dev.run(&["td", "register", &definition, "-q"]).ok(), "web:2\n");
    assert_eq!(dev.run(&["taskdef", "ls", "-o", "name"]).ok(), "web:1\nweb:2\n");
    let shown = dev.run(&["taskdef", "show", "web:1"]).json();
    assert_eq!(shown["taskDefinition"]["containerDefinitions"][0]["memoryReservation"], 64);

    assert_eq!(dev.run(&["service", "create", &service]).ok(), "service web created\n");
    let tasks = dev.run(&["ps", "web", "-o", "jsonl"]).ok();
    let zones: Vec<String> = tasks
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["availabilityZone"].to_string())
        .collect();
    assert_eq!(zones.iter().filter(|zone| zone.contains("us-local-1b")).count(), 2, "two of six: {zones:?}");
    assert_eq!(dev.run(&["service", "endpoints", "web", "-q"]).ok().lines().count(), 6);

    assert_eq!(dev.run(&["scale", "web=4"]).ok(), "service web: 6 → 4\n");
    assert_eq!(dev.run(&["ps", "-q"]).ok().lines().count(), 4);
    dev.run(&["wait", "services-stable", "web"]).ok();
    let described = dev.run(&["service", "show", "web", "-o", "json"]).json();
    assert_eq!(described["services"][0]["desiredCount"], 4, "ECS's own JSON: {described}");
    let table = dev.run(&["service", "ls"]).ok();
    assert!(table.starts_with("SERVICE  STATUS  RUNNING  PENDING  DEFINITION  ROLLOUT"), "{table}");

    let task = dev.run(&["ps", "-q"]).ok().lines().next().unwrap().to_owned();
    let one = dev.run(&["task", "show", &task[..6], "-q"]).ok();
    assert_eq!(one.trim(), task, "the first six characters of an id are enough");
    let logs = dev.run(&["logs", &task]).ok();
    assert_eq!(logs, format!("fake container web of task {task}\n"));
    assert!(dev.run(&["events", "web"]).ok().contains("has reached a steady state"));
    assert!(dev.run(&["why", "web"]).ok().starts_with("service web: 4 of 4 running"));
    let why = dev.run(&["why", &task]).ok();
    assert!(
        why.contains("decided by planner 1 on the state of log entry") && why.contains("\nBEST  INSTANCE"),
        "{why}"
    );
    assert!(dev.run(&["why", &task, "--all"]).ok().contains("FITS"));
    let replayed = dev.run(&["replay", &task]).ok();
    assert!(replayed.contains("\nsame: replayed from the log alone, with "), "{replayed}");
    dev.run(&["task", "stop", &task, "--yes", "--reason", "because"]).ok();
    assert!(dev.run(&["events", &task]).ok().contains("STOPPED: because"));
    dev.run(&["wait", "tasks-stopped", &task]).ok();

    dev.run(&["service", "set", "web", "desiredCount=2", "minimumHealthyPercent=50"]).ok();
    dev.run(&["instance", "drain", "i-a1"]).ok();
    let tasks = dev.run(&["ps", "--on", "i-a1", "-q"]).ok();
    assert_eq!(tasks, "", "a drained instance holds no task");
    dev.run(&["instance", "activate", "i-a1"]).ok();
    dev.run(&["service", "rm", "web", "--force", "--yes"]).ok();
    dev.run(&["wait", "services-inactive", "web"]).ok();
    assert_eq!(dev.run(&["ps", "-q"]).ok(), "");
    let runs = dev.run(&["run", "web:1", "--count", "2", "-o", "name"]).ok();
    assert_eq!(runs.lines().count(), 2);
    capacity_is_shown(&dev);
}

/// What waits for a capacity provider, what is used and what is reclaimed.
fn capacity_is_shown(dev: &Dev) {
    let group = r#"{"autoScalingGroupArn": "group", "managedScaling": {"status": "ENABLED"}}"#;
    let provider = format!(r#"{{"name": "big", "autoScalingGroupProvider": {group}}}"#);
    dev.run(&["api", "create-capacity-provider", "-d", &provider]).ok();
    let put = r#"{"cluster": "default", "capacityProviders": ["big"], "defaultCapacityProviderStrategy": []}"#;
    dev.run(&["api", "put-cluster-capacity-providers", "-d", put]).ok();
    let run = r#"{"taskDefinition": "web:1", "capacityProviderStrategy": [{"capacityProvider": "big", "weight": 1}],
                  "overrides": {"cpu": "131072"}}"#;
    let answer = dev.run(&["api", "run-task", "-d", run]).json();
    assert_eq!(answer["tasks"][0]["lastStatus"], "PROVISIONING", "{answer}");
    let capacity = dev.run(&["cluster", "capacity", "-o", "json"]).json();
    let big = &capacity["providers"][0];
    assert_eq!(
        (&big["capacityProvider"], &big["waitingTasks"], &big["reservation"]),
        (&"big".into(), &1.into(), &200.into())
    );
    let task = answer["tasks"][0]["taskArn"].as_str().unwrap();
    assert!(dev.run(&["why", task]).ok().contains("it waits for room of the capacity provider big"));
    dev.run(&["task", "stop", task, "--yes"]).ok();
    let used = dev.run(&["usage", "-o", "json"]).json();
    assert_eq!(used["groups"], serde_json::json!([]), "nothing ran for FARGATE");
    let refused = dev.run(&["instance", "reclaim", "i-a1"]).refused(1);
    assert!(refused.contains("only spot capacity is reclaimed"), "{refused}");
}

/// Numbers that differ from run to run.
fn steady(text: &str, dev: &Dev) -> String {
    let text = text.replace(&dev.port().to_string(), "PORT");
    let mut out = String::new();
    let mut digits = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        out.push_str(if digits.len() > 3 { "N" } else { &digits });
        digits.clear();
        out.push(c);
    }
    out.trim_end().to_owned()
}

#[test]
fn tags_are_set_listed_and_removed() {
    let dev = Dev::ready();
    dev.run(&["run", "any", "--name", "web"]).ok();
    dev.run(&["tag", "web", "team=shop", "seawall:priority=80"]).ok();
    assert_eq!(dev.run(&["tag", "web", "-q"]).ok(), "team\nseawall:priority\n");
    let wrong = dev.run(&["tag", "web", "seawall:priority=much"]).refused(1);
    assert!(wrong.contains("seawall:priority"), "{wrong}");
    let unclear = dev.run(&["tag", "web", "team"]).refused(2);
    assert_eq!(unclear, "\"team\": use NAME=VALUE to set and NAME- to remove");
    dev.run(&["tag", "web", "team-", "seawall:priority-"]).ok();
    assert_eq!(dev.run(&["tag", "web", "-q"]).ok(), "");
    let instance = dev.run(&["instance", "show", "i-a1", "-o", "json"]).json();
    let arn = instance["containerInstances"][0]["containerInstanceArn"].as_str().unwrap();
    dev.run(&["tag", arn, "rack=r1"]).ok();
    let tags = dev.run(&["tag", "i-a1", "-o", "json"]).json();
    assert_eq!(tags, serde_json::json!({ "tags": [{ "key": "rack", "value": "r1" }] }));
}

#[test]
fn refusals_say_what_why_and_the_next_step() {
    let dev = Dev::ready();
    // One on each instance, so that all have the same left.
    dev.run(&["run", "any", "--name", "web", "--count", "3"]).ok();
    let wrong = dev.file("wrong.json", &DEFINITION.replace("memoryReservation", "memroy"));
    let cases: &[(&[&str], i32)] = &[
        (&["service", "show", "wbe"], 1),
        (&["taskdef", "show", "wbe"], 1),
        (&["instance", "show", "i-d1"], 1),
        (&["member", "transfer", "d"], 1),
        (&["why", "wbe"], 1),
        (&["-c", "prod", "service", "ls"], 1),
        (&["service", "show", "prod/web"], 1),
        (&["taskdef", "register", &wrong], 1),
        (&["service", "set", "web", "desiredCont=4"], 2),
        (&["scale", "web=-1"], 2),
        (&["service", "rm", "web"], 2),
        (&["taskdef", "rm", "web"], 2),
        (&["node", "ls"], 2),
        (&["run", "big", "--count", "2", "--memory", "9999999"], 1),
        (&["run", "big", "--name", "big", "--count", "3", "--memory", "9999999", "--timeout", "1s"], 4),
        (&["--addr", "127.0.0.1:1,127.0.0.1:2", "ps"], 3),
    ];
    let told: Vec<String> = cases.iter().map(|(words, code)| steady(&dev.run(words).refused(*code), &dev)).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    service "wbe" not found (there are: web). next: seawall service ls
    task definition "wbe" not found (there are: web:1). next: seawall taskdef ls
    instance "i-d1" not found (there are: i-a1, i-b1, i-c1). next: seawall instance ls
    member "d" not found (there are: a, b, c). next: seawall member ls
    service, task or instance "wbe" not found (there are: web). next: seawall service ls
    cluster "prod" not found in http://127.0.0.1:PORT (clusters: default). next: seawall cluster ls
    cluster "prod" not found in http://127.0.0.1:PORT (clusters: default). next: seawall cluster ls
    task definition web: containerDefinitions[0].memroy (line 7): unknown; did you mean memory?
    desiredCont: unknown; did you mean desiredCount?
    web=-1: a count is a whole number from 0
    refusing to delete web without asking: there is no terminal. next: add --yes
    "web" names a family: give the revision to deregister, such as web:1. next: seawall taskdef ls web
    `node` can mean two things here: an instance runs tasks, a member is a scheduler. next: seawall instance ls, or seawall member ls
    big:1: 2 of 2 tasks not placed: RESOURCE:MEMORY on 3 instances (needs N MiB; has N; left out: 3 by memory)
    service big: 0 of 3 running, 3 cannot be placed: memory (i-a1: needs N MiB; has N). next: seawall why big
    no member answers: http://127.0.0.1:1 (connection refused), http://127.0.0.1:2 (connection refused). next: seawall dev starts a cluster here; --addr or SEAWALL_ADDR names another
    "#);
}

#[test]
fn without_a_leader_status_tells_who_is_missing() {
    let dev = Dev::ready();
    dev.run(&["run", "any", "--name", "web", "--count", "2"]).ok();
    dev.run(&["zone", "kill", "a"]).ok();
    let warned = dev.run(&["zone", "kill", "b"]);
    assert!(warned.stderr.starts_with("2 of 3 zones are gone: nobody leads until one returns."), "{warned:?}");
    until("the one that is left knows", || {
        let refused = dev.run(&["scale", "web=4", "--timeout", "1s"]).refused(3);
        let is_told = refused.starts_with("no leader: ") && refused.contains(" do not answer");
        if is_told { Ok(()) } else { Err(refused) }
    });
    let status = dev.run(&["status", "--timeout", "1s"]);
    assert_eq!(status.code, 3, "{status:?}");
    assert!(status.stdout.starts_with("leader nobody"), "{status:?}");
    assert!(status.stdout.contains("us-local-1a  0 of 1"), "{status:?}");
    let why = "writes wait up to 10 s, reads with --stale still work. next: seawall status\n";
    assert!(status.stderr.ends_with(why), "{status:?}");
    assert_eq!(status.stderr.matches("next:").count(), 1, "{status:?}");
    assert_eq!(dev.run(&["ps", "--stale", "-q"]).ok().lines().count(), 2);
    dev.run(&["zone", "return", "a"]).ok();
    dev.run(&["scale", "web=3"]).ok();
}

#[test]
fn a_cut_zone_does_not_hold_commands_up() {
    let dev = Dev::ready();
    dev.run(&["zone", "cut", "a"]).ok();
    let took = support::timed(|| drop(dev.run(&["ps", "--stale"]).ok()));
    assert!(took < Duration::from_millis(900), "the next member is asked after a moment, not {took:?}");
    dev.run(&["zone", "return", "a"]).ok();
}
