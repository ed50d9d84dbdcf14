//! `--dry-run` of every command there is: what writes prints its requests and sends none, what cannot print them refuses.

mod support;

use serde_json::Value;
use support::{Dev, program, run, until};

/// Commands that change nothing.
const READS: &[&str] = &[
    "status",
    "member ls",
    "cluster ls",
    "cluster show",
    "cluster capacity",
    "instance ls",
    "instance show",
    "taskdef ls",
    "taskdef show",
    "ps",
    "task ls",
    "task show",
    "service ls",
    "service show",
    "service endpoints",
    "token ls",
    "access-key ls",
    "job ls",
    "job show",
    "job logs",
    "schedule ls",
    "schedule show",
    "schedule next",
    "logs",
    "events",
    "why",
    "replay",
    "wait",
    "completion",
    "version",
    "simulate",
    "usage",
    "zone ls",
    "zone check",
    "env",
    "check",
];
/// Commands that act on this machine.
const LOCAL: &[&[&str]] = &[
    &["server", "--name", "s", "--zone", "z", "--data-dir", "DIR", "--secret-file", "DIR/secret"],
    &["agent", "--zone", "z", "--data-dir", "DIR", "--servers", "127.0.0.1:1"],
    &["proxy", "--server", "127.0.0.1:1"],
    &["aws", "ecs", "list-clusters"],
    &["bench"],
    &["dev", "--data-dir", "DIR"],
    &["demo"],
    &["secret", "new", "DIR/secret"],
    &["zone", "kill", "a"],
    &["zone", "cut", "a"],
];
/// Commands that change the cluster, in which TASK, TOKEN, DEFINITION and SERVICE stand for what there is.
const WRITES: &[&[&str]] = &[
    &["api", "create-cluster", "-d", r#"{"clusterName":"new"}"#],
    &["token", "create"],
    &["token", "rm", "TOKEN"],
    &["access-key", "create"],
    &["access-key", "off", "AKIA0000000000000000"],
    &["access-key", "on", "AKIA0000000000000000"],
    &["access-key", "rm", "AKIA0000000000000000"],
    &["member", "add", "127.0.0.1:1"],
    &["member", "rm", "c"],
    &["member", "replace", "c", "127.0.0.1:1"],
    &["member", "transfer", "b"],
    &["cluster", "create", "new"],
    &["cluster", "rm", "empty"],
    &["instance", "drain", "i-a1"],
    &["instance", "activate", "i-a1"],
    &["instance", "reclaim", "i-a1"],
    &["instance", "rm", "i-a1", "--force"],
    &["instance", "attr", "i-a1", "rack=r1", "row-"],
    &["instance", "replace-lost"],
    &["taskdef", "register", "DEFINITION"],
    &["taskdef", "rm", "web:1"],
    &["run", "image"],
    &["run", "image", "--name", "new"],
    &["run", "web:1", "--name", "web", "--count", "3"],
    &["run", "DEFINITION", "--rm"],
    &["task", "start", "web:1", "--on", "i-a1"],
    &["task", "stop", "TASK"],
    &["service", "create", "SERVICE"],
    &["service", "set", "web", "desiredCount=3"],
    &["service", "rm", "web", "--force"],
    &["scale", "web=3"],
    &["tag", "web", "team=shop", "owner-"],
    &["zone", "fence", "a"],
    &["zone", "evacuate", "a"],
    &["zone", "return", "a"],
    &["job", "run", "web"],
    &["job", "stop", "migrate"],
    &["schedule", "create", "new", "rate(1 day)", "web"],
    &["schedule", "set", "nightly", "--time-zone", "UTC"],
    &["schedule", "enable", "nightly"],
    &["schedule", "disable", "nightly"],
    &["schedule", "rm", "nightly"],
    &["schedule", "run-now", "nightly"],
];
const DEFINITION: &str =
    r#"{ "family": "other", "containerDefinitions": [{ "name": "c", "image": "i", "memoryReservation": 64 }] }"#;
const SERVICE: &str = r#"{ "serviceName": "other", "taskDefinition": "web", "desiredCount": 1 }"#;

/// Every command that help shows, down to its verbs.
fn commands(path: &[String]) -> Vec<String> {
    let mut help = program();
    help.args(path).arg("-h");
    let help = run(help).ok();
    let Some((_, listed)) = help.split_once("Commands:\n") else { return vec![path.join(" ")] };
    // What a line is too short for goes on below, further in.
    let entries = listed.lines().take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
    let names = entries.filter_map(|line| line.split_whitespace().next());
    let below = names.filter(|name| *name != "help").flat_map(|name| commands(&[path, &[name.to_owned()]].concat()));
    below.collect()
}

#[test]
fn every_command_is_known_to_read_or_to_write() {
    for command in commands(&[]) {
        let begins = |words: &&&[&str]| words.join(" ").split_at_checked(command.len()).is_some_and(|s| s.0 == command);
        let lists = usize::from(READS.contains(&command.as_str()))
            + usize::from(LOCAL.iter().any(|words| begins(&words)))
            + usize::from(WRITES.iter().any(|words| begins(&words)));
        assert_eq!(lists, 1, "`{command}` belongs into one list of this file");
    }
}

#[test]
fn what_acts_on_this_machine_refuses_a_dry_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made").display().to_string();
    for words in LOCAL {
        let mut command = program();
        command.arg("--dry-run").args(words.iter().map(|word| word.replace("DIR", &path)));
        let refused = run(command).refused(2);
        let want = format!("--dry-run: `seawall {}` acts on this machine and has no request to print", words[0]);
        assert!(refused.starts_with(&want), "{words:?}: {refused}");
    }
    assert!(!folder.path().join("made").exists());
}

#[test]
fn what_writes_prints_its_requests_and_sends_none() {
    let dev = Dev::ready();
    dev.run(&["run", "image", "--name", "web", "--count", "2"]).ok();
    dev.run(&["cluster", "create", "empty"]).ok();
    dev.run(&["token", "create"]).ok();
    dev.run(&["schedule", "create", "nightly", "rate(1 day)", "web"]).ok();
    dev.run(&["job", "run", "web", "--name", "migrate", "--detach"]).ok();
    let tasks = until("the job has a task", || {
        let tasks = dev.run(&["ps", "-q"]).ok();
        if tasks.lines().count() == 3 { Ok(tasks) } else { Err(tasks) }
    });
    tasks.lines().for_each(|task| drop(dev.run(&["wait", "tasks-running", task]).ok()));
    let first = |words: &[&str]| dev.run(words).ok().lines().next().unwrap().to_owned();
    let (task, token) = (first(&["ps", "-q"]), first(&["token", "ls", "-q"]));
    let (definition, service) = (dev.file("definition.json", DEFINITION), dev.file("service.json", SERVICE));
    let before = dev.resources();
    for words in WRITES {
        let stands_for = |word: &&str| match *word {
            "TASK" => task.clone(),
            "TOKEN" => token.clone(),
            "DEFINITION" => definition.clone(),
            "SERVICE" => service.clone(),
            word => word.to_owned(),
        };
        let words: Vec<String> = words.iter().map(stands_for).chain(["--dry-run".to_owned()]).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let printed = dev.run(&words).ok();
        let requests: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(&printed).into_iter().collect();
        let is_told = requests.is_ok_and(|requests| !requests.is_empty() && requests.iter().all(Value::is_object));
        assert!(is_told, "{words:?} printed {printed}");
        assert_eq!(dev.resources(), before, "{words:?} changed something");
    }
}
