//! Operations of ECS that this version does not have: what a client is told who calls one.

use seawall_model::ApiError;

use super::unsupported;

/// (operations, why, and what to do instead)
type Line = (&'static [&'static str], &'static str);

/// Every operation that ECS has and Seawall has not. With the table of operations this is the whole of ECS, which a test
/// holds against the model of ECS's own client.
#[rustfmt::skip]
pub(crate) const UNSUPPORTED: &[Line] = &[
    (&["ExecuteCommand"], "Running commands in containers comes with a later version; use the engine's own exec on the instance."),
    (&["CreateTaskSet", "DescribeTaskSets", "UpdateTaskSet", "UpdateServicePrimaryTaskSet", "DeleteTaskSet"],
        "Task sets belong to the deployment controllers EXTERNAL and CODE_DEPLOY; services here have the controller ECS."),
    (&["DiscoverPollEndpoint", "RegisterContainerInstance", "SubmitTaskStateChange", "SubmitContainerStateChange", "SubmitAttachmentStateChanges"],
        "Amazon's ECS agent is not taken; run `seawall agent` on the instance."),
    (&["CreateDaemon", "DescribeDaemon", "ListDaemons", "UpdateDaemon", "DeleteDaemon", "RegisterDaemonTaskDefinition", "DescribeDaemonTaskDefinition", "ListDaemonTaskDefinitions", "DeleteDaemonTaskDefinition", "ListDaemonDeployments", "DescribeDaemonDeployments", "DescribeDaemonRevisions"],
        "Managed daemons belong to Amazon's Managed Instances."),
    (&["CreateExpressGatewayService", "DescribeExpressGatewayService", "UpdateExpressGatewayService", "DeleteExpressGatewayService"],
        "Express services rest on Amazon's load balancers; use CreateService."),
    (&["CreateGateway", "DescribeGateway", "DescribeGatewayResources", "ListGateways", "UpdateGateway", "DeleteGateway", "AssociateGatewayWithCluster", "DisassociateGatewayFromCluster", "ListGatewayClusterAssociations", "ListGatewayRoutes", "DescribeGatewayRoute"],
        "Gateways rest on Amazon's load balancers."),
];

/// What a client is told who calls `operation`; `None` where ECS has no such operation.
pub(super) fn refusal(operation: &str) -> Option<ApiError> {
    let (_, why) = UNSUPPORTED.iter().find(|(names, _)| names.contains(&operation))?;
    Some(unsupported(format!("{operation} is not supported by this version. {why}")))
}
