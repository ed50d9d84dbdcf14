//! Which container needs which: dependsOn, links and volumesFrom. A cycle could never start.

use seawall_model::ApiError;
use seawall_proto::v1::{ContainerDefinition, ContainerDependency};

use super::{BRIDGE, invalid};

/// What is named exists, conditions can come true, and nothing waits for itself.
pub fn check(network_mode: &str, containers: &[ContainerDefinition]) -> Result<(), ApiError> {
    for container in containers {
        for dependency in &container.depends_on {
            check_dependency(containers, container, dependency)?;
        }
        check_links(network_mode, containers, container)?;
    }
    match cycle(containers) {
        None => Ok(()),
        Some(path) => Err(ApiError::client(format!(
            "Containers wait for each other in a circle (dependsOn, links, volumesFrom): {}.",
            path.join(" -> ")
        ))),
    }
}

fn check_dependency(
    containers: &[ContainerDefinition],
    container: &ContainerDefinition,
    dependency: &ContainerDependency,
) -> Result<(), ApiError> {
    let (name, condition) = (dependency.container_name(), dependency.condition());
    let Some(on) = containers.iter().find(|c| c.name() == name) else {
        return Err(invalid(container, format!("Unknown container '{name}' in dependsOn.")));
    };
    match condition {
        "COMPLETE" | "SUCCESS" if on.essential.unwrap_or(true) => Err(invalid(
            container,
            format!(
                "dependsOn '{name}' with condition {condition}: '{name}' must not be essential, for the task ends with it."
            ),
        )),
        "HEALTHY" if on.health_check.is_none() => {
            Err(invalid(container, format!("dependsOn '{name}' with condition HEALTHY: '{name}' has no healthCheck.")))
        }
        _ => Ok(()),
    }
}

fn check_links(
    network_mode: &str,
    containers: &[ContainerDefinition],
    container: &ContainerDefinition,
) -> Result<(), ApiError> {
    if network_mode != BRIDGE && !container.links.is_empty() {
        return Err(invalid(container, format!("links need networkMode 'bridge', not '{network_mode}'.")));
    }
    for link in &container.links {
        let target = link_target(link);
        if !containers.iter().any(|c| c.name() == target) {
            return Err(invalid(container, format!("Unknown container '{target}' in links.")));
        }
        if link.ends_with(':') {
            return Err(invalid(container, format!("The link '{link}' has no alias after the colon.")));
        }
    }
    Ok(())
}

/// "name" or "name:alias"
fn link_target(link: &str) -> &str {
    link.split_once(':').map_or(link, |(name, _)| name)
}

/// Names of the containers that must be there before this one.
fn needs(container: &ContainerDefinition) -> impl Iterator<Item = &str> {
    let dependencies = container.depends_on.iter().map(|d| d.container_name());
    let links = container.links.iter().map(|link| link_target(link));
    dependencies.chain(links).chain(container.volumes_from.iter().map(|v| v.source_container()))
}

/// Names on a circle, the first one again at the end.
fn cycle(containers: &[ContainerDefinition]) -> Option<Vec<&str>> {
    let mut done = Vec::new();
    containers.iter().find_map(|c| visit(containers, c, &mut Vec::new(), &mut done))
}

fn visit<'a>(
    containers: &'a [ContainerDefinition],
    container: &'a ContainerDefinition,
    path: &mut Vec<&'a str>,
    done: &mut Vec<&'a str>,
) -> Option<Vec<&'a str>> {
    let name = container.name();
    if let Some(start) = path.iter().position(|on_path| *on_path == name) {
        return Some(path[start..].iter().copied().chain([name]).collect());
    }
    if done.contains(&name) {
        return None;
    }
    path.push(name);
    let next = |name| containers.iter().find(|c| c.name() == name);
    let found = needs(container).filter_map(next).find_map(|c| visit(containers, c, path, done));
    path.pop();
    done.push(name);
    found
}
