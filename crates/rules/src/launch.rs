//! Launch type, platform version and network configuration against the definition that they are for: RunTask, StartTask,
//! CreateService and UpdateService ask the same.

use seawall_model::ApiError;
use seawall_proto::v1::{AwsVpcConfiguration, NetworkConfiguration, TaskDefinition};

use super::task_definition::{AWSVPC, fargate::FARGATE};

/// ECS's limits.
const SUBNETS_MAX: usize = 16;
const SECURITY_GROUPS_MAX: usize = 5;
/// `assignPublicIp` unless asked for.
const DISABLED: &str = "DISABLED";

/// How tasks of a definition are to run.
pub struct Launch<'a> {
    /// EC2 where none was named.
    pub launch_type: &'a str,
    /// As it was named, or empty.
    pub platform_version: &'a str,
    /// As it was given.
    pub network: Option<&'a NetworkConfiguration>,
}

/// # Errors
/// `InvalidParameterException` where they do not go together.
pub fn check(definition: &TaskDefinition, launch: &Launch<'_>) -> Result<(), ApiError> {
    let Launch { launch_type, platform_version, network } = launch;
    if *launch_type == FARGATE && !definition.compatibilities.iter().any(|known| known == FARGATE) {
        return Err(ApiError::invalid("Task definition does not support launch_type FARGATE."));
    }
    if *launch_type != FARGATE && !platform_version.is_empty() {
        return Err(ApiError::invalid(format!(
            "The platform version must be null when specifying an {launch_type} launch type."
        )));
    }
    match network.and_then(|network| network.awsvpc_configuration.as_ref()) {
        Some(_) if definition.network_mode() != AWSVPC => Err(ApiError::invalid(
            "Network Configuration is not valid for the given networkMode of this task definition.",
        )),
        Some(configuration) => check_awsvpc(launch_type, configuration),
        None if definition.network_mode() == AWSVPC => {
            Err(ApiError::invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified."))
        }
        None => Ok(()),
    }
}

fn check_awsvpc(launch_type: &str, configuration: &AwsVpcConfiguration) -> Result<(), ApiError> {
    if configuration.subnets.is_empty() {
        return Err(ApiError::invalid("subnets can not be empty."));
    }
    for (member, items, limit) in [
        ("subnets", &configuration.subnets, SUBNETS_MAX),
        ("securityGroups", &configuration.security_groups, SECURITY_GROUPS_MAX),
    ] {
        if items.len() > limit {
            return Err(ApiError::invalid(format!("{member} can have at most {limit} items.")));
        }
    }
    if launch_type != FARGATE && configuration.assign_public_ip() == "ENABLED" {
        return Err(ApiError::invalid("Assign public IP is not supported for this launch type."));
    }
    Ok(())
}

/// The configuration with ECS's defaults; `None` where nothing is in it: clients take an empty object for a full one.
pub fn filled(network: Option<&NetworkConfiguration>) -> Option<NetworkConfiguration> {
    let mut configuration = network?.awsvpc_configuration.clone()?;
    if configuration.assign_public_ip().is_empty() {
        configuration.assign_public_ip = Some(DISABLED.into());
    }
    Some(NetworkConfiguration { awsvpc_configuration: Some(configuration) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(mode: &str, compatibilities: &[&str]) -> TaskDefinition {
        TaskDefinition {
            network_mode: Some(mode.into()),
            compatibilities: compatibilities.iter().map(|name| (*name).to_owned()).collect(),
            ..Default::default()
        }
    }

    fn network(subnets: usize, public: &str) -> NetworkConfiguration {
        NetworkConfiguration {
            awsvpc_configuration: Some(AwsVpcConfiguration {
                subnets: vec!["subnet-1".into(); subnets],
                assign_public_ip: Some(public.into()),
                ..Default::default()
            }),
        }
    }

    fn says(
        definition: &TaskDefinition,
        launch_type: &str,
        version: &str,
        network: Option<&NetworkConfiguration>,
    ) -> String {
        let launch = Launch { launch_type, platform_version: version, network };
        check(definition, &launch).err().map(|error| error.message).unwrap_or_default()
    }

    #[test]
    fn an_own_address_and_its_configuration_go_together() {
        let (own, bridge) = (definition("awsvpc", &["EC2", "FARGATE"]), definition("bridge", &["EXTERNAL", "EC2"]));
        let given = network(1, "");
        assert_eq!(says(&own, "EC2", "", Some(&given)), "");
        assert_eq!(says(&bridge, "EC2", "", None), "");
        assert_eq!(
            says(&own, "EC2", "", None),
            "Network Configuration must be provided when networkMode 'awsvpc' is specified."
        );
        assert_eq!(
            says(&bridge, "EC2", "", Some(&given)),
            "Network Configuration is not valid for the given networkMode of this task definition."
        );
        assert_eq!(says(&own, "EC2", "", Some(&network(0, ""))), "subnets can not be empty.");
        assert_eq!(says(&own, "EC2", "", Some(&network(17, ""))), "subnets can have at most 16 items.");
        let public = network(1, "ENABLED");
        assert_eq!(says(&own, "EC2", "", Some(&public)), "Assign public IP is not supported for this launch type.");
        assert_eq!(says(&own, "FARGATE", "LATEST", Some(&public)), "");
    }

    #[test]
    fn fargate_needs_a_definition_for_it_and_alone_has_platforms() {
        let bridge = definition("bridge", &["EXTERNAL", "EC2"]);
        assert_eq!(says(&bridge, "FARGATE", "", None), "Task definition does not support launch_type FARGATE.");
        assert_eq!(
            says(&bridge, "EC2", "LATEST", None),
            "The platform version must be null when specifying an EC2 launch type."
        );
    }

    #[test]
    fn an_empty_configuration_is_left_out() {
        assert_eq!(filled(Some(&NetworkConfiguration::default())), None);
        let filled = filled(Some(&network(1, ""))).unwrap().awsvpc_configuration.unwrap();
        assert_eq!(filled.assign_public_ip(), "DISABLED");
    }
}
