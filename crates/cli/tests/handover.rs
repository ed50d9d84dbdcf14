//! Handing over to other tools, against three zones of the fake runtime: what env prints, whom aws becomes, raw operations,
//! and one address that lives through the loss of a zone.

mod support;

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command, time::Duration};

use support::{Dev, Guard, program, run, timed, until};

/// What no call through the proxy may take.
const CALL_MAX: Duration = Duration::from_secs(5);
/// Set by whoever runs the tests.
const FOREIGN: [&str; 4] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_PAGER"];

fn without_own_keys(mut command: Command) -> Command {
    for name in FOREIGN {
        command.env_remove(name);
    }
    command
}

#[test]
fn a_shell_evaluates_what_env_prints() {
    let dev = Dev::ready();
    let url = format!("http://127.0.0.1:{}", dev.port());
    let printed = run(without_own_keys(dev.command(&["env"]))).ok();
    let mut shell = without_own_keys(Command::new("sh"));
    let show = "$AWS_ENDPOINT_URL_ECS $AWS_ENDPOINT_URL_STS $AWS_REGION $AWS_ACCESS_KEY_ID ${AWS_ENDPOINT_URL-unset}";
    shell.arg("-c").arg(format!("eval \"$1\"; echo {show}")).args(["sh", &printed]).env_remove("AWS_ENDPOINT_URL");
    assert_eq!(run(shell).ok(), format!("{url} {url} us-local-1 seawall unset\n"));

    let json = run(without_own_keys(dev.command(&["env", "-o", "json"]))).json();
    assert_eq!(json["AWS_ENDPOINT_URL_STS"], url.as_str());
    assert!(dev.run(&["env", "--terraform"]).ok().contains(&format!("ecs = \"{url}\"")));
    assert!(dev.run(&["env", "--profile"]).ok().contains(&format!("endpoint_url = {url}")));
    let socket = dev.folder().join("members/a/seawall.sock");
    let by_socket = dev.run(&["--addr", &format!("unix:{}", socket.display()), "env"]).ok();
    assert!(by_socket.contains(&format!("AWS_ENDPOINT_URL_ECS={url}\n")), "{by_socket}");
}

#[test]
fn aws_gets_its_arguments_the_endpoint_and_gives_its_exit_code() {
    let dev = Dev::ready();
    let tools = dev.folder().join("tools");
    fs::create_dir(&tools).unwrap();
    let aws = tools.join("aws");
    let says = "#!/bin/sh\necho \"$@\"; echo \"$AWS_ENDPOINT_URL_ECS $AWS_REGION $AWS_EC2_METADATA_DISABLED <$AWS_PAGER>\"; exit 37\n";
    fs::write(&aws, says).unwrap();
    fs::set_permissions(&aws, fs::Permissions::from_mode(0o755)).unwrap();
    let url = format!("http://127.0.0.1:{}", dev.port());
    let call = |words: &[&str], path: &str| {
        let mut command = without_own_keys(dev.command(words));
        command.env("PATH", path).env_remove("AWS_EC2_METADATA_DISABLED");
        run(command)
    };
    let path = format!("{}:/usr/bin:/bin", tools.display());
    let ended = call(&["aws", "ecs", "list-clusters", "--output", "text", "--cluster", "x"], &path);
    assert_eq!(ended.code, 37);
    let expected =
        format!("--endpoint-url {url} ecs list-clusters --output text --cluster x\n{url} us-local-1 true <>\n");
    assert_eq!(ended.stdout, expected);
    let empty = dev.folder().join("agents").display().to_string();
    let refused = call(&["aws", "ecs", "help"], &empty).refused(1);
    assert!(refused.starts_with("there is no program `aws` in PATH. next: "), "{refused}");
}

#[test]
fn any_operation_goes_raw() {
    let dev = Dev::ready();
    let listed = dev.run(&["api", "list-clusters"]).json();
    assert_eq!(listed["clusterArns"].as_array().unwrap().len(), 1);
    for name in ["one", "two"] {
        let request = dev.file(name, &format!(r#"{{"clusterName": "{name}"}}"#));
        let made = dev.run(&["api", "CreateCluster", "-d", &format!("@{request}"), "-o", "json"]).json();
        assert_eq!(made["cluster"]["clusterName"], name);
    }
    let paged = dev.run(&["api", "ListClusters", "-d", r#"{"maxResults": 1}"#]).json();
    assert!(paged["nextToken"].is_string(), "{paged}");
    let all = dev.run(&["api", "ListClusters", "-d", r#"{"maxResults": 1}"#, "--all-pages"]).json();
    assert_eq!(all["clusterArns"].as_array().unwrap().len(), 3);
    assert!(all.get("nextToken").is_none(), "{all}");

    let missing = dev.run(&["api", "list-services", "-d", r#"{"cluster": "nowhere"}"#]).refused(1);
    assert!(missing.starts_with("ClusterNotFoundException: "), "{missing}");
    let typo = dev.run(&["api", "lst-clusters"]).refused(2);
    assert!(typo.starts_with("\"lst-clusters\" is no operation of ECS (nearest: ListClusters, "), "{typo}");
    let not_here = dev.run(&["api", "execute-command"]).refused(1);
    assert!(not_here.starts_with("UnsupportedFeatureException: ExecuteCommand is not supported"), "{not_here}");
    assert_eq!(dev.run(&["api", "list-clusters", "-d", "[]"]).refused(2), "-d: a request is a JSON object");
}

#[test]
fn one_address_lives_through_the_loss_of_a_zone() {
    let dev = Dev::ready();
    let servers: Vec<String> = [0, 10, 20].map(|offset| format!("127.0.0.1:{}", dev.port() + offset)).to_vec();
    let address = format!("127.0.0.1:{}", dev.port() + 2);
    let mut proxy = program();
    // One member is enough to learn the others.
    proxy.args(["proxy", "--listen", &address, "--server", &servers[0], "--zone", "us-local-1a"]);
    let log = dev.folder().join("proxy.log");
    let mut proxy = Guard(proxy.stderr(fs::File::create(&log).unwrap()).spawn().unwrap());
    let call = |words: &[&str]| dev.run(&[&["--addr", &address], words].concat());
    until("every member serves", || {
        let said = fs::read_to_string(&log).unwrap();
        let serves =
            |server: &String| said.lines().any(|line| line.contains("serves") && line.contains(server.as_str()));
        if servers.iter().all(serves) { Ok(()) } else { Err(said) }
    });
    for (loss, name) in [("cut", "one"), ("kill", "two")] {
        dev.run(&["zone", loss, "a"]).ok();
        let request = format!(r#"{{"clusterName": "{name}"}}"#);
        // Again on a new connection where one breaks, as SDKs do.
        let took = timed(|| {
            until("a write goes through", || {
                let made = call(&["api", "create-cluster", "-d", &request]);
                if made.code == 0 { Ok(()) } else { Err(format!("{made:?}")) }
            });
        });
        assert!(took < CALL_MAX, "zone {loss}: {took:?}");
        dev.run(&["zone", "return", "a"]).ok();
    }
    support::signal(proxy.0.id(), "TERM");
    let took = timed(|| assert!(proxy.0.wait().unwrap().success()));
    assert!(took < Duration::from_secs(2), "it ends at once: {took:?}");
}

#[test]
fn files_are_checked_without_a_cluster() {
    let dev = Dev::new();
    let check = |words: &[&str]| {
        run({
            let mut command = program();
            command.arg("check").args(words);
            command
        })
    };
    let fine = dev.file("fine.yaml", "family: web\ncontainerDefinitions:\n- {name: a, image: x, memory: 64}\n");
    assert_eq!(check(&[&fine]).ok(), "4 members work, 0 stored without effect, 0 refused\n");
    let containers =
        r#"[{\"name\":\"a\",\"image\":\"x\",\"memory\":64,\"secrets\":[{\"name\":\"A\",\"valueFrom\":\"x\"}]}]"#;
    let plan = format!(
        r#"{{"planned_values": {{"root_module": {{"resources": [{{"mode": "managed", "address": "aws_ecs_task_definition.web",
            "type": "aws_ecs_task_definition", "values": {{"family": "web", "container_definitions": "{containers}"}}}}]}}}}}}"#
    );
    let plan = dev.file("plan.json", &plan);
    let refused = check(&[&plan, "-o", "jsonl"]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.stdout.contains(r#""member":"containerDefinitions[0].secrets","verdict":"refused""#),
        "{refused:?}"
    );
    assert_eq!(refused.stderr, "1 member is refused\n");
    let both = check(&[&fine, &plan]);
    assert!(both.stdout.contains("aws_ecs_task_definition.web") && both.code == 1, "{both:?}");
    assert!(check(&["/no/such/file"]).refused(1).ends_with("there is no such file"));
}
