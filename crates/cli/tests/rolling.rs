//! Every member and every agent is killed in turn, each in the middle of a rollout: all rollouts end as they were asked for.

mod support;

use serde_json::{Value, json};
use support::{Dev, signal, until};

const TASKS: u64 = 6;

fn register(dev: &Dev, program: &str, version: usize) {
    let definition = json!({
        "family": "web",
        "networkMode": "bridge",
        "containerDefinitions": [{
            "name": "web",
            "image": "process",
            "command": [program, "web"],
            "memory": 64,
            "portMappings": [{"containerPort": 8080, "hostPort": 0}],
            "environment": [{"name": "WEB_VERSION", "value": version.to_string()}],
        }],
    });
    let file = dev.file("web.json", &definition.to_string());
    dev.run(&["taskdef", "register", &file]).ok();
}

fn service(dev: &Dev) -> Value {
    dev.run(&["service", "show", "web", "-o", "json"]).json()["services"][0].clone()
}

#[test]
fn a_rollout_survives_the_death_of_any_process() {
    let mut dev = Dev::new();
    let port = dev.port().to_string();
    dev.start(&["--runtime", "process", "--port", &port, "--restart-after", "1s"]);
    let program = env!("CARGO_BIN_EXE_seawall");
    register(&dev, program, 1);
    let spec = json!({
        "serviceName": "web",
        "taskDefinition": "web",
        "desiredCount": TASKS,
        "deploymentConfiguration": {"minimumHealthyPercent": 50, "maximumPercent": 150},
    });
    let file = dev.file("service.json", &spec.to_string());
    dev.run(&["service", "create", &file]).ok();
    let board = dev.board().unwrap();
    let processes: Vec<&str> =
        board["processes"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(processes.len(), 6, "{processes:?}");
    for (name, version) in processes.iter().zip(2..) {
        register(&dev, program, version);
        let definition = format!("web:{version}");
        dev.run(&["service", "set", "web", &format!("taskDefinition={definition}"), "--detach"]).ok();
        signal(u32::try_from(dev.pid_of(name).expect("it runs")).unwrap(), "KILL");
        dev.run(&["wait", "services-stable", "web", "--timeout", "60s"]).ok();
        // One more runs for a moment where a task moves back into the zone that was lost.
        let shown = until("as many run as are desired", || match service(&dev) {
            shown if shown["runningCount"] == TASKS => Ok(shown),
            shown => Err(format!("{name}: {shown}")),
        });
        assert_eq!(shown["deployments"].as_array().unwrap().len(), 1, "{name}: {shown}");
        assert!(shown["taskDefinition"].as_str().unwrap().ends_with(&definition), "{name}: {shown}");
    }
    assert_eq!(dev.end("INT"), Some(0));
    dev.assert_no_process_left();
}
