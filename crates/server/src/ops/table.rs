//! The one list of operations: the gRPC service, forwarding and the JSON protocol are made from it.

/// Calls `$callback!` with every operation: `read|write Name, method_name, Request, Response;` …
macro_rules! for_each_operation {
    ($callback:ident) => {
        $callback! {
            write CreateCluster, create_cluster, CreateClusterRequest, CreateClusterResponse;
            read DescribeClusters, describe_clusters, DescribeClustersRequest, DescribeClustersResponse;
            read ListClusters, list_clusters, ListClustersRequest, ListClustersResponse;
            write DeleteCluster, delete_cluster, DeleteClusterRequest, DeleteClusterResponse;
            write UpdateCluster, update_cluster, UpdateClusterRequest, UpdateClusterResponse;
            write UpdateClusterSettings, update_cluster_settings, UpdateClusterSettingsRequest, UpdateClusterSettingsResponse;
            write PutClusterCapacityProviders, put_cluster_capacity_providers, PutClusterCapacityProvidersRequest, PutClusterCapacityProvidersResponse;
            write CreateCapacityProvider, create_capacity_provider, CreateCapacityProviderRequest, CreateCapacityProviderResponse;
            read DescribeCapacityProviders, describe_capacity_providers, DescribeCapacityProvidersRequest, DescribeCapacityProvidersResponse;
            write UpdateCapacityProvider, update_capacity_provider, UpdateCapacityProviderRequest, UpdateCapacityProviderResponse;
            write DeleteCapacityProvider, delete_capacity_provider, DeleteCapacityProviderRequest, DeleteCapacityProviderResponse;
            read DescribeContainerInstances, describe_container_instances, DescribeContainerInstancesRequest, DescribeContainerInstancesResponse;
            read ListContainerInstances, list_container_instances, ListContainerInstancesRequest, ListContainerInstancesResponse;
            write UpdateContainerInstancesState, update_container_instances_state, UpdateContainerInstancesStateRequest, UpdateContainerInstancesStateResponse;
            write DeregisterContainerInstance, deregister_container_instance, DeregisterContainerInstanceRequest, DeregisterContainerInstanceResponse;
            write UpdateContainerAgent, update_container_agent, UpdateContainerAgentRequest, UpdateContainerAgentResponse;
            write RegisterTaskDefinition, register_task_definition, RegisterTaskDefinitionRequest, RegisterTaskDefinitionResponse;
            read DescribeTaskDefinition, describe_task_definition, DescribeTaskDefinitionRequest, DescribeTaskDefinitionResponse;
            read ListTaskDefinitions, list_task_definitions, ListTaskDefinitionsRequest, ListTaskDefinitionsResponse;
            read ListTaskDefinitionFamilies, list_task_definition_families, ListTaskDefinitionFamiliesRequest, ListTaskDefinitionFamiliesResponse;
            write DeregisterTaskDefinition, deregister_task_definition, DeregisterTaskDefinitionRequest, DeregisterTaskDefinitionResponse;
            write DeleteTaskDefinitions, delete_task_definitions, DeleteTaskDefinitionsRequest, DeleteTaskDefinitionsResponse;
            write RunTask, run_task, RunTaskRequest, RunTaskResponse;
            write StartTask, start_task, StartTaskRequest, StartTaskResponse;
            write StopTask, stop_task, StopTaskRequest, StopTaskResponse;
            read DescribeTasks, describe_tasks, DescribeTasksRequest, DescribeTasksResponse;
            read ListTasks, list_tasks, ListTasksRequest, ListTasksResponse;
            read GetTaskProtection, get_task_protection, GetTaskProtectionRequest, GetTaskProtectionResponse;
            write UpdateTaskProtection, update_task_protection, UpdateTaskProtectionRequest, UpdateTaskProtectionResponse;
            write CreateService, create_service, CreateServiceRequest, CreateServiceResponse;
            write UpdateService, update_service, UpdateServiceRequest, UpdateServiceResponse;
            read DescribeServices, describe_services, DescribeServicesRequest, DescribeServicesResponse;
            read ListServices, list_services, ListServicesRequest, ListServicesResponse;
            write DeleteService, delete_service, DeleteServiceRequest, DeleteServiceResponse;
            read ListServicesByNamespace, list_services_by_namespace, ListServicesByNamespaceRequest, ListServicesByNamespaceResponse;
            read ListServiceDeployments, list_service_deployments, ListServiceDeploymentsRequest, ListServiceDeploymentsResponse;
            read DescribeServiceDeployments, describe_service_deployments, DescribeServiceDeploymentsRequest, DescribeServiceDeploymentsResponse;
            write StopServiceDeployment, stop_service_deployment, StopServiceDeploymentRequest, StopServiceDeploymentResponse;
            write ContinueServiceDeployment, continue_service_deployment, ContinueServiceDeploymentRequest, ContinueServiceDeploymentResponse;
            read DescribeServiceRevisions, describe_service_revisions, DescribeServiceRevisionsRequest, DescribeServiceRevisionsResponse;
            write PutAttributes, put_attributes, PutAttributesRequest, PutAttributesResponse;
            read ListAttributes, list_attributes, ListAttributesRequest, ListAttributesResponse;
            write DeleteAttributes, delete_attributes, DeleteAttributesRequest, DeleteAttributesResponse;
            write TagResource, tag_resource, TagResourceRequest, TagResourceResponse;
            write UntagResource, untag_resource, UntagResourceRequest, UntagResourceResponse;
            read ListTagsForResource, list_tags_for_resource, ListTagsForResourceRequest, ListTagsForResourceResponse;
            write PutAccountSetting, put_account_setting, PutAccountSettingRequest, PutAccountSettingResponse;
            write PutAccountSettingDefault, put_account_setting_default, PutAccountSettingDefaultRequest, PutAccountSettingDefaultResponse;
            read ListAccountSettings, list_account_settings, ListAccountSettingsRequest, ListAccountSettingsResponse;
            write DeleteAccountSetting, delete_account_setting, DeleteAccountSettingRequest, DeleteAccountSettingResponse;
        }
    };
}

pub(crate) use for_each_operation;

use seawall_model::ApiError;

use super::{Ctx, Prepared, prepare_op, unknown_operation};

macro_rules! names {
    ($($kind:ident $name:ident, $method:ident, $request:ident, $response:ident;)*) => {
        $(
            #[doc = concat!("ECS's `", stringify!($name), "`.")]
            pub struct $name;
        )*

        /// The name of every operation.
        pub const NAMES: &[&str] = &[$(stringify!($name),)*];

        /// The input shape of every operation.
        #[cfg(test)]
        pub const REQUESTS: &[&str] = &[$(stringify!($request),)*];
    };
}

macro_rules! prepare_if {
    (read $name:ident, $ctx:ident, $body:ident, $operation:ident) => {
        Err(unknown_operation($operation))
    };
    (write $name:ident, $ctx:ident, $body:ident, $operation:ident) => {
        prepare_op::<$name>($ctx, $body, |request| request.expected_version)
    };
}

macro_rules! dispatch {
    ($($kind:ident $name:ident, $method:ident, $request:ident, $response:ident;)*) => {
        pub(super) fn prepare(operation: &str, body: &[u8], ctx: &mut Ctx<'_>) -> Result<Prepared, ApiError> {
            match operation {
                $(stringify!($name) => prepare_if!($kind $name, ctx, body, operation),)*
                _ => Err(unknown_operation(operation)),
            }
        }
    };
}

for_each_operation!(names);
for_each_operation!(dispatch);
