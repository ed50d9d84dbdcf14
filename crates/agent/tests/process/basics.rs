//! Starting, ending, refusing.

use seawall_agent::runtime::{EventKind, Fault, LogQuery, Phase, Runtime};
use seawall_proto::{
    internal::v1::{StopCode, TaskStatus},
    v1::{ContainerRestartPolicy, KeyValuePair, PortMapping},
};

use crate::machine::{Machine, UNTIL_TOLD, container, lines, new_assignment, owner, program, shell, started, text};

pub async fn exit_codes_are_told(machine: &Machine) {
    let runtime = machine.runtime();
    let mut events = runtime.events(&owner()).await.unwrap();
    let container = started(&runtime, shell(&format!("{UNTIL_TOLD}; exit 3"))).await;
    machine.event(&mut events, EventKind::Started).await;
    machine.tell(&container);
    machine.event(&mut events, EventKind::Exited(Some(3))).await;
    let observed = runtime.inspect(&container).await.unwrap().unwrap();
    assert_eq!((observed.phase, observed.exit_code, observed.oom), (Phase::Exited, Some(3), false));
    assert!(observed.started_at_ms > 0);
    let killed = started(&runtime, shell("kill -9 $$")).await;
    assert_eq!(machine.until_exited(&runtime, &killed).await.exit_code, Some(137));
    machine.event(&mut events, EventKind::Exited(Some(137))).await;
    machine.until_nothing_runs().await;
}

pub async fn the_environment_is_as_promised(machine: &Machine) {
    let runtime = machine.runtime_on("a", "127.0.0.1");
    let mut definition = program(&["env"]);
    let mapping =
        |container, host| PortMapping { container_port: Some(container), host_port: Some(host), ..Default::default() };
    definition.port_mappings = vec![mapping(80, 0), mapping(443, 0)];
    definition.environment = vec![KeyValuePair { name: Some("GREETING".into()), value: Some("a = b".into()) }];
    let container = started(&runtime, definition).await;
    let observed = machine.until_exited(&runtime, &container).await;
    let lines = lines(&runtime, &container, LogQuery::default()).await;
    let mut names: Vec<&str> = lines.iter().map(|line| text(line).split('=').next().unwrap()).collect();
    names.sort_unstable();
    let wanted = ["GREETING", "HOME", "PATH", "PORT", "SEAWALL_BIND_443", "SEAWALL_BIND_80", "SEAWALL_CONTAINER"];
    assert_eq!(names, wanted);
    let [first, second] = &observed.bindings[..] else { panic!("{:?}", observed.bindings) };
    assert!(first.host_port >= 49_153 && second.host_port >= 49_153);
    let has = |wanted: String| assert!(lines.iter().any(|line| text(line) == wanted), "no {wanted}");
    has(format!("PORT={}", first.host_port));
    has(format!("SEAWALL_BIND_80=127.0.0.1:{}", first.host_port));
    has(format!("SEAWALL_BIND_443=127.0.0.1:{}", second.host_port));
    has("GREETING=a = b".into());
}

pub async fn what_cannot_start_says_why(machine: &Machine) {
    let runtime = machine.runtime();
    let missing = container(program(&["no-such-program"]));
    runtime.create(&missing).await.unwrap();
    let error = runtime.start(&missing).await.unwrap_err();
    let text = "CannotStartContainerError: exec \"no-such-program\": No such file or directory (os error 2)";
    assert_eq!(error.to_string(), text);
    assert_eq!(runtime.inspect(&missing).await.unwrap().unwrap().phase, Phase::Created);
    let mut elsewhere = shell("exit 0");
    elsewhere.working_directory = Some("/no/such/folder".into());
    let elsewhere = container(elsewhere);
    runtime.create(&elsewhere).await.unwrap();
    let error = runtime.start(&elsewhere).await.unwrap_err().to_string();
    assert!(error.starts_with("CannotStartContainerError: working directory /no/such/folder: "), "{error}");
    let error = runtime.create(&container(program(&[]))).await.unwrap_err();
    assert_eq!(error.fault, Fault::Create);
    assert_eq!(runtime.start(&container(shell("exit 0"))).await.unwrap_err().fault, Fault::Gone);
    machine.until_nothing_runs().await;
}

pub async fn other_images_are_refused(machine: &Machine) {
    let runtime = machine.runtime();
    assert_eq!(runtime.pull("process", Default::default()).await, Ok(None));
    let error = runtime.pull("nginx:latest", Default::default()).await.unwrap_err().to_string();
    assert!(error.starts_with("CannotPullContainerError: image nginx:latest: "), "{error}");
    assert!(error.contains("image \"process\"") && error.contains("--runtime docker"), "{error}");
}

pub async fn unsupported_members_end_the_task_by_name(machine: &Machine) {
    let engine = machine.engine().await;
    let mut definition = shell("exit 0");
    definition.privileged = Some(true);
    let (id, assignment) = new_assignment(definition);
    engine.assign(1, vec![assignment]);
    let report = machine.report(&engine, id, TaskStatus::Stopped).await;
    let reason = "UnsupportedFeatureError: privileged of container app is not supported by the process runtime";
    assert_eq!((report.stopped_reason.as_str(), report.stop_code()), (reason, StopCode::TaskFailedToStart));
}

pub async fn a_container_is_started_once(machine: &Machine) {
    let (runtime, other) = (machine.runtime(), machine.runtime());
    let container = container(shell("echo started; sleep 1000"));
    runtime.create(&container).await.unwrap();
    // Two agents, as after a kill in the middle of a start.
    let (first, second) = tokio::join!(runtime.start(&container), other.start(&container));
    assert_eq!((first, second), (Ok(Vec::new()), Ok(Vec::new())));
    assert_eq!(runtime.start(&container).await, Ok(Vec::new()));
    runtime.stop(&container, 0).await.unwrap();
    assert_eq!(runtime.start(&container).await, Ok(Vec::new()));
    assert_eq!(lines(&runtime, &container, LogQuery::default()).await.len(), 1);
}

pub async fn removed_containers_leave_nothing(machine: &Machine) {
    let runtime = machine.runtime();
    let container = started(&runtime, shell("touch here; sleep 1000 & sleep 1000")).await;
    let folder = machine.container_folder(&container);
    machine.until("the program has made its file", async || folder.join("work/here").exists().then_some(())).await;
    runtime.remove(&container).await.unwrap();
    assert!(!folder.exists());
    machine.until_nothing_runs().await;
    assert_eq!(runtime.inspect(&container).await, Ok(None));
    runtime.remove(&container).await.unwrap();
    runtime.remove_task(&container.task).await.unwrap();
    assert!(!folder.parent().unwrap().exists());
}

pub async fn a_container_is_started_again_by_its_policy(machine: &Machine) {
    let engine = machine.engine().await;
    let line = "echo run | tee -a runs; sleep 1.2; test $(grep -c run runs) -lt 3 || exit 4; exit 3";
    let mut definition = shell(line);
    let mapping = |port| PortMapping { container_port: Some(port), ..Default::default() };
    definition.port_mappings = vec![mapping(80)];
    // ECS begins at 60 s; the agent counts whatever it is told.
    definition.restart_policy = Some(ContainerRestartPolicy {
        enabled: Some(true),
        ignored_exit_codes: vec![4],
        restart_attempt_period: Some(1),
    });
    let (id, assignment) = new_assignment(definition);
    engine.assign(1, vec![assignment]);
    let running = machine.report(&engine, id, TaskStatus::Running).await;
    assert_eq!(running.containers[0].bindings.len(), 1);
    let ended = machine.report(&engine, id, TaskStatus::Stopped).await;
    assert_eq!((ended.containers[0].exit_code, ended.stop_code()), (Some(4), StopCode::EssentialContainerExited));
    let mut said = engine.logs(id, "app", LogQuery::default()).await.unwrap().unwrap();
    let mut runs = Vec::new();
    while let Some(record) = said.recv().await {
        runs.push(text(&record.unwrap()).to_owned());
    }
    assert_eq!(runs, ["run", "run", "run"]);
}
