//! Volumes of the host, of the engine, and of other containers.

use seawall_proto::v1::{
    ContainerDefinition, ContainerDependency, DockerVolumeConfiguration, HostVolumeProperties, MountPoint, Volume,
    VolumeFrom,
};

use crate::ground::Ground;

fn mount(volume: &str, path: &str, read_only: bool) -> MountPoint {
    MountPoint { source_volume: Some(volume.into()), container_path: Some(path.into()), read_only: Some(read_only) }
}

fn empty(name: &str) -> Volume {
    Volume { name: Some(name.into()), ..Default::default() }
}

fn docker(name: &str, configuration: DockerVolumeConfiguration) -> Volume {
    Volume { docker_volume_configuration: Some(configuration), ..empty(name) }
}

fn shared(autoprovision: bool) -> DockerVolumeConfiguration {
    DockerVolumeConfiguration { scope: Some("shared".into()), autoprovision: Some(autoprovision), ..Default::default() }
}

fn after(name: &str) -> ContainerDependency {
    ContainerDependency { container_name: Some(name.into()), condition: Some("COMPLETE".into()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_the_host_is_mounted() {
    let Some(ground) = Ground::new().await else { return };
    let folder = ground.folder.path().join("shared");
    std::fs::create_dir(&folder).unwrap();
    let line = "echo from inside > /w/file; echo x > /r/file && exit 1; cat /r/file";
    let app = ContainerDefinition {
        mount_points: vec![mount("data", "/w", false), mount("data", "/r", true)],
        ..ground.shell("app", line)
    };
    let mut assignment = ground.assignment(vec![app]);
    let host = HostVolumeProperties { source_path: Some(folder.display().to_string()) };
    assignment.definition.as_mut().unwrap().volumes = vec![Volume { host: Some(host), ..empty("data") }];
    let task = ground.assign(assignment);
    assert_eq!(ground.stopped(task).await.containers[0].exit_code, Some(0));
    assert_eq!(std::fs::read_to_string(folder.join("file")).unwrap(), "from inside\n");
    assert!(ground.log(task, "app").await.contains(&"from inside".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_of_the_task_is_shared_in_it_and_goes_with_it() {
    let Some(ground) = Ground::with(|config| config.stopped_tasks_kept = 0).await else { return };
    let mounts = || vec![mount("empty", "/a", false), mount("task", "/b", false)];
    let writer = ContainerDefinition {
        essential: Some(false),
        mount_points: mounts(),
        ..ground.shell("writer", "echo a > /a/file; echo b > /b/file")
    };
    let reader = ContainerDefinition {
        depends_on: vec![after("writer")],
        mount_points: mounts(),
        ..ground.shell("reader", "cat /a/file /b/file && exec sleep 1000")
    };
    let mut assignment = ground.assignment(vec![reader, writer]);
    let configuration = DockerVolumeConfiguration { scope: Some("task".into()), ..Default::default() };
    assignment.definition.as_mut().unwrap().volumes = vec![empty("empty"), docker("task", configuration)];
    let task = ground.assign(assignment);
    ground.running(task).await;
    let read = async || (ground.log(task, "reader").await == ["a", "b"]).then_some(());
    ground.eventually("what the other wrote", read).await;
    let volume = format!("seawall-{task}-1-task");
    let labels = ground.docker.inspect_volume(&volume).await.unwrap().labels;
    assert_eq!(labels["seawall.instance-id"], ground.owner.instance);
    ground.end(task);
    ground.stopped(task).await;
    let is_gone = async || ground.docker.inspect_volume(&volume).await.err().map(|_| ());
    ground.eventually("the volume is removed", is_gone).await;
    assert!(ground.containers().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_volume_stays_and_must_be_the_right_one() {
    let Some(mut ground) = Ground::with(|config| config.stopped_tasks_kept = 0).await else { return };
    let name = format!("shared-{}", ground.owner.instance);
    ground.volumes.push(name.clone());
    let with = |configuration: DockerVolumeConfiguration, line: &str| {
        let app = ContainerDefinition { mount_points: vec![mount(&name, "/v", false)], ..ground.shell("app", line) };
        let mut assignment = ground.assignment(vec![app]);
        assignment.definition.as_mut().unwrap().volumes = vec![docker(&name, configuration)];
        ground.assign(assignment)
    };
    let ended = ground.stopped(with(shared(false), "true")).await;
    let reason = &ended.stopped_reason;
    assert!(reason.starts_with(&format!("CannotCreateContainerError: the volume {name} of scope shared")), "{reason}");
    let ended = ground.stopped(with(shared(true), "echo kept > /v/file")).await;
    assert_eq!(ended.containers[0].exit_code, Some(0));
    let ended = ground.stopped(with(shared(false), "test $(cat /v/file) = kept")).await;
    assert_eq!(ended.containers[0].exit_code, Some(0), "the next task finds what the first left");
    let other = DockerVolumeConfiguration { driver: Some("another".into()), ..shared(true) };
    let ended = ground.stopped(with(other, "true")).await;
    assert!(ended.stopped_reason.contains("is there with another driver"), "{}", ended.stopped_reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_of_another_container_are_mounted_as_they_are() {
    let Some(mut ground) = Ground::with(|config| config.stopped_tasks_kept = 0).await else { return };
    let image = format!("{}-data", ground.image);
    crate::image::import(&ground.docker, &image, &["VOLUME /data"]).await;
    ground.images.push(image.clone());
    let data = ContainerDefinition {
        image: Some(image),
        essential: Some(false),
        ..ground.shell("data", "echo theirs > /data/file")
    };
    let from = VolumeFrom { source_container: Some("data".into()), read_only: Some(true) };
    let app = ContainerDefinition {
        volumes_from: vec![from],
        depends_on: vec![after("data")],
        ..ground.shell("app", "cat /data/file; echo x > /data/file || exec sleep 1000")
    };
    let task = ground.run(vec![app, data]);
    ground.running(task).await;
    let read = async || ground.log(task, "app").await.contains(&"theirs".to_owned()).then_some(());
    ground.eventually("what the other wrote", read).await;
    let mounts = ground.docker.inspect_container(&ground.name(task, "data"), None).await.unwrap().mounts.unwrap();
    let volume = mounts[0].name.clone().unwrap();
    ground.end(task);
    ground.stopped(task).await;
    let is_gone = async || ground.docker.inspect_volume(&volume).await.err().map(|_| ());
    ground.eventually("the nameless volume is removed with its container", is_gone).await;
}
