//! An engine that is away, restarts, or does not answer.

use std::{path::Path, sync::Arc, time::Duration};

use bollard::query_parameters::KillContainerOptions;
use seawall_agent::{
    AgentConfig, ImagePull,
    runtime::{EventKind, Fault, LogQuery, Runtime, RuntimeError, docker::DockerRuntime},
    spec::{ContainerSpec, Kept, Owner, TaskSpec},
};
use seawall_env::Env;
use seawall_proto::{
    internal::v1::{Assignment, TaskStatus},
    v1::{ContainerDefinition, TaskDefinition, Volume},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
};

use crate::{ground::Ground, proxy::Proxy};

const GRACE: Duration = Duration::from_secs(5);

fn kill() -> Option<KillContainerOptions> {
    Some(KillContainerOptions { signal: "SIGKILL".into() })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_while_the_engine_restarts_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(folder.path());
    let Some(ground) = Ground::with(|config| config.docker_socket = proxy.socket.clone()).await else { return };
    let tasks = [ground.run(vec![ground.sleeper("app")]), ground.run(vec![ground.sleeper("app")])];
    for task in tasks {
        ground.running(task).await;
    }
    proxy.cut();
    ground.docker.kill_container(&ground.name(tasks[0], "app"), kill()).await.unwrap();
    ground.end(tasks[1]);
    ground.until(tasks[1], |report| report.status() == TaskStatus::Stopping).await;
    assert_eq!(ground.report(tasks[0]).unwrap().status(), TaskStatus::Running, "nobody could know");
    proxy.heal();
    let ended = ground.stopped(tasks[0]).await;
    assert_eq!(ended.containers[0].exit_code, Some(137));
    ground.stopped(tasks[1]).await;
    // The stream that was opened again works.
    let third = ground.run(vec![ground.sleeper("app")]);
    ground.running(third).await;
    ground.docker.kill_container(&ground.name(third, "app"), kill()).await.unwrap();
    ground.stopped(third).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_tell_from_the_moment_of_the_call_and_end_with_the_engine() {
    let folder = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(folder.path());
    let Some(mut ground) = Ground::with(|config| config.docker_socket = proxy.socket.clone()).await else { return };
    ground.stop();
    let assignment = ground.assignment(vec![ground.sleeper("app")]);
    let spec = ground.spec(&assignment, 0);
    let mut events = ground.runtime.events(&ground.owner).await.unwrap();
    let other = Owner { instance: "other".into(), ..ground.owner.clone() };
    let mut of_others = ground.runtime.events(&other).await.unwrap();
    ground.runtime.create(&spec).await.unwrap();
    ground.runtime.start(&spec).await.unwrap();
    ground.runtime.stop(&spec, 0).await.unwrap();
    ground.runtime.remove(&spec).await.unwrap();
    ground.runtime.remove(&spec).await.unwrap();
    let mut kinds = Vec::new();
    for _ in 0..3 {
        let event = events.recv().await.unwrap();
        assert_eq!((event.task, event.index), (spec.task.id, 0));
        kinds.push(event.kind);
    }
    // Killed before it has become its program, a container ends with a code of runc's own.
    let [EventKind::Started, EventKind::Exited(Some(code)), EventKind::Removed] = kinds[..] else {
        panic!("{kinds:?}")
    };
    assert_ne!(code, 0);
    assert!(of_others.try_recv().is_err());
    proxy.cut();
    assert_eq!(events.recv().await, None);
    let error = ground.runtime.events(&ground.owner).await.unwrap_err();
    assert!(error.to_string().contains(&*proxy.socket.display().to_string()), "{error}");
    assert_eq!(ground.runtime.stop(&spec, 0).await.unwrap_err().fault, Fault::Stop);
}

/// An engine that tells its version and answers nothing else.
fn mute_engine(folder: &Path, tells_version: bool) -> AgentConfig {
    let mut config = AgentConfig::new("default", "a", folder);
    config.docker_socket = folder.join("mute.sock");
    let listener = UnixListener::bind(&config.docker_socket).unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(stream, tells_version));
        }
    });
    config
}

async fn answer(mut stream: UnixStream, tells_version: bool) {
    let mut request = vec![0; 16 * 1024];
    let mut length = 0;
    while !request[..length].ends_with(b"\r\n\r\n") {
        match stream.read(&mut request[length..]).await {
            Ok(more) if more > 0 => length += more,
            _ => return,
        }
    }
    if tells_version && request.starts_with(b"GET /v") && request[..length].windows(9).any(|w| w == b"/version ") {
        let body = r#"{"ApiVersion":"1.41"}"#;
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all((head + body).as_bytes()).await.unwrap();
    }
    // Holds the connection for as long as the other side does.
    let _ = stream.read(&mut request).await;
}

fn any_container() -> ContainerSpec {
    let definition = TaskDefinition {
        container_definitions: vec![ContainerDefinition { image: Some("x:1".into()), ..Default::default() }],
        volumes: vec![Volume { name: Some("data".into()), ..Default::default() }],
        ..Default::default()
    };
    let assignment = Assignment { definition: Some(definition), ..Default::default() };
    let kept = Kept { assignment: Some(assignment), epoch: 1 };
    ContainerSpec { task: Arc::new(TaskSpec::new(Owner::default(), kept)), index: 0 }
}

/// Under a paused clock, which goes on when nothing else can: a deadline of minutes passes at once.
#[tokio::test]
async fn an_engine_that_hangs_holds_up_no_call_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let env = Env::real_with_default_net();
    let runtime = DockerRuntime::connect(env.clone(), &mute_engine(folder.path(), true)).await.unwrap();
    tokio::time::pause();
    let container = any_container();
    let faults: Vec<(&str, Option<RuntimeError>)> = vec![
        ("describe", runtime.describe().await.err()),
        ("held", runtime.held("i").await.err()),
        ("pull", runtime.pull("x:1", ImagePull::Default).await.err()),
        ("create", runtime.create(&container).await.err()),
        ("start", runtime.start(&container).await.err()),
        ("inspect", runtime.inspect(&container).await.err()),
        ("remove", runtime.remove(&container).await.err()),
        ("remove_task", runtime.remove_task(&container.task).await.err()),
    ];
    for (call, error) in faults {
        assert_eq!(error.unwrap().fault, Fault::Timeout, "{call}");
    }
    let began = env.now();
    let grace_ms = u64::try_from(GRACE.as_millis()).unwrap();
    assert_eq!(runtime.stop(&container, grace_ms).await.unwrap_err().fault, Fault::Timeout);
    assert!(env.now() - began > GRACE, "a stop has its grace and more");
    let mut lines = runtime.logs(&container, LogQuery::default()).await.unwrap();
    assert_eq!(lines.recv().await.unwrap().unwrap_err().fault, Fault::Timeout);
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let env = Env::real_with_default_net();
    let mut config = AgentConfig::new("default", "a", folder.path());
    config.docker_socket = folder.path().join("no.sock");
    let error = DockerRuntime::connect(env.clone(), &config).await.err().unwrap().to_string();
    let path = config.docker_socket.display().to_string();
    assert!(error.contains(&format!("does not answer at {path}")) && error.contains("--docker-socket"), "{error}");
    drop(UnixListener::bind(&config.docker_socket).unwrap());
    let error = DockerRuntime::connect(env.clone(), &config).await.err().unwrap().to_string();
    assert!(error.contains("onnection refused") && error.contains("--docker-socket"), "{error}");
    let mute = mute_engine(folder.path(), false);
    tokio::time::pause();
    let error = DockerRuntime::connect(env, &mute).await.err().unwrap().to_string();
    assert!(error.contains("did not tell its version within") && error.contains("mute.sock"), "{error}");
}
