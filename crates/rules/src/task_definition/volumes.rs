//! Volumes, and the containers that mount them.

use seawall_model::{ApiError, is_ecs_name};
use seawall_proto::v1::{ContainerDefinition, Volume};

use super::invalid;

/// Each volume is one thing, and what containers mount exists.
pub fn check(volumes: &[Volume], containers: &[ContainerDefinition]) -> Result<(), ApiError> {
    for (i, volume) in volumes.iter().enumerate() {
        check_volume(volume)?;
        if volumes[..i].iter().any(|other| other.name == volume.name) {
            return Err(ApiError::client(format!("Volume '{}' is defined twice.", volume.name())));
        }
    }
    containers.iter().try_for_each(|container| {
        check_mounts(volumes, container)?;
        check_volumes_from(containers, container)
    })
}

fn check_volume(volume: &Volume) -> Result<(), ApiError> {
    let name = volume.name();
    let bad = |what: &str| Err(ApiError::client(format!("Invalid volume '{name}'. {what}")));
    if !is_ecs_name(name) {
        return bad("name must have 1 to 255 letters, digits, hyphens and underscores.");
    }
    let source = volume.host.as_ref().map_or("", |h| h.source_path());
    let Some(docker) = &volume.docker_volume_configuration else {
        let absolute = source.is_empty() || source.starts_with('/');
        return if absolute { Ok(()) } else { bad(&format!("host.sourcePath '{source}' must be an absolute path.")) };
    };
    if volume.host.is_some() {
        return bad("host and dockerVolumeConfiguration exclude each other.");
    }
    if docker.autoprovision() && docker.scope() != "shared" {
        return bad("dockerVolumeConfiguration.autoprovision needs scope 'shared'.");
    }
    Ok(())
}

fn check_mounts(volumes: &[Volume], container: &ContainerDefinition) -> Result<(), ApiError> {
    for (i, mount) in container.mount_points.iter().enumerate() {
        let (source, path) = (mount.source_volume(), mount.container_path());
        if !volumes.iter().any(|v| v.name() == source) {
            return Err(invalid(container, format!("Unknown volume '{source}' in mountPoints.")));
        }
        if !path.starts_with('/') {
            return Err(invalid(container, format!("containerPath '{path}' in mountPoints must be an absolute path.")));
        }
        if container.mount_points[..i].iter().any(|other| other.container_path() == path) {
            return Err(invalid(container, format!("containerPath '{path}' is used by two mountPoints.")));
        }
    }
    Ok(())
}

fn check_volumes_from(containers: &[ContainerDefinition], container: &ContainerDefinition) -> Result<(), ApiError> {
    for from in &container.volumes_from {
        let source = from.source_container();
        if !containers.iter().any(|c| c.name() == source) {
            return Err(invalid(container, format!("Unknown container '{source}' in volumesFrom.")));
        }
    }
    Ok(())
}
