//! Mistakes of people against three zones of the process runtime: each is refused with its reason, an exit code and the next
//! step, and changes nothing.

mod support;

use support::Dev;

/// One container, with more of its members, and more of the definition's.
fn definition(container: &str, more: &str) -> String {
    format!(
        r#"{{ "family": "web",{more} "containerDefinitions": [{{ "name": "a", "image": "process", "memory": 64{container} }}] }}"#
    )
}

/// Two containers, each with more of its members.
fn pair(a: &str, b: &str) -> String {
    let second = format!(r#"}}, {{ "name": "b", "image": "process", "memory": 64, {b}"#);
    definition(&format!(", {a} {second}"), "")
}

fn depends_on(name: &str) -> String {
    format!(r#""dependsOn": [{{ "containerName": "{name}", "condition": "START" }}]"#)
}

fn service(members: &str) -> String {
    format!(r#"{{ "serviceName": "api"{members} }}"#)
}

/// A dev with a service `web` of two programs.
fn dev() -> Dev {
    let mut dev = Dev::new();
    let port = dev.port().to_string();
    dev.start(&["--runtime", "process", "--port", &port]);
    dev.run(&["run", "process", "--name", "web", "--count", "2", "--", "/bin/sleep", "1000"]).ok();
    dev
}

#[test]
fn mistakes_are_refused_and_change_nothing() {
    let dev = dev();
    let ports = r#""portMappings": [{ "containerPort": 80, "hostPort": 8080 }]"#;
    let file = |name: &str, text: String| dev.file(name, &text);
    let unknown = file("unknown.json", definition(r#", "comand": []"#, ""));
    let cyclic = file("cyclic.json", pair(&depends_on("b"), &depends_on("a")));
    let clash = file("clash.json", pair(ports, ports));
    let memory = file("memory.json", definition("", r#" "memory": "32","#));
    let no_json = file("no.json", "family: web".into());
    let undefined = file("undefined.json", service(r#", "taskDefinition": "wbe", "desiredCount": 1"#));
    let negative = file("negative.json", service(r#", "taskDefinition": "web", "desiredCount": -1"#));
    let uncounted = file("uncounted.json", service(r#", "taskDefinition": "web""#));
    let cases: &[(&[&str], i32)] = &[
        (&["-c", "nowhere", "ps"], 1),
        (&["taskdef", "register", &unknown], 1),
        (&["taskdef", "register", &cyclic], 1),
        (&["taskdef", "register", &clash], 1),
        (&["taskdef", "register", &memory], 1),
        (&["taskdef", "register", &no_json], 1),
        (&["taskdef", "rm", "web:9", "--yes"], 1),
        (&["service", "create", &undefined], 1),
        (&["service", "create", &negative], 1),
        (&["service", "create", &uncounted], 1),
        (&["service", "set", "web", "taskDefinition=wbe"], 1),
        (&["service", "rm", "web", "--yes"], 1),
        (&["service", "rm", "wbe", "--yes"], 1),
        (&["task", "start", "wbe", "--on", "i-a1"], 1),
        (&["scale", "web=-1"], 2),
        (&["scale", "web=6000"], 1),
        (&["scale", "wbe=1"], 1),
        (&["run", "process", "--count", "11"], 2),
        (&["run", "process", "--count", "-1"], 2),
        (&["run", "process", "--name", "api", "--count", "6000"], 2),
        (&["run", "process", "--memory", "-5"], 1),
        (&["run", "process", "--name", "bad name"], 1),
        (&["cluster", "create", "bad name"], 1),
        (&["cluster", "rm", "default", "--yes"], 1),
        (&["instance", "attr", "i-a1", "rack"], 2),
        (&["zone", "kill", "z"], 1),
        (&["zone", "kill", ""], 1),
    ];
    let before = dev.resources();
    let told: Vec<String> = cases.iter().map(|(words, code)| dev.run(words).refused(*code)).collect();
    assert_eq!(dev.resources(), before);
    insta::assert_snapshot!(told.join("\n").replace(&dev.port().to_string(), "PORT"), @r#"
    cluster "nowhere" not found in http://127.0.0.1:PORT (clusters: default). next: seawall cluster ls
    task definition web: containerDefinitions[0].comand (line 1): unknown; did you mean command?
    task definition web: Containers wait for each other in a circle (dependsOn, links, volumesFrom): a -> b -> a
    task definition web: Invalid setting for container 'b'. Host port 8080/tcp is already used by container 'a' of this definition
    task definition web: Invalid setting for container 'a'. 'memory' 64 is greater than the task's 32
    task definition: line 1: no JSON: expected ident at line 1 column 3
    task definition "web:9" not found (there are: web:1). next: seawall taskdef ls
    service api: task definition "wbe" not found (there are: web:1). next: seawall taskdef ls
    service api: desiredCount is -1; it must be between 0 and 5000
    service api: desiredCount is required with the scheduling strategy REPLICA
    task definition "wbe" not found (there are: web:1). next: seawall taskdef ls
    The service cannot be stopped while it is scaled above 0. next: seawall scale web=0; or --force
    service "wbe" not found (there are: web). next: seawall service ls
    task definition "wbe" not found (there are: web:1). next: seawall taskdef ls
    web=-1: a count is a whole number from 0
    desiredCount is 6000; it must be between 0 and 5000
    service "wbe" not found (there are: web). next: seawall service ls
    --count 11: one run starts 1 to 10 tasks. next: --name NAME runs more, as a service
    --count -1: one run starts 1 to 10 tasks
    --count 6000: a service runs 0 to 5000 tasks
    task definition process: Invalid setting for container 'process'. 'memory' is -5; it must be at least 6 MiB
    task definition bad name: Invalid family 'bad name': it must have 1 to 255 letters, digits, hyphens and underscores
    Invalid cluster name 'bad name': it must have 1 to 255 letters, digits, hyphens and underscores
    The Cluster cannot be deleted while Services are active. next: seawall service ls
    "rack": use NAME=VALUE to set and NAME- to remove
    zone "z" not found (there are: us-local-1a, us-local-1b, us-local-1c)
    zone "" not found (there are: us-local-1a, us-local-1b, us-local-1c)
    "#);
}

#[test]
fn what_was_made_for_a_run_that_is_refused_is_taken_back() {
    let dev = dev();
    let before = dev.run(&["taskdef", "ls", "-q"]).ok();
    for more in [&[][..], &["--rm"], &["--name", "api"]] {
        let refused = dev.run(&[&["-c", "nowhere", "run", "process"], more].concat()).refused(1);
        assert!(refused.starts_with("cluster \"nowhere\" not found"), "{more:?}: {refused}");
        assert_eq!(dev.run(&["taskdef", "ls", "-q"]).ok(), before, "{more:?}");
    }
    for flag in ["--rm", "--attach"] {
        let refused = dev.run(&["run", "process", flag, "--", "/no/such/program"]).refused(1);
        let why = " did not start: CannotStartContainerError: exec \"/no/such/program\": No such file or directory";
        assert_eq!(refused.matches(why.trim_start_matches(" did not start: ")).count(), 1, "{refused}");
        assert!(refused.contains(why) && refused.contains(". next: seawall why "), "{refused}");
        let left = dev.run(&["taskdef", "ls", "process", "-q"]).ok();
        assert_eq!(left.lines().count(), usize::from(flag == "--attach"), "{flag}: {left}");
    }
}
