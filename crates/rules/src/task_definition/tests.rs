//! Messages for bad definitions, and the echo of a good one.

use seawall_model::{ApiError, ErrorCode};
use seawall_proto::{internal::v1::TaskSize, v1::RegisterTaskDefinitionRequest};
use serde_json::{Value, json};

/// Checked as a caller's request is: its shape, then what depends on several members.
fn checked(input: Value) -> Result<(Value, TaskSize), ApiError> {
    let request: RegisterTaskDefinitionRequest = serde_json::from_value(input).unwrap();
    crate::request("RegisterTaskDefinitionRequest", &request, &[])?;
    let (definition, size) = super::check(&request)?;
    Ok((serde_json::to_value(definition).unwrap(), size))
}

/// A definition of these containers, each with what is needed and not given.
fn definition(containers: &[Value]) -> Value {
    let filled = containers.iter().zip(0..).map(|(container, n)| {
        let mut filled = json!({"name": format!("c{n}"), "image": "busybox", "memory": 10});
        for (member, value) in container.as_object().unwrap() {
            filled[member] = value.clone();
        }
        filled
    });
    json!({"family": "web", "containerDefinitions": filled.collect::<Vec<_>>()})
}

/// The definition with more members of its own.
fn with(mut definition: Value, members: &Value) -> Value {
    for (member, value) in members.as_object().unwrap() {
        definition[member] = value.clone();
    }
    definition
}

fn refusal(input: Value) -> String {
    let error = checked(input.clone()).err().unwrap_or_else(|| panic!("not refused: {input}"));
    assert_eq!(error.code, ErrorCode::Client, "{error}");
    error.message
}

#[test]
fn defaults_are_echoed_as_ecs_does() {
    let (echo, size) = checked(definition(&[json!({
        "portMappings": [{"containerPort": 80}, {"containerPort": 53, "hostPort": 5353, "protocol": "udp"}],
        "healthCheck": {"command": ["CMD-SHELL", "true"]}
    })]))
    .unwrap();
    let container = &echo["containerDefinitions"][0];
    assert_eq!((&container["cpu"], &container["essential"]), (&json!(0), &json!(true)));
    for list in ["environment", "mountPoints", "volumesFrom"] {
        assert_eq!(container[list], json!([]), "{list}");
    }
    assert_eq!(
        container["portMappings"],
        json!([{"containerPort": 80, "hostPort": 0, "protocol": "tcp"},
               {"containerPort": 53, "hostPort": 5353, "protocol": "udp"}])
    );
    let check = &container["healthCheck"];
    assert_eq!((&check["interval"], &check["timeout"], &check["retries"]), (&json!(30), &json!(5), &json!(3)));
    assert_eq!((&echo["volumes"], &echo["placementConstraints"]), (&json!([]), &json!([])));
    assert_eq!(echo["compatibilities"], json!(["EXTERNAL", "EC2"]));
    assert!(echo.get("networkMode").is_none(), "left out where the caller did");
    assert_eq!((size.cpu, size.memory), (0, 10));
    assert_eq!(size.ports.len(), 2);
    assert_eq!((size.ports[1].host_port, size.ports[1].udp), (5353, true));
}

#[test]
fn empty_texts_are_as_absent() {
    let (echo, _) = checked(with(
        definition(&[json!({"portMappings": [{"containerPort": 80, "protocol": ""}]})]),
        &json!({"networkMode": ""}),
    ))
    .unwrap();
    assert!(echo.get("networkMode").is_none());
    assert_eq!(echo["containerDefinitions"][0]["portMappings"][0]["protocol"], "tcp");
}

#[test]
fn with_the_hosts_network_a_port_is_the_containers_own() {
    let host =
        |mapping: Value| with(definition(&[json!({"portMappings": [mapping]})]), &json!({"networkMode": "host"}));
    let (echo, size) = checked(host(json!({"containerPort": 80}))).unwrap();
    assert_eq!(echo["containerDefinitions"][0]["portMappings"][0]["hostPort"], 80);
    assert_eq!(size.ports[0].host_port, 80);
    assert_eq!(
        refusal(host(json!({"containerPort": 80, "hostPort": 81}))),
        "Invalid setting for container 'c0'. hostPort 81 must be left out or equal containerPort 80 with networkMode 'host'."
    );
    let none = with(definition(&[json!({"portMappings": [{"containerPort": 80}]})]), &json!({"networkMode": "none"}));
    assert!(refusal(none).contains("not possible with networkMode 'none'"));
}

#[test]
fn ports_that_clash_are_refused_and_those_of_two_protocols_are_not() {
    let mapping = |port: i32, host: i32, protocol: &str| json!({"portMappings": [{"containerPort": port, "hostPort": host, "protocol": protocol}]});
    assert_eq!(
        refusal(definition(&[mapping(80, 8080, "tcp"), mapping(81, 8080, "tcp")])),
        "Invalid setting for container 'c1'. Host port 8080/tcp is already used by container 'c0' of this definition."
    );
    checked(definition(&[mapping(80, 8080, "tcp"), mapping(80, 8080, "udp")])).unwrap();
    checked(definition(&[mapping(80, 0, "tcp"), mapping(80, 0, "tcp")])).unwrap();
    for (port, host) in [(0, 0), (65_536, 0), (80, -1), (80, 65_536)] {
        refusal(definition(&[mapping(port, host, "tcp")]));
    }
    assert!(refusal(definition(&[mapping(80, 0, "sctp")])).contains("tcp or udp"));
}

#[test]
fn memory_fits_into_the_task() {
    let invalid = |what: &str| format!("Invalid setting for container 'c0'. {what}");
    assert_eq!(
        refusal(definition(&[json!({"memory": null})])),
        invalid("At least one of 'memory' or 'memoryReservation' must be specified.")
    );
    assert_eq!(refusal(definition(&[json!({"memory": 5})])), invalid("'memory' is 5; it must be at least 6 MiB."));
    assert_eq!(
        refusal(definition(&[json!({"memory": 10, "memoryReservation": 20})])),
        invalid("'memoryReservation' 20 is greater than 'memory' 10.")
    );
    let task = |containers: &[Value], memory: &str| with(definition(containers), &json!({"memory": memory}));
    assert_eq!(
        refusal(task(&[json!({"memory": 600})], "512")),
        invalid("'memory' 600 is greater than the task's 512.")
    );
    assert_eq!(
        refusal(task(&[json!({"memory": 300}), json!({"memory": 300})], "512")),
        "The containers reserve 600 MiB of memory together; the task has 512."
    );
    let (echo, size) = checked(task(&[json!({"memory": null})], "1GB")).unwrap();
    assert_eq!((&echo["memory"], size.memory), (&json!("1024"), 1024), "the task's own size is what counts");
    let (_, size) = checked(definition(&[json!({"memory": 300, "memoryReservation": 100}), json!({})])).unwrap();
    assert_eq!(size.memory, 110, "reservations count where there are any");
    assert!(refusal(task(&[json!({})], "lots")).contains("memory"));
    let cpu = |cpu: &str| with(definition(&[json!({"cpu": 200})]), &json!({"cpu": cpu}));
    assert_eq!(refusal(cpu("128")), "The containers need 200 CPU units together; the task has 128.");
    assert!(refusal(cpu("64")).contains("between 128 and 196608"));
    assert_eq!(checked(cpu("1 vCPU")).unwrap().1.cpu, 1024);
}

#[test]
fn names_are_there_once() {
    assert_eq!(refusal(json!({"family": "web", "containerDefinitions": []})), "Container list cannot be empty.");
    assert!(refusal(with(definition(&[json!({})]), &json!({"family": "a b"}))).starts_with("Invalid family 'a b'"));
    assert_eq!(
        refusal(definition(&[json!({"name": "a"}), json!({"name": "a"})])),
        "Invalid setting for container 'a'. name is used by two containers."
    );
    assert_eq!(refusal(definition(&[json!({"name": ""})])), "Container.name should not be null or empty.");
    assert_eq!(refusal(definition(&[json!({"image": ""})])), "Container.image should not be null or empty.");
    assert!(refusal(definition(&[json!({"image": "a b"})])).contains("holds a space"));
    let many: Vec<Value> = (0..11).map(|_| json!({})).collect();
    assert_eq!(refusal(definition(&many)), "The task definition has 11 containers; the limit is 10.");
    let big = json!({"environment": [{"name": "A", "value": "x".repeat(70_000)}]});
    assert!(refusal(definition(&[big])).contains("the limit is"));
}

#[test]
fn what_is_named_exists() {
    let unknown = |member: &str, value: Value| {
        let mut container = json!({});
        container[member] = value;
        refusal(definition(&[container]))
    };
    assert_eq!(
        unknown("dependsOn", json!([{"containerName": "db", "condition": "START"}])),
        "Invalid setting for container 'c0'. Unknown container 'db' in dependsOn."
    );
    assert_eq!(
        unknown("links", json!(["db:alias"])),
        "Invalid setting for container 'c0'. Unknown container 'db' in links."
    );
    assert_eq!(
        unknown("volumesFrom", json!([{"sourceContainer": "db"}])),
        "Invalid setting for container 'c0'. Unknown container 'db' in volumesFrom."
    );
    assert_eq!(
        unknown("mountPoints", json!([{"sourceVolume": "data", "containerPath": "/data"}])),
        "Invalid setting for container 'c0'. Unknown volume 'data' in mountPoints."
    );
    assert_eq!(
        unknown("links", json!(["c0:"])),
        "Invalid setting for container 'c0'. The link 'c0:' has no alias after the colon."
    );
    let host = with(definition(&[json!({"links": ["c1"]}), json!({})]), &json!({"networkMode": "host"}));
    assert!(refusal(host).contains("links need networkMode 'bridge', not 'host'"));
}

#[test]
fn nothing_waits_for_itself() {
    let on = |name: &str| json!([{"containerName": name, "condition": "START"}]);
    let circle = definition(&[
        json!({"dependsOn": on("c1")}),
        json!({"links": ["c2"]}),
        json!({"volumesFrom": [{"sourceContainer": "c0"}]}),
    ]);
    assert_eq!(
        refusal(circle),
        "Containers wait for each other in a circle (dependsOn, links, volumesFrom): c0 -> c1 -> c2 -> c0."
    );
    assert!(refusal(definition(&[json!({"dependsOn": on("c0")})])).ends_with("c0 -> c0."));
    // Two ways to the same container are no circle.
    checked(definition(&[json!({"dependsOn": on("c2"), "links": ["c1"]}), json!({"dependsOn": on("c2")}), json!({})]))
        .unwrap();
}

#[test]
fn conditions_can_come_true() {
    let depends = |condition: &str, on: Value| {
        definition(&[json!({"dependsOn": [{"containerName": "c1", "condition": condition}]}), on])
    };
    let essential = |condition: &str| refusal(depends(condition, json!({})));
    assert!(essential("COMPLETE").contains("'c1' must not be essential, for the task ends with it"));
    assert!(essential("SUCCESS").contains("must not be essential"));
    assert!(refusal(depends("HEALTHY", json!({}))).contains("'c1' has no healthCheck"));
    checked(depends("SUCCESS", json!({"essential": false}))).unwrap();
    checked(depends("HEALTHY", json!({"healthCheck": {"command": ["CMD", "true"]}}))).unwrap();
    assert!(refusal(depends("READY", json!({}))).contains("START"), "the words are named");
    assert_eq!(
        refusal(definition(&[json!({"essential": false})])),
        "At least one container of a task definition must be essential."
    );
}

#[test]
fn health_checks_are_within_ecs_ranges() {
    let check = |member: &str, value: i32| {
        let mut check = json!({"command": ["CMD-SHELL", "true"]});
        check[member] = value.into();
        definition(&[json!({"healthCheck": check})])
    };
    for (member, low, high) in [("interval", 5, 300), ("timeout", 2, 60), ("retries", 1, 10), ("startPeriod", 0, 300)] {
        checked(check(member, low)).unwrap();
        checked(check(member, high)).unwrap();
        for out in [low - 1, high + 1] {
            assert_eq!(
                refusal(check(member, out)),
                format!(
                    "Invalid setting for container 'c0'. healthCheck.{member} is {out}; it must be between {low} and {high}."
                )
            );
        }
    }
    for command in [json!(["CMD"]), json!(["CMD-SHELL", "a", "b"]), json!(["true"]), json!([])] {
        assert!(
            refusal(definition(&[json!({"healthCheck": {"command": command}})]))
                .contains("healthCheck.command must be")
        );
    }
}

#[test]
fn volumes_are_one_thing_each() {
    let volume = |volume: Value| with(definition(&[json!({})]), &json!({"volumes": [volume]}));
    checked(volume(json!({"name": "data"}))).unwrap();
    checked(volume(json!({"name": "data", "host": {"sourcePath": "/srv"}}))).unwrap();
    assert!(
        refusal(volume(json!({"name": "data", "host": {"sourcePath": "srv"}}))).contains("must be an absolute path")
    );
    let both = json!({"name": "data", "host": {"sourcePath": "/srv"}, "dockerVolumeConfiguration": {"scope": "task"}});
    assert!(refusal(volume(both)).contains("exclude each other"));
    let provision = json!({"name": "data", "dockerVolumeConfiguration": {"scope": "task", "autoprovision": true}});
    assert!(refusal(volume(provision)).contains("needs scope 'shared'"));
    let twice = with(definition(&[json!({})]), &json!({"volumes": [{"name": "data"}, {"name": "data"}]}));
    assert_eq!(refusal(twice), "Volume 'data' is defined twice.");
    let mounts = json!({"mountPoints": [{"sourceVolume": "data", "containerPath": "/a"}, {"sourceVolume": "data", "containerPath": "/a"}]});
    let mounted = with(definition(&[mounts]), &json!({"volumes": [{"name": "data"}]}));
    assert!(refusal(mounted).contains("used by two mountPoints"));
}

#[test]
fn settings_that_would_fail_on_an_instance_are_refused() {
    for (container, text) in [
        (json!({"cpu": -1}), "cpu must not be negative"),
        (json!({"stopTimeout": -1}), "stopTimeout must not be negative"),
        (json!({"workingDirectory": "srv"}), "must be an absolute path"),
        (json!({"environment": [{"name": "A=B", "value": "c"}]}), "must not hold '='"),
        (json!({"environment": [{"name": "", "value": "c"}]}), "must not be empty"),
        (json!({"dockerLabels": {"seawall.task": "x"}}), "The label 'seawall.task' in dockerLabels is reserved."),
        (
            json!({"ulimits": [{"name": "nofile", "softLimit": 20, "hardLimit": 10}]}),
            "softLimit 20 is greater than hardLimit 10",
        ),
        (json!({"ulimits": [{"name": "nofile", "softLimit": -1, "hardLimit": 10}]}), "softLimit -1 is greater"),
        (
            json!({"ulimits": [{"name": "nofile", "softLimit": -2, "hardLimit": -2}]}),
            "a limit is -1 (unlimited) or more",
        ),
        (
            json!({"logConfiguration": {"logDriver": "syslog", "options": {"nope": "x"}}}),
            "Log driver syslog disallows options: nope",
        ),
        (json!({"logConfiguration": {"logDriver": "gelf"}}), "Log driver gelf requires options: gelf-address"),
        (
            json!({"logConfiguration": {"logDriver": "json-file", "options": {"max-size": "10kmg"}}}),
            "a number with k, m or g",
        ),
        (json!({"logConfiguration": {"logDriver": "json-file", "options": {"max-file": "0"}}}), "a number above 0"),
    ] {
        let message = refusal(definition(std::slice::from_ref(&container)));
        assert!(message.contains(text), "{container}: {message}");
    }
    checked(definition(&[
        json!({"logConfiguration": {"logDriver": "json-file", "options": {"max-size": "10m", "max-file": "3"}}}),
    ]))
    .unwrap();
}

#[test]
fn what_this_version_cannot_honour_is_refused_by_name() {
    for (container, member) in [
        (json!({"secrets": [{"name": "A", "valueFrom": "x"}]}), "secrets"),
        (json!({"resourceRequirements": [{"type": "GPU", "value": "1"}]}), "resourceRequirements"),
        (json!({"dockerSecurityOptions": ["credentialspec:file://x"]}), "dockerSecurityOptions"),
    ] {
        let error = checked(definition(&[container])).unwrap_err();
        assert_eq!(error.code, ErrorCode::UnsupportedFeature);
        assert!(error.message.contains(member), "{error}");
    }
    for (member, value) in
        [("requiresCompatibilities", json!(["MANAGED_INSTANCES"])), ("enableFaultInjection", json!(true))]
    {
        let error = checked(with(definition(&[json!({})]), &json!({member: value}))).unwrap_err();
        assert!(error.code == ErrorCode::UnsupportedFeature && error.message.contains(member), "{error}");
    }
    // What clients send for everything that they do not use.
    checked(definition(&[json!({"secrets": [], "readonlyRootFilesystem": false, "hostname": ""})])).unwrap();
}

#[test]
fn attributes_that_an_instance_must_have_follow_from_the_definition() {
    let driver = |name: &str| json!({"logConfiguration": {"logDriver": name}});
    let (echo, size) =
        checked(definition(&[driver("syslog"), driver("syslog"), driver("json-file"), json!({})])).unwrap();
    let expected =
        ["com.amazonaws.ecs.capability.logging-driver.json-file", "com.amazonaws.ecs.capability.logging-driver.syslog"];
    assert_eq!(size.required_attributes, expected);
    let api = "com.amazonaws.ecs.capability.docker-remote-api.1.18";
    assert_eq!(echo["requiresAttributes"], json!([{"name": api}, {"name": expected[0]}, {"name": expected[1]}]));
}

#[test]
fn attributes_that_every_instance_has_are_echoed_and_not_asked_for() {
    let log = json!({"logDriver": "awslogs", "options": {"awslogs-group": "g", "awslogs-region": "r"}});
    let container = json!({"logConfiguration": log, "privileged": true, "memoryReservation": 8,
                           "dockerSecurityOptions": ["apparmor:docker-default"]});
    let own = json!({"networkMode": "awsvpc", "pidMode": "task"});
    let (echo, size) = checked(with(definition(&[container]), &own)).unwrap();
    assert_eq!(
        size.required_attributes,
        [
            "com.amazonaws.ecs.capability.apparmor",
            "ecs.capability.pid-ipc-namespace-sharing",
            "ecs.capability.task-eni"
        ]
    );
    let names: Vec<&str> =
        echo["requiresAttributes"].as_array().unwrap().iter().map(|a| a["name"].as_str().unwrap()).collect();
    for name in ["logging-driver.awslogs", "docker-remote-api.1.19", "docker-remote-api.1.21", "privileged-container"] {
        assert!(names.contains(&format!("com.amazonaws.ecs.capability.{name}").as_str()), "{name}: {names:?}");
    }
    assert!(names.contains(&"ecs.capability.task-eni"), "{names:?}");
}

/// Refusals of one container, each by a part of its text.
fn each_is_refused(cases: &[(Value, &str)]) {
    for (container, text) in cases {
        let message = refusal(definition(std::slice::from_ref(container)));
        assert!(message.starts_with("Invalid setting for container 'c0'. "), "{message}");
        assert!(message.contains(text), "{container}: {message}");
    }
}

#[test]
fn names_and_parameters_of_a_container_are_looked_at() {
    let control = |name: &str, value: &str| json!({"namespace": name, "value": value});
    let policy = |period: i32| json!({"restartPolicy": {"enabled": true, "restartAttemptPeriod": period}});
    let ported = json!({"disableNetworking": true, "portMappings": [{"containerPort": 80}]});
    each_is_refused(&[
        (json!({"hostname": "a b"}), "hostname 'a b'"),
        (json!({"hostname": "x".repeat(64)}), "up to 63"),
        (json!({"dnsServers": ["dns.example"]}), "'dns.example' is no IP address"),
        (json!({"dnsSearchDomains": ["a b"]}), "'a b' is no domain"),
        (json!({"extraHosts": [{"hostname": "db", "ipAddress": "x"}]}), "not a name and an IP address"),
        (ported, "not possible with disableNetworking"),
        (json!({"dockerSecurityOptions": ["seccomp:x"]}), "apparmor:PROFILE"),
        (json!({"dockerSecurityOptions": ["apparmor:"]}), "apparmor:PROFILE"),
        (json!({"systemControls": [control("vm.swappiness", "1")]}), "'vm.swappiness'"),
        (json!({"systemControls": [control("net.a", "")]}), "no value"),
        (json!({"systemControls": [control("net.a", "1"), control("net.a", "1")]}), "twice"),
        (json!({"startTimeout": -1}), "startTimeout"),
        (policy(59), "between 60 and 1800"),
        (policy(1801), "between 60 and 1800"),
        (json!({"restartPolicy": {"enabled": true, "ignoredExitCodes": vec![0; 51]}}), "it may have 50"),
        (json!({"restartPolicy": {"ignoredExitCodes": [1]}}), "restartPolicy.enabled is required"),
    ]);
    let good = json!({
        "hostname": "web-1.example", "dnsServers": ["10.0.0.1", "::1"], "dnsSearchDomains": ["corp.example"],
        "extraHosts": [{"hostname": "db", "ipAddress": "10.0.0.2"}], "readonlyRootFilesystem": true,
        "interactive": true, "pseudoTerminal": true, "disableNetworking": true, "startTimeout": 30,
        "dockerSecurityOptions": ["no-new-privileges", "label:type:x"],
        "systemControls": [control("net.core.somaxconn", "1"), control("fs.mqueue.msg_max", "9")],
        "restartPolicy": {"enabled": true, "ignoredExitCodes": [0], "restartAttemptPeriod": 60}});
    let (echo, _) = checked(definition(std::slice::from_ref(&good))).unwrap();
    for (member, value) in good.as_object().unwrap() {
        assert_eq!(&echo["containerDefinitions"][0][member], value, "{member}");
    }
}

#[test]
fn linux_parameters_are_looked_at() {
    let linux = |member: &str, value: Value| json!({"linuxParameters": {member: value}});
    let tmpfs = |path: &str, size: i32, option: &str| {
        linux("tmpfs", json!([{"containerPath": path, "size": size, "mountOptions": [option]}]))
    };
    each_is_refused(&[
        (linux("capabilities", json!({"add": ["FLY"]})), "'FLY' is no Linux capability"),
        (linux("capabilities", json!({"drop": ["CAP_CHOWN"]})), "'CAP_CHOWN' is no"),
        (linux("devices", json!([{"hostPath": "dev/x"}])), "must be an absolute path"),
        (linux("devices", json!([{"hostPath": "/dev/x", "permissions": ["fly"]}])), "read, write or mknod"),
        (linux("sharedMemorySize", json!(0)), "at least 1 MiB"),
        (tmpfs("run", 1, "ro"), "must be an absolute path"),
        (tmpfs("/run", 0, "ro"), "at least 1 MiB"),
        (tmpfs("/run", 1, "fast"), "'fast' is no mount option"),
        (linux("swappiness", json!(101)), "between 0 and 100"),
        (linux("maxSwap", json!(-1)), "0 or more"),
    ]);
    let unlimited = json!({"memory": null, "memoryReservation": 10, "linuxParameters": {"maxSwap": 5}});
    assert!(refusal(definition(&[unlimited])).contains("needs 'memory'"));
    let mount = json!({"containerPath": "/a", "size": 1});
    let both = linux("tmpfs", json!([mount, mount]));
    assert!(refusal(definition(&[both])).contains("something else is mounted at '/a'"));
    checked(definition(&[json!({"linuxParameters": {
        "capabilities": {"add": ["ALL"], "drop": ["NET_RAW"]},
        "devices": [{"hostPath": "/dev/fuse", "permissions": ["read"]}],
        "initProcessEnabled": true, "sharedMemorySize": 64, "maxSwap": 0, "swappiness": 10,
        "tmpfs": [{"containerPath": "/run", "size": 16, "mountOptions": ["noexec", "mode=755"]}]}})]))
    .unwrap();
}

#[test]
fn what_is_shared_fits_together() {
    let task = |container: &Value, members: &Value| refusal(with(definition(&[container.clone(), json!({})]), members));
    let control = |name: &str, value: &str| json!({"systemControls": [{"namespace": name, "value": value}]});
    let shm = json!({"linuxParameters": {"sharedMemorySize": 64}});
    let own = json!({"networkMode": "awsvpc"});
    let hosts = json!({"extraHosts": [{"hostname": "a", "ipAddress": "10.0.0.1"}]});
    for (container, members, text) in [
        (control("net.core.somaxconn", "1"), json!({"networkMode": "host"}), "when networkMode=host"),
        (control("kernel.msgmax", "1"), json!({"ipcMode": "host"}), "when ipcMode=host"),
        (shm.clone(), json!({"ipcMode": "host"}), "when ipcMode=host"),
        (shm, json!({"ipcMode": "none"}), "when ipcMode=none"),
        (json!({}), json!({"pidMode": "container"}), "host or task"),
        (json!({"hostname": "h"}), own.clone(), "Hostname is not supported"),
        (json!({"links": ["c1"]}), own.clone(), "Links are not supported"),
        (json!({"disableNetworking": true}), own.clone(), "disableNetworking is not supported"),
        (hosts, own.clone(), "Extra hosts are not supported"),
    ] {
        let message = task(&container, &members);
        assert!(message.contains(text), "{message}");
    }
    let two = definition(&[control("net.core.somaxconn", "1"), control("net.core.somaxconn", "2")]);
    checked(two.clone()).unwrap();
    assert!(refusal(with(two, &own)).contains("sets 'net.core.somaxconn' differently"));
    let (echo, _) = checked(with(definition(&[json!({})]), &json!({"pidMode": "task", "ipcMode": "none"}))).unwrap();
    assert_eq!((&echo["pidMode"], &echo["ipcMode"]), (&json!("task"), &json!("none")));
}

#[test]
fn a_task_with_an_address_of_its_own_takes_no_port_of_its_instance() {
    let own = json!({"networkMode": "awsvpc"});
    let awsvpc = |mapping: Value| with(definition(&[json!({"portMappings": [mapping]})]), &own);
    let (echo, size) = checked(awsvpc(json!({"containerPort": 80}))).unwrap();
    assert_eq!(echo["containerDefinitions"][0]["portMappings"][0]["hostPort"], 80);
    assert_eq!((size.ports[0].container_port, size.ports[0].host_port), (80, 0));
    assert_eq!(echo["compatibilities"], json!(["EC2"]));
    assert_eq!(
        refusal(awsvpc(json!({"containerPort": 80, "hostPort": 81}))),
        "When networkMode=awsvpc, the host ports and container ports in port mappings must match."
    );
    let two = json!({"portMappings": [{"containerPort": 80}]});
    assert!(refusal(with(definition(&[two.clone(), two]), &own)).contains("already used by container 'c0'"));
}

#[test]
fn fargate_takes_its_own_sizes_only() {
    let asked = |cpu: &str, memory: &str| json!({"networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": cpu, "memory": memory});
    let plain = definition(&[json!({"memory": null})]);
    let size = |cpu: &str, memory: &str| with(plain.clone(), &asked(cpu, memory));
    let good = [("256", "512"), ("256", "2048"), ("512", "4096"), ("1 vCPU", "2 GB"), ("4096", "30720")];
    for (cpu, memory) in good.into_iter().chain([("8192", "20480"), ("16384", "40960")]) {
        let (echo, _) = checked(size(cpu, memory)).unwrap();
        assert_eq!(echo["compatibilities"], json!(["EC2", "FARGATE"]));
        assert_eq!(echo["requiresCompatibilities"], json!(["FARGATE"]));
    }
    let bad = [("256", "513"), ("256", "3072"), ("512", "5120"), ("300", "1024"), ("8192", "18432"), ("4096", "31744")];
    for (cpu, memory) in bad {
        assert_eq!(refusal(size(cpu, memory)), "No Fargate configuration exists for given values.", "{cpu} {memory}");
    }
    let mut without = size("256", "512");
    without["cpu"] = Value::Null;
    assert_eq!(refusal(without), "Fargate requires that 'cpu' be defined at the task level.");
    let mut bridge = size("256", "512");
    bridge["networkMode"] = "bridge".into();
    assert_eq!(refusal(bridge), "Fargate only supports network mode \u{2018}awsvpc\u{2019}.");
    for (container, member) in [
        (json!({"privileged": true}), "privileged"),
        (json!({"linuxParameters": {"devices": [{"hostPath": "/dev/x"}]}}), "devices"),
        (json!({"linuxParameters": {"capabilities": {"add": ["NET_ADMIN"]}}}), "capabilities"),
        (json!({"stopTimeout": 121}), "stopTimeout"),
        (json!({"logConfiguration": {"logDriver": "syslog"}}), "log driver"),
    ] {
        let message = refusal(with(definition(&[container]), &asked("256", "512")));
        assert!(message.starts_with("Fargate compatible task definitions do not support "), "{message}");
        assert!(message.contains(member), "{message}");
    }
    let storage = |gib: i32| with(definition(&[json!({})]), &json!({"ephemeralStorage": {"sizeInGiB": gib}}));
    assert_eq!(checked(storage(21)).unwrap().0["ephemeralStorage"], json!({"sizeInGiB": 21}));
    for gib in [20, 201] {
        assert!(refusal(storage(gib)).contains("between 21 and 200"));
    }
    let external = json!({"networkMode": "awsvpc", "requiresCompatibilities": ["EXTERNAL"]});
    assert!(refusal(with(definition(&[json!({})]), &external)).contains("External instances"));
}
