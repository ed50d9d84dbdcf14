//! Which members of a definition a plain process cannot honour. Pure.
//!
//! The lists below name every member there is, so that one that a newer model brings does not compile until someone
//! decides about it.

use seawall_proto::v1::{ContainerDefinition, TaskDefinition};

use crate::{runtime::first_used, spec::TaskSpec};

/// The only log driver: it means the agent itself, which keeps every log.
const OWN_LOG_DRIVER: &str = "awslogs";

/// The first member that cannot be honoured. What `inert` names is left out by the operator's own wish.
pub fn unsupported(task: &TaskSpec, inert: &[String]) -> Option<String> {
    let of_task = task.assignment.definition.as_ref().and_then(|of| of_task(of, inert)).map(str::to_owned);
    let of_task = of_task.or_else(|| network_mode(&task.network_mode));
    let of_containers = || {
        task.containers.iter().find_map(|container| {
            of_container(container, inert).map(|member| format!("{member} of container {}", container.name()))
        })
    };
    of_task.or_else(of_containers).map(|what| format!("{what} is not supported by the process runtime"))
}

/// Bridge means published ports and host the machine's own: both are addresses of the machine here.
fn network_mode(mode: &str) -> Option<String> {
    (!matches!(mode, "bridge" | "host")).then(|| format!("networkMode {mode}"))
}

fn of_task(definition: &TaskDefinition, inert: &[String]) -> Option<&'static str> {
    let TaskDefinition {
        task_definition_arn: _,
        container_definitions: _,
        family: _,
        task_role_arn: _,
        execution_role_arn: _,
        network_mode: _,
        revision: _,
        volumes,
        status: _,
        requires_attributes: _,
        placement_constraints: _,
        compatibilities: _,
        runtime_platform: _,
        requires_compatibilities: _,
        cpu: _,
        memory: _,
        inference_accelerators,
        pid_mode,
        ipc_mode,
        proxy_configuration,
        registered_at: _,
        deregistered_at: _,
        delete_requested_at: _,
        registered_by: _,
        // The host's disk is what there is.
        ephemeral_storage: _,
        enable_fault_injection,
        trusted_execution_configuration,
        version: _,
    } = definition;
    first_used(
        inert,
        &[
            ("volumes", !volumes.is_empty()),
            ("inferenceAccelerators", !inference_accelerators.is_empty()),
            ("pidMode", is_text(pid_mode)),
            ("ipcMode", is_text(ipc_mode)),
            ("proxyConfiguration", proxy_configuration.is_some()),
            ("enableFaultInjection", *enable_fault_injection == Some(true)),
            ("trustedExecutionConfiguration", trusted_execution_configuration.is_some()),
        ],
    )
}

fn of_container(container: &ContainerDefinition, inert: &[String]) -> Option<&'static str> {
    let ContainerDefinition {
        // Honoured, by this runtime or by the engine above it; `pull` looks at the image.
        name: _,
        image: _,
        memory: _,
        port_mappings,
        essential: _,
        entry_point: _,
        command: _,
        environment: _,
        depends_on: _,
        start_timeout: _,
        stop_timeout: _,
        working_directory: _,
        health_check: _,
        restart_policy: _,
        // Without meaning here, and harmless: see the module's documentation.
        cpu: _,
        memory_reservation: _,
        docker_labels: _,
        version_consistency: _,
        // Refused where they are used.
        repository_credentials,
        links,
        environment_files,
        mount_points,
        volumes_from,
        linux_parameters,
        secrets,
        hostname,
        user,
        disable_networking,
        privileged,
        readonly_root_filesystem,
        dns_servers,
        dns_search_domains,
        extra_hosts,
        docker_security_options,
        interactive,
        pseudo_terminal,
        ulimits,
        log_configuration,
        system_controls,
        resource_requirements,
        firelens_configuration,
        credential_specs,
    } = container;
    let has_range = port_mappings.iter().any(|mapping| is_text(&mapping.container_port_range));
    let driver = log_configuration.as_ref().map(|log| log.log_driver());
    first_used(
        inert,
        &[
            ("portMappings.containerPortRange", has_range),
            ("repositoryCredentials", repository_credentials.is_some()),
            ("links", !links.is_empty()),
            ("environmentFiles", !environment_files.is_empty()),
            ("mountPoints", !mount_points.is_empty()),
            ("volumesFrom", !volumes_from.is_empty()),
            ("linuxParameters", linux_parameters.is_some()),
            ("secrets", !secrets.is_empty()),
            ("hostname", is_text(hostname)),
            ("user", is_text(user)),
            ("disableNetworking", *disable_networking == Some(true)),
            ("privileged", *privileged == Some(true)),
            ("readonlyRootFilesystem", *readonly_root_filesystem == Some(true)),
            ("dnsServers", !dns_servers.is_empty()),
            ("dnsSearchDomains", !dns_search_domains.is_empty()),
            ("extraHosts", !extra_hosts.is_empty()),
            ("dockerSecurityOptions", !docker_security_options.is_empty()),
            ("interactive", *interactive == Some(true)),
            ("pseudoTerminal", *pseudo_terminal == Some(true)),
            ("ulimits", !ulimits.is_empty()),
            ("logConfiguration.logDriver other than awslogs", driver.is_some_and(|driver| driver != OWN_LOG_DRIVER)),
            ("systemControls", !system_controls.is_empty()),
            ("resourceRequirements", !resource_requirements.is_empty()),
            ("firelensConfiguration", firelens_configuration.is_some()),
            ("credentialSpecs", !credential_specs.is_empty()),
        ],
    )
}

fn is_text(member: &Option<String>) -> bool {
    member.as_ref().is_some_and(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use seawall_proto::v1::{LogConfiguration, MountPoint, Ulimit, Volume};

    use super::*;
    use crate::engine::testing::{container, task};

    fn refusal(change: impl FnOnce(&mut ContainerDefinition)) -> Option<String> {
        let mut definition = container("app");
        change(&mut definition);
        unsupported(&task(vec![container("other"), definition]), &[])
    }

    #[test]
    fn what_a_process_cannot_honour_is_refused_by_name() {
        let named = |member: &str| Some(format!("{member} of container app is not supported by the process runtime"));
        assert_eq!(refusal(|c| c.links = vec!["other".into()]), named("links"));
        assert_eq!(refusal(|c| c.mount_points = vec![MountPoint::default()]), named("mountPoints"));
        assert_eq!(refusal(|c| c.privileged = Some(true)), named("privileged"));
        assert_eq!(refusal(|c| c.ulimits = vec![Ulimit::default()]), named("ulimits"));
        assert_eq!(refusal(|c| c.user = Some("nobody".into())), named("user"));
        let log = |driver: &str| Some(LogConfiguration { log_driver: Some(driver.into()), ..Default::default() });
        let refused = named("logConfiguration.logDriver other than awslogs");
        assert_eq!(refusal(|c| c.log_configuration = log("syslog")), refused);
        assert_eq!(refusal(|c| c.log_configuration = log("awslogs")), None);
    }

    #[test]
    fn what_is_not_used_or_does_no_harm_is_taken() {
        assert_eq!(refusal(|c| c.privileged = Some(false)), None);
        assert_eq!(refusal(|c| c.user = Some(String::new())), None);
        assert_eq!(refusal(|c| c.docker_labels = BTreeMap::from([("a".into(), "b".into())])), None);
        assert_eq!(refusal(|c| c.cpu = Some(512)), None);
    }

    #[test]
    fn members_of_the_task_are_looked_at_as_well() {
        let refused = |what: &str| Some(format!("{what} is not supported by the process runtime"));
        let mut spec = task(vec![container("app")]);
        spec.network_mode = "none".into();
        assert_eq!(unsupported(&spec, &[]), refused("networkMode none"));
        let mut spec = task(vec![container("app")]);
        spec.assignment.definition.as_mut().unwrap().volumes = vec![Volume::default()];
        assert_eq!(unsupported(&spec, &[]), refused("volumes"));
    }
}
