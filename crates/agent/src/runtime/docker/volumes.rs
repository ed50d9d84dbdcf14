//! Volumes: what a container mounts, and the engine's volumes that must be made before and removed after.
//!
//! A volume of a task is one of the engine's under a name of its own, so that the task's containers share it; it goes
//! with the task. One of scope `shared` keeps its name and stays.

use std::collections::{BTreeMap, HashMap};

use bollard::{
    models::{Volume as EngineVolume, VolumeCreateRequest},
    query_parameters::RemoveVolumeOptions,
};
use seawall_proto::v1::{DockerVolumeConfiguration, MountPoint, Volume};

use super::{
    api::{ANSWER, Api},
    labels,
};
use crate::{
    runtime::{Fault, RuntimeError, RuntimeResult},
    spec::{ContainerSpec, TaskSpec},
};

/// Volumes are folders on the engine's machine, whose names may have 255 bytes; a name of the definition alone may.
const NAME_CHARS_SHOWN: usize = 100;

/// What a volume is to the engine.
#[derive(Debug, PartialEq)]
enum Kind<'a> {
    /// A folder of the host.
    Host(&'a str),
    /// The task's own.
    OfTask(Option<&'a DockerVolumeConfiguration>),
    /// One that tasks share.
    Shared(&'a DockerVolumeConfiguration),
}

/// The mounts of a container in the form of `docker run --volume`.
pub fn binds(container: &ContainerSpec) -> Option<Vec<String>> {
    let task = &container.task;
    let bind = |mount: &MountPoint| {
        let volume = task.volume(mount.source_volume())?;
        let source = source(task, volume);
        let end = if mount.read_only() { ":ro" } else { "" };
        Some(format!("{source}:{}{end}", mount.container_path()))
    };
    let binds: Vec<String> = container.definition().mount_points.iter().filter_map(bind).collect();
    (!binds.is_empty()).then_some(binds)
}

/// The containers whose volumes a container mounts too.
pub fn from(container: &ContainerSpec) -> Option<Vec<String>> {
    let task = &container.task;
    let named = container.definition().volumes_from.iter().filter_map(|from| {
        let name = task.runtime_name(task.index_of(from.source_container())?);
        Some(if from.read_only() { format!("{name}:ro") } else { name })
    });
    let named: Vec<String> = named.collect();
    (!named.is_empty()).then_some(named)
}

/// Makes the volumes that a container mounts be there.
pub async fn provide(api: &Api, container: &ContainerSpec) -> RuntimeResult<()> {
    let task = &container.task;
    for mount in &container.definition().mount_points {
        let Some(volume) = task.volume(mount.source_volume()) else { continue };
        match kind(volume) {
            Kind::Host(_) => {}
            Kind::OfTask(configuration) => make(api, task_request(task, volume, configuration)).await?,
            Kind::Shared(configuration) => share(api, volume, configuration).await?,
        }
    }
    Ok(())
}

/// Removes the task's own volumes.
pub async fn remove(api: &Api, task: &TaskSpec) -> RuntimeResult<()> {
    for volume in task.volumes.iter().filter(|volume| matches!(kind(volume), Kind::OfTask(_))) {
        let name = source(task, volume);
        let options = RemoveVolumeOptions { force: false };
        match api.ask("remove a volume", ANSWER, api.docker.remove_volume(&name, Some(options))).await {
            Err(error) if !error.is_not_found() => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

async fn share(api: &Api, volume: &Volume, configuration: &DockerVolumeConfiguration) -> RuntimeResult<()> {
    let name = volume.name();
    match api.ask("show a volume", ANSWER, api.docker.inspect_volume(name)).await {
        Ok(found) => match difference(&found, configuration) {
            None => Ok(()),
            Some(what) => Err(refused(format!("the volume {name} is there with another {what} than its definition's"))),
        },
        Err(error) if !error.is_not_found() => Err(error.of(Fault::Create)),
        Err(_) if configuration.autoprovision() => make(api, request(name.to_owned(), Some(configuration))).await,
        Err(_) => Err(refused(format!(
            "the volume {name} of scope shared is not on this instance; make it, or set autoprovision"
        ))),
    }
}

/// Making one that is there already succeeds, so an answer that was lost does no harm.
async fn make(api: &Api, request: VolumeCreateRequest) -> RuntimeResult<()> {
    let made = api.ask("make a volume", ANSWER, api.docker.create_volume(request)).await;
    made.map(|_| ()).map_err(|error| error.of(Fault::Create))
}

fn refused(why: String) -> RuntimeError {
    RuntimeError::new(Fault::Create, why)
}

fn kind(volume: &Volume) -> Kind<'_> {
    let path = volume.host.as_ref().map_or("", |host| host.source_path());
    match &volume.docker_volume_configuration {
        _ if !path.is_empty() => Kind::Host(path),
        Some(configuration) if configuration.scope() == "shared" => Kind::Shared(configuration),
        configuration => Kind::OfTask(configuration.as_ref()),
    }
}

/// What `--volume` names before the colon.
fn source(task: &TaskSpec, volume: &Volume) -> String {
    match kind(volume) {
        Kind::Host(path) => path.to_owned(),
        Kind::Shared(_) => volume.name().to_owned(),
        Kind::OfTask(_) => {
            let place = task.volumes.iter().position(|other| other.name == volume.name).unwrap_or_default();
            let shown: String = volume.name().chars().take(NAME_CHARS_SHOWN).collect();
            format!("seawall-{}-{place}-{shown}", task.id)
        }
    }
}

fn task_request(
    task: &TaskSpec,
    volume: &Volume,
    configuration: Option<&DockerVolumeConfiguration>,
) -> VolumeCreateRequest {
    let mut request = request(source(task, volume), configuration);
    let own = [
        (labels::CLUSTER_ID, task.owner.cluster_id.clone()),
        (labels::INSTANCE_ID, task.owner.instance.clone()),
        (labels::TASK_ID, task.id.to_string()),
    ];
    request.labels.get_or_insert_default().extend(own.map(|(name, value)| (name.to_owned(), value)));
    request
}

fn request(name: String, configuration: Option<&DockerVolumeConfiguration>) -> VolumeCreateRequest {
    VolumeCreateRequest {
        name: Some(name),
        driver: configuration.map(driver).map(str::to_owned),
        driver_opts: configuration.map(|c| c.driver_opts.clone().into_iter().collect()),
        labels: configuration.map(|c| c.labels.clone().into_iter().collect()),
        ..Default::default()
    }
}

fn driver(configuration: &DockerVolumeConfiguration) -> &str {
    if configuration.driver().is_empty() { "local" } else { configuration.driver() }
}

/// What a volume that is there lacks to be the one that a definition means: ECS compares the same.
fn difference(found: &EngineVolume, wanted: &DockerVolumeConfiguration) -> Option<&'static str> {
    let has = |have: &HashMap<String, String>, want: &BTreeMap<String, String>| {
        want.iter().all(|(name, value)| have.get(name) == Some(value))
    };
    if found.driver != driver(wanted) {
        return Some("driver");
    }
    if !has(&found.options, &wanted.driver_opts) {
        return Some("driverOpts");
    }
    (!has(&found.labels, &wanted.labels)).then_some("labels")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use seawall_proto::v1::{HostVolumeProperties, VolumeFrom};

    use super::*;
    use crate::engine::testing;

    fn volume(name: &str, path: Option<&str>, scope: Option<&str>) -> Volume {
        Volume {
            name: Some(name.into()),
            host: path.map(|path| HostVolumeProperties { source_path: Some(path.into()) }),
            docker_volume_configuration: scope
                .map(|scope| DockerVolumeConfiguration { scope: Some(scope.into()), ..Default::default() }),
            ..Default::default()
        }
    }

    fn mount(volume: &str, path: &str, read_only: bool) -> MountPoint {
        MountPoint { source_volume: Some(volume.into()), container_path: Some(path.into()), read_only: Some(read_only) }
    }

    fn spec() -> ContainerSpec {
        let mut app = testing::container("app");
        app.mount_points = vec![
            mount("host", "/a", true),
            mount("empty", "/b", false),
            mount("task", "/c", false),
            mount("shared", "/d", false),
        ];
        app.volumes_from = vec![VolumeFrom { source_container: Some("data".into()), read_only: Some(true) }];
        let mut task = testing::task(vec![app, testing::container("data")]);
        task.volumes = vec![
            volume("host", Some("/srv"), None),
            volume("empty", None, None),
            volume("task", None, Some("task")),
            volume("shared", None, Some("shared")),
        ];
        ContainerSpec { task: Arc::new(task), index: 0 }
    }

    #[test]
    fn each_kind_of_volume_is_mounted_by_its_own_name() {
        let id = spec().task.id;
        let want = [
            "/srv:/a:ro".to_owned(),
            format!("seawall-{id}-1-empty:/b"),
            format!("seawall-{id}-2-task:/c"),
            "shared:/d".to_owned(),
        ];
        assert_eq!(binds(&spec()).unwrap(), want);
        assert_eq!(from(&spec()).unwrap(), [format!("seawall-web-1-data-{id}:ro")]);
    }

    #[test]
    fn names_of_volumes_fit_a_folders_name() {
        let mut task = testing::task(vec![testing::container("app")]);
        task.volumes = vec![volume(&"v".repeat(255), None, None)];
        assert!(source(&task, &task.volumes[0]).len() < 255);
    }

    #[test]
    fn a_shared_volume_must_be_the_one_that_is_meant() {
        let found = EngineVolume {
            name: "shared".into(),
            driver: "local".into(),
            options: HashMap::from([("type".to_owned(), "tmpfs".to_owned())]),
            ..Default::default()
        };
        let mut wanted = DockerVolumeConfiguration::default();
        assert_eq!(difference(&found, &wanted), None);
        wanted.driver_opts.insert("type".into(), "nfs".into());
        assert_eq!(difference(&found, &wanted), Some("driverOpts"));
        wanted.driver = Some("other".into());
        assert_eq!(difference(&found, &wanted), Some("driver"));
    }
}
