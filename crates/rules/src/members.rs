//! Every member of every input shape: it works, it is stored, or it is refused by name. Nothing is silently ignored.
//!
//! A member that is not listed is refused, so a member that a new model brings does nothing until someone decides; a test
//! fails for it all the same.

use seawall_proto::{Kind, shape};
use serde_json::Value;

/// What becomes of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// It does what ECS says.
    Works,
    /// Kept and echoed, without effect.
    Stored,
    /// `UnsupportedFeatureException`, naming it. Running without it would be wrong or unsafe.
    Refused,
    /// Only these values do what ECS says; the others are refused.
    Only(&'static [&'static str]),
}

use Rule::{Only, Refused, Stored, Works};

/// (shape, members, rule)
type Line = (&'static str, &'static [&'static str], Rule);

/// What becomes of a member of a shape.
pub fn rule(shape: &str, member: &str) -> Rule {
    let is_it = |(of, names, _): &&Line| *of == shape && names.contains(&member);
    MEMBERS.iter().find(is_it).map_or(Refused, |(_, _, rule)| *rule)
}

/// Whether the caller uses a member: absent, null, empty, NONE, DISABLED and false are no use, since Terraform sends them for
/// everything it does not use.
pub fn is_use(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(on) => *on,
        Value::String(text) => !text.is_empty() && text != "NONE" && text != "DISABLED",
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => members.values().any(is_use),
        Value::Number(_) => true,
    }
}

/// Adds the members of `value` that are used and only stored: their names, after that of what holds them.
pub(crate) fn stored(name: &str, value: &Value, path: &str, names: &mut Vec<String>) {
    for (member, kind) in shape(name).map_or(&[][..], |shape| shape.members) {
        let held = &value[*member];
        match (rule(name, member), kind) {
            (Stored, _) if is_use(held) => names.push(format!("{path}{member}")),
            (Works, Kind::Message(of)) => stored(of, held, &format!("{path}{member}."), names),
            _ => {}
        }
    }
}

/// A member's path without the places in lists, the same for every item: `tags.key` of `tags[3].key`.
pub fn without_places(path: &str) -> String {
    let mut steps = path.split('[');
    let first = steps.next().into_iter();
    first.chain(steps.filter_map(|step| step.split_once(']')).map(|(_, rest)| rest)).collect()
}

/// Names of members that are refused, and that an operator may have stored instead.
pub fn refused() -> Vec<&'static str> {
    let lines = MEMBERS.iter().filter(|(_, _, rule)| *rule == Refused);
    let mut names: Vec<&str> = lines.flat_map(|(_, names, _)| *names).copied().collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Members of a service that are used and only stored, as `CreateServiceRequest` calls them.
pub fn stored_of_service(service: &Value) -> Vec<&'static str> {
    let is_stored = |(of, _, rule): &&Line| *of == "CreateServiceRequest" && *rule == Stored;
    let members = MEMBERS.iter().filter(is_stored).flat_map(|(_, names, _)| *names).copied();
    let shown = |member: &str| match member {
        "role" => &service["roleArn"],
        "serviceConnectConfiguration" => &service["deployments"][0][member],
        _ => &service[member],
    };
    members.filter(|member| is_use(shown(member))).collect()
}

/// Where tasks may run: every instance of the cluster is all of them.
const LAUNCH_TYPES: Rule = Only(&["EC2", "EXTERNAL", "FARGATE"]);
/// The one platform of Fargate that there is.
const PLATFORM_VERSIONS: Rule = Only(&["LATEST", "1.4.0"]);

/// The table.
#[rustfmt::skip]
pub const MEMBERS: &[Line] = &[
    ("Attribute", &["name", "value", "targetType", "targetId"], Works),
    ("KeyValuePair", &["name", "value"], Works),
    ("Tag", &["key", "value"], Works),

    ("CreateClusterRequest", &["clusterName", "tags", "capacityProviders", "defaultCapacityProviderStrategy"], Works),
    ("CreateClusterRequest", &["settings", "configuration", "serviceConnectDefaults"], Stored),
    ("UpdateClusterRequest", &["cluster"], Works),
    ("UpdateClusterRequest", &["settings", "configuration", "serviceConnectDefaults"], Stored),
    ("UpdateClusterSettingsRequest", &["cluster"], Works),
    ("UpdateClusterSettingsRequest", &["settings"], Stored),
    ("PutClusterCapacityProvidersRequest", &["cluster", "capacityProviders", "defaultCapacityProviderStrategy"], Works),
    ("CapacityProviderStrategyItem", &["capacityProvider", "weight", "base"], Works),
    ("CreateCapacityProviderRequest", &["name", "tags"], Works),
    // There are no groups of Amazon's machines here; the cluster's instances serve whoever asks for one.
    ("CreateCapacityProviderRequest", &["autoScalingGroupProvider"], Stored),
    ("CreateCapacityProviderRequest", &["cluster", "managedInstancesProvider"], Refused),
    ("DescribeCapacityProvidersRequest", &["capacityProviders", "cluster", "include", "nextToken", "maxResults"], Works),
    ("UpdateCapacityProviderRequest", &["name"], Works),
    ("UpdateCapacityProviderRequest", &["autoScalingGroupProvider"], Stored),
    ("UpdateCapacityProviderRequest", &["cluster", "managedInstancesProvider"], Refused),
    ("DeleteCapacityProviderRequest", &["capacityProvider"], Works),
    ("DeleteCapacityProviderRequest", &["cluster"], Refused),
    ("UpdateContainerAgentRequest", &["cluster", "containerInstance"], Works),
    ("DeleteTaskDefinitionsRequest", &["taskDefinitions"], Works),
    ("GetTaskProtectionRequest", &["cluster", "tasks"], Works),
    ("UpdateTaskProtectionRequest", &["cluster", "tasks", "protectionEnabled", "expiresInMinutes"], Works),
    ("PutAccountSettingRequest", &["name", "value", "principalArn"], Stored),
    ("PutAccountSettingDefaultRequest", &["name", "value"], Stored),
    ("ListAccountSettingsRequest", &["name", "value", "principalArn", "effectiveSettings", "nextToken", "maxResults"], Works),
    ("DeleteAccountSettingRequest", &["name", "principalArn"], Works),
    ("DeleteClusterRequest", &["cluster"], Works),
    ("DescribeClustersRequest", &["clusters", "include"], Works),
    ("ListClustersRequest", &["nextToken", "maxResults"], Works),

    ("DescribeContainerInstancesRequest", &["cluster", "containerInstances", "include"], Works),
    ("ListContainerInstancesRequest", &["cluster", "filter", "nextToken", "maxResults", "status"], Works),
    ("UpdateContainerInstancesStateRequest", &["cluster", "containerInstances", "status"], Works),
    ("DeregisterContainerInstanceRequest", &["cluster", "containerInstance", "force"], Works),

    ("PutAttributesRequest", &["cluster", "attributes"], Works),
    ("DeleteAttributesRequest", &["cluster", "attributes"], Works),
    ("ListAttributesRequest", &["cluster", "targetType", "attributeName", "attributeValue", "nextToken", "maxResults"], Works),

    ("TagResourceRequest", &["resourceArn", "tags"], Works),
    ("UntagResourceRequest", &["resourceArn", "tagKeys"], Works),
    ("ListTagsForResourceRequest", &["resourceArn"], Works),

    ("RegisterTaskDefinitionRequest", &["family", "containerDefinitions", "volumes", "cpu", "memory", "tags"], Works),
    ("RegisterTaskDefinitionRequest", &["networkMode"], Only(&["bridge", "host", "none", "awsvpc"])),
    ("RegisterTaskDefinitionRequest", &["pidMode", "ipcMode"], Works),
    // How much is given is the instance's disk to say.
    ("RegisterTaskDefinitionRequest", &["ephemeralStorage"], Stored),
    ("RegisterTaskDefinitionRequest", &["requiresCompatibilities"], LAUNCH_TYPES),
    ("RegisterTaskDefinitionRequest", &["taskRoleArn", "executionRoleArn"], Stored),
    ("RegisterTaskDefinitionRequest", &["runtimePlatform"], Works),
    ("RegisterTaskDefinitionRequest", &["placementConstraints"], Works),
    ("TaskDefinitionPlacementConstraint", &["type"], Only(&["memberOf"])),
    ("TaskDefinitionPlacementConstraint", &["expression"], Works),
    ("RegisterTaskDefinitionRequest", &["proxyConfiguration", "inferenceAccelerators", "enableFaultInjection", "trustedExecutionConfiguration"], Refused),
    ("RuntimePlatform", &["cpuArchitecture"], Stored),
    ("RuntimePlatform", &["operatingSystemFamily"], Only(&["LINUX"])),
    ("ContainerDefinition", &["name", "image", "cpu", "memory", "memoryReservation", "links", "portMappings", "essential", "entryPoint", "command", "environment", "mountPoints", "volumesFrom", "dependsOn", "stopTimeout", "user", "workingDirectory", "privileged", "dockerLabels", "ulimits", "logConfiguration", "healthCheck"], Works),
    ("ContainerDefinition", &["startTimeout", "hostname", "disableNetworking", "readonlyRootFilesystem", "dnsServers", "dnsSearchDomains", "extraHosts", "dockerSecurityOptions", "interactive", "pseudoTerminal", "systemControls", "linuxParameters", "restartPolicy"], Works),
    ("ContainerRestartPolicy", &["enabled", "ignoredExitCodes", "restartAttemptPeriod"], Works),
    ("HostEntry", &["hostname", "ipAddress"], Works),
    ("SystemControl", &["namespace", "value"], Works),
    ("LinuxParameters", &["capabilities", "devices", "initProcessEnabled", "sharedMemorySize", "tmpfs", "maxSwap", "swappiness"], Works),
    ("KernelCapabilities", &["add", "drop"], Works),
    ("Device", &["hostPath", "containerPath", "permissions"], Works),
    ("Tmpfs", &["containerPath", "size", "mountOptions"], Works),
    ("ContainerDefinition", &["versionConsistency"], Works),
    ("ContainerDefinition", &["repositoryCredentials", "environmentFiles", "secrets", "resourceRequirements", "firelensConfiguration", "credentialSpecs"], Refused),
    ("PortMapping", &["containerPort", "hostPort", "protocol"], Works),
    // Names for Service Connect.
    ("PortMapping", &["name", "appProtocol"], Stored),
    ("PortMapping", &["containerPortRange"], Refused),
    ("ContainerDependency", &["containerName", "condition"], Works),
    ("MountPoint", &["sourceVolume", "containerPath", "readOnly"], Works),
    ("VolumeFrom", &["sourceContainer", "readOnly"], Works),
    ("Ulimit", &["name", "softLimit", "hardLimit"], Works),
    ("LogConfiguration", &["logDriver", "options"], Works),
    ("LogConfiguration", &["secretOptions"], Refused),
    ("HealthCheck", &["command", "interval", "timeout", "retries", "startPeriod"], Works),
    ("Volume", &["name", "host", "dockerVolumeConfiguration"], Works),
    ("Volume", &["efsVolumeConfiguration", "s3filesVolumeConfiguration", "fsxWindowsFileServerVolumeConfiguration", "configuredAtLaunch"], Refused),
    ("HostVolumeProperties", &["sourcePath"], Works),
    ("DockerVolumeConfiguration", &["scope", "autoprovision", "driver", "driverOpts", "labels"], Works),
    ("DescribeTaskDefinitionRequest", &["taskDefinition", "include"], Works),
    ("ListTaskDefinitionsRequest", &["familyPrefix", "status", "sort", "nextToken", "maxResults"], Works),
    ("ListTaskDefinitionFamiliesRequest", &["familyPrefix", "status", "nextToken", "maxResults"], Works),
    ("DeregisterTaskDefinitionRequest", &["taskDefinition"], Works),

    ("RunTaskRequest", &["cluster", "count", "group", "overrides", "startedBy", "tags", "taskDefinition", "clientToken"], Works),
    ("RunTaskRequest", &["launchType"], LAUNCH_TYPES),
    ("RunTaskRequest", &["platformVersion"], PLATFORM_VERSIONS),
    ("RunTaskRequest", &["networkConfiguration"], Works),
    ("NetworkConfiguration", &["awsvpcConfiguration"], Works),
    // An instance has one network.
    ("AwsVpcConfiguration", &["subnets", "securityGroups", "assignPublicIp"], Stored),
    ("RunTaskRequest", &["propagateTags"], Only(&["TASK_DEFINITION", "NONE"])),
    ("RunTaskRequest", &["enableECSManagedTags", "referenceId"], Stored),
    ("RunTaskRequest", &["capacityProviderStrategy", "placementConstraints", "placementStrategy"], Works),
    ("RunTaskRequest", &["enableExecuteCommand", "volumeConfigurations"], Refused),
    ("StartTaskRequest", &["cluster", "containerInstances", "group", "overrides", "startedBy", "tags", "taskDefinition"], Works),
    ("StartTaskRequest", &["propagateTags"], Only(&["TASK_DEFINITION", "NONE"])),
    ("StartTaskRequest", &["enableECSManagedTags", "referenceId"], Stored),
    ("StartTaskRequest", &["networkConfiguration"], Works),
    ("StartTaskRequest", &["enableExecuteCommand", "volumeConfigurations"], Refused),
    ("TaskOverride", &["containerOverrides", "cpu", "memory"], Works),
    ("TaskOverride", &["taskRoleArn", "executionRoleArn"], Stored),
    ("TaskOverride", &["inferenceAcceleratorOverrides", "ephemeralStorage"], Refused),
    ("ContainerOverride", &["name", "command", "environment", "cpu", "memory", "memoryReservation"], Works),
    ("ContainerOverride", &["environmentFiles", "resourceRequirements"], Refused),
    ("StopTaskRequest", &["cluster", "task", "reason"], Works),
    ("DescribeTasksRequest", &["cluster", "tasks", "include"], Works),
    ("ListTasksRequest", &["cluster", "containerInstance", "family", "nextToken", "maxResults", "startedBy", "serviceName", "desiredStatus", "launchType"], Works),
    ("ListTasksRequest", &["daemonName"], Refused),

    ("CreateServiceRequest", &["cluster", "serviceName", "taskDefinition", "desiredCount", "clientToken", "deploymentConfiguration", "deploymentController", "tags", "placementStrategy", "healthCheckGracePeriodSeconds", "propagateTags", "schedulingStrategy", "availabilityZoneRebalancing"], Works),
    ("CreateServiceRequest", &["launchType"], LAUNCH_TYPES),
    ("CreateServiceRequest", &["platformVersion"], PLATFORM_VERSIONS),
    ("CreateServiceRequest", &["networkConfiguration"], Works),
    ("CreateServiceRequest", &["loadBalancers", "serviceRegistries", "role", "enableECSManagedTags", "serviceConnectConfiguration"], Stored),
    ("CreateServiceRequest", &["capacityProviderStrategy", "placementConstraints"], Works),
    ("CreateServiceRequest", &["enableExecuteCommand", "volumeConfigurations", "vpcLatticeConfigurations", "gatewayConnectors", "monitoring"], Refused),
    ("UpdateServiceRequest", &["cluster", "service", "desiredCount", "taskDefinition", "deploymentConfiguration", "forceNewDeployment", "deploymentController", "placementStrategy", "healthCheckGracePeriodSeconds", "propagateTags", "availabilityZoneRebalancing"], Works),
    ("UpdateServiceRequest", &["loadBalancers", "serviceRegistries", "enableECSManagedTags", "serviceConnectConfiguration"], Stored),
    ("UpdateServiceRequest", &["platformVersion"], PLATFORM_VERSIONS),
    ("UpdateServiceRequest", &["networkConfiguration"], Works),
    ("UpdateServiceRequest", &["capacityProviderStrategy", "placementConstraints"], Works),
    ("UpdateServiceRequest", &["enableExecuteCommand", "volumeConfigurations", "vpcLatticeConfigurations", "gatewayConnectors", "monitoring"], Refused),
    ("DeploymentConfiguration", &["maximumPercent", "minimumHealthyPercent"], Works),
    ("DeploymentConfiguration", &["bakeTimeInMinutes"], Only(&["0"])),
    ("DeploymentConfiguration", &["strategy"], Only(&["ROLLING"])),
    ("DeploymentConfiguration", &["deploymentCircuitBreaker", "alarms", "earlySuccessCriteria"], Works),
    ("DeploymentEarlySuccessCriteria", &["enable", "healthyPercent", "sourceServiceRevisionCleanup"], Works),
    ("DeploymentConfiguration", &["lifecycleHooks", "linearConfiguration", "canaryConfiguration"], Refused),
    ("DeploymentCircuitBreaker", &["enable", "rollback", "resetOnHealthyTask", "thresholdConfiguration"], Works),
    ("ThresholdConfiguration", &["type", "value"], Works),
    // Terraform sends both switched off.
    ("DeploymentAlarms", &["enable", "rollback"], Refused),
    ("DeploymentAlarms", &["alarmNames"], Stored),
    ("DeploymentController", &["type"], Only(&["ECS"])),
    ("PlacementStrategy", &["type", "field"], Works),
    ("PlacementConstraint", &["type"], Only(&["distinctInstance", "memberOf"])),
    ("PlacementConstraint", &["expression"], Works),
    ("DescribeServicesRequest", &["cluster", "services", "include"], Works),
    ("ListServicesRequest", &["cluster", "nextToken", "maxResults", "launchType", "schedulingStrategy"], Works),
    ("ListServicesRequest", &["resourceManagementType"], Only(&["CUSTOMER"])),
    ("DeleteServiceRequest", &["cluster", "service", "force"], Works),
    ("ListServicesByNamespaceRequest", &["namespace", "nextToken", "maxResults"], Works),
    ("ListServiceDeploymentsRequest", &["service", "cluster", "status", "createdAt", "nextToken", "maxResults"], Works),
    ("CreatedAt", &["before", "after"], Works),
    ("DescribeServiceDeploymentsRequest", &["serviceDeploymentArns"], Works),
    ("DescribeServiceRevisionsRequest", &["serviceRevisionArns"], Works),
    ("StopServiceDeploymentRequest", &["serviceDeploymentArn"], Works),
    ("StopServiceDeploymentRequest", &["stopType"], Only(&["ROLLBACK"])),
    ("ContinueServiceDeploymentRequest", &["serviceDeploymentArn", "hookId", "action"], Works),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_without_places_is_the_same_for_every_item() {
        assert_eq!(without_places("tags[3].key"), "tags.key");
        assert_eq!(without_places("a[0].b[1][22]"), "a.b");
        assert_eq!(without_places("role"), "role");
    }

    #[test]
    fn what_terraform_sends_for_nothing_is_no_use() {
        for nothing in
            ["null", "[]", "{}", "false", "\"\"", "\"NONE\"", r#"{"enable":false,"alarmNames":[]}"#, "\"DISABLED\""]
        {
            assert!(!is_use(&serde_json::from_str(nothing).unwrap()), "{nothing}");
        }
        for something in ["[1]", "true", "\"x\"", r#"{"enable":true}"#, "0"] {
            assert!(is_use(&serde_json::from_str(something).unwrap()), "{something}");
        }
    }
}
