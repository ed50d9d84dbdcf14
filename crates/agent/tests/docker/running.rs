//! From a definition to a process and back.

use std::{collections::BTreeMap, time::Duration};

use seawall_agent::runtime::{EventKind, Runtime};
use seawall_proto::{
    internal::v1::{Health, StopCode, TaskStatus},
    v1::{ContainerDefinition, ContainerDependency, HealthCheck, LogConfiguration, Ulimit},
};

use crate::{
    ground::{Ground, pair},
    image,
};

const OUT_OF_MEMORY: &str = "OutOfMemoryError: Container killed due to memory usage";

#[tokio::test(flavor = "multi_thread")]
async fn the_members_of_a_definition_reach_the_process() {
    let Some(ground) = Ground::new().await else { return };
    let line = r#"echo "$GREETING in $(pwd) as $(id -u) with $(ulimit -n) on $(hostname) given $0"; exit 7"#;
    let app = ContainerDefinition {
        entry_point: ["sh", "-c"].map(str::to_owned).to_vec(),
        command: vec![line.to_owned(), "an argument".to_owned()],
        environment: vec![pair("GREETING", "hello = world")],
        working_directory: Some("/tmp".into()),
        user: Some("1000".into()),
        hostname: Some("box".into()),
        ulimits: vec![Ulimit { name: Some("nofile".into()), soft_limit: Some(77), hard_limit: Some(88) }],
        docker_labels: BTreeMap::from([("team".to_owned(), "blue".to_owned())]),
        cpu: Some(512),
        memory: Some(64),
        memory_reservation: Some(32),
        privileged: Some(true),
        ..ground.shell("app", "")
    };
    let task = ground.run(vec![app]);
    let ended = ground.stopped(task).await;
    assert_eq!(ended.stop_code(), StopCode::EssentialContainerExited);
    assert_eq!(ended.containers[0].exit_code, Some(7));
    let said = ground.log(task, "app").await;
    assert_eq!(said, ["hello = world in /tmp as 1000 with 77 on box given an argument"]);

    let found = ground.docker.inspect_container(&ground.name(task, "app"), None).await.unwrap();
    assert_eq!(found.id.unwrap(), ended.containers[0].runtime_id);
    let labels = found.config.unwrap().labels.unwrap();
    assert_eq!(labels["team"], "blue");
    assert_eq!(labels["seawall.cluster-id"], "c1");
    assert_eq!(labels["seawall.instance-id"], ground.owner.instance);
    assert_eq!(labels["com.amazonaws.ecs.task-definition-family"], "web");
    let host = found.host_config.unwrap();
    assert_eq!((host.cpu_shares, host.memory), (Some(512), Some(64 << 20)));
    assert_eq!((host.memory_reservation, host.privileged), (Some(32 << 20), Some(true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_over_its_memory_is_killed_and_the_task_says_so() {
    let Some(ground) = Ground::new().await else { return };
    let greedy = || ground.shell("app", "x=a; while true; do x=$x$x; done");
    let by_container = ground.run(vec![ContainerDefinition { memory: Some(16), ..greedy() }]);
    let mut of_task = ground.assignment(vec![greedy()]);
    of_task.definition.as_mut().unwrap().memory = Some("16".into());
    let by_task = ground.assign(of_task);
    for task in [by_container, by_task] {
        let ended = ground.stopped(task).await;
        assert_eq!(ended.containers[0].exit_code, Some(137));
        assert_eq!(ended.containers[0].reason, OUT_OF_MEMORY);
        assert_eq!(ended.stopped_reason, format!("Essential container in task exited: {OUT_OF_MEMORY}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_tells_of_a_lack_of_memory_in_an_event_too() {
    let Some(ground) = Ground::new().await else { return };
    let greedy = ground.shell("app", "x=a; while true; do x=$x$x; done");
    let assignment = ground.assignment(vec![ContainerDefinition { memory: Some(16), ..greedy }]);
    let spec = ground.spec(&assignment, 0);
    let mut events = ground.runtime.events(&ground.owner).await.unwrap();
    ground.runtime.create(&spec).await.unwrap();
    ground.runtime.start(&spec).await.unwrap();
    let mut missing = vec![EventKind::Started, EventKind::Oom, EventKind::Exited(Some(137))];
    while !missing.is_empty() {
        let event = ground.env.timeout(Duration::from_secs(60), events.recv()).await;
        let kind = event.unwrap_or_else(|_| panic!("no {missing:?}")).unwrap().kind;
        // The order of the last two is the engine's.
        missing.retain(|wanted| *wanted != kind);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ignores_sigterm_is_killed_after_its_stop_timeout() {
    let Some(ground) = Ground::new().await else { return };
    let deaf = ContainerDefinition {
        stop_timeout: Some(2),
        ..ground.shell("app", "trap '' TERM; echo ready; while true; do sleep 1; done")
    };
    let polite = ground.shell("polite", "trap 'exit 3' TERM; echo ready; while true; do sleep 0.1; done");
    let tasks = [ground.run(vec![deaf]), ground.run(vec![polite])];
    for (task, container) in tasks.into_iter().zip(["app", "polite"]) {
        ground.running(task).await;
        let is_ready = async || (ground.log(task, container).await == ["ready"]).then_some(());
        ground.eventually("the trap is set", is_ready).await;
    }
    let began = ground.env.now();
    tasks.into_iter().for_each(|task| ground.end(task));
    let ended = ground.stopped(tasks[1]).await;
    assert_eq!((ended.stop_code(), ended.containers[0].exit_code), (StopCode::Unspecified, Some(3)));
    let ended = ground.stopped(tasks[0]).await;
    assert_eq!((ended.containers[0].exit_code, ended.containers[0].reason.as_str()), (Some(137), ""));
    assert!((ground.env.now() - began).as_secs() >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_the_definitions_check_and_others_wait_for_it() {
    let Some(mut ground) = Ground::new().await else { return };
    let sick = format!("{}-sick", ground.image);
    image::import(&ground.docker, &sick, &["HEALTHCHECK --interval=1s --retries=1 CMD false"]).await;
    ground.images.push(sick.clone());
    let check = HealthCheck {
        command: ["CMD-SHELL", "test -e /tmp/well"].map(str::to_owned).to_vec(),
        interval: Some(1),
        timeout: Some(2),
        retries: Some(1),
        start_period: Some(60),
    };
    let db = ContainerDefinition {
        health_check: Some(check),
        ..ground.shell("db", "sleep 1; echo > /tmp/well; sleep 4; rm /tmp/well; sleep 1000")
    };
    let on_db = ContainerDependency { container_name: Some("db".into()), condition: Some("HEALTHY".into()) };
    let app = ContainerDefinition {
        image: Some(sick),
        essential: Some(false),
        depends_on: vec![on_db],
        ..ground.sleeper("app")
    };
    let task = ground.run(vec![app, db]);
    let runs = ground.running(task).await;
    assert_eq!(runs.containers[1].health(), Health::Healthy, "app waited for it");
    assert_eq!(runs.health(), Health::Healthy);
    let unwell = ground.until(task, |report| report.health() == Health::Unhealthy).await;
    assert_eq!(unwell.status(), TaskStatus::Running);
    let app = ground.docker.inspect_container(&ground.name(task, "app"), None).await.unwrap();
    let health = app.state.unwrap().health.and_then(|health| health.status);
    assert!(health.is_none_or(|status| status.as_ref() == "none"), "the image's own check does not run: {health:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_speak_over_links() {
    let Some(ground) = Ground::new().await else { return };
    let db = ContainerDefinition {
        essential: Some(false),
        ..ground.shell("db", "echo linked > /tmp/index.html; exec httpd -f -p 80 -h /tmp")
    };
    let ask = "until wget -q -O - http://store/; do sleep 0.1; done; until wget -q -O - http://db/; do sleep 0.1; done";
    let app = ContainerDefinition { links: vec!["db:store".into(), "db".into()], ..ground.shell("app", ask) };
    let task = ground.run(vec![app, db]);
    assert_eq!(ground.stopped(task).await.containers[0].exit_code, Some(0));
    assert_eq!(ground.log(task, "app").await, ["linked", "linked"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_says_why() {
    let Some(ground) = Ground::new().await else { return };
    let no_program =
        ground.run(vec![ContainerDefinition { command: vec!["/no/program".into()], ..ground.sleeper("app") }]);
    let ended = ground.stopped(no_program).await;
    assert_eq!((ended.stop_code(), ended.started_at_ms), (StopCode::TaskFailedToStart, 0));
    assert!(ended.stopped_reason.starts_with("CannotStartContainerError: "), "{}", ended.stopped_reason);
    assert!(ended.stopped_reason.contains("/no/program"), "{}", ended.stopped_reason);
    assert_eq!(ended.containers[0].reason, ended.stopped_reason);
    assert_eq!(ended.containers[0].exit_code, Some(127));

    let options = BTreeMap::from([("no-such-option".to_owned(), "1".to_owned())]);
    let log = LogConfiguration { log_driver: Some("json-file".into()), options, ..Default::default() };
    let refused = ground.run(vec![ContainerDefinition { log_configuration: Some(log), ..ground.sleeper("app") }]);
    let ended = ground.stopped(refused).await;
    assert!(ended.stopped_reason.starts_with("CannotCreateContainerError: "), "{}", ended.stopped_reason);
    assert!(ended.stopped_reason.contains("no-such-option"), "{}", ended.stopped_reason);

    let later = ContainerDefinition { credential_specs: vec!["spec".into()], ..ground.sleeper("app") };
    let ended = ground.stopped(ground.run(vec![later])).await;
    let reason = "UnsupportedFeatureError: credentialSpecs of container app";
    assert_eq!((ended.stop_code(), ended.stopped_reason.as_str()), (StopCode::TaskFailedToStart, reason));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_whose_answer_was_lost_makes_no_second_container() {
    let Some(ground) = Ground::new().await else { return };
    let assignment = ground.assignment(vec![ground.sleeper("app")]);
    let spec = ground.spec(&assignment, 0);
    let first = ground.runtime.create(&spec).await.unwrap();
    assert_eq!(ground.runtime.create(&spec).await.unwrap(), first);
    assert_eq!(ground.containers().await, [spec.runtime_name()]);

    let mut strangers = ground.spec(&assignment, 0);
    std::sync::Arc::get_mut(&mut strangers.task).unwrap().owner.cluster_id = "another".into();
    let error = ground.runtime.create(&strangers).await.unwrap_err();
    assert!(error.to_string().contains("that this agent did not make"), "{error}");
    assert_eq!(ground.runtime.inspect(&strangers).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_describes_itself() {
    let Some(ground) = Ground::new().await else { return };
    let described = ground.runtime.describe().await.unwrap();
    assert_eq!(described.kind, "docker");
    assert!(described.version.contains('.'), "{described:?}");
    for name in ["ecs.capability.task-eni", "ecs.capability.pid-ipc-namespace-sharing"] {
        assert!(described.capabilities.iter().any(|known| known == name), "{described:?}");
    }
    for driver in ["awslogs", "json-file"] {
        let name = format!("com.amazonaws.ecs.capability.logging-driver.{driver}");
        assert!(described.capabilities.contains(&name), "{described:?}");
    }
}
