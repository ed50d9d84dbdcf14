//! What a service revision holds of its service's spec.

use seawall_proto::v1::CreateServiceRequest;

/// The members that a revision holds; all others are absent.
pub(crate) fn held(spec: &CreateServiceRequest) -> CreateServiceRequest {
    restored(CreateServiceRequest::default(), spec)
}

/// `spec` with the members that a revision holds as `revision` has them.
pub(crate) fn restored(spec: CreateServiceRequest, revision: &CreateServiceRequest) -> CreateServiceRequest {
    let it = revision.clone();
    CreateServiceRequest {
        task_definition: it.task_definition,
        launch_type: it.launch_type,
        capacity_provider_strategy: it.capacity_provider_strategy,
        platform_version: it.platform_version,
        network_configuration: it.network_configuration,
        load_balancers: it.load_balancers,
        service_registries: it.service_registries,
        service_connect_configuration: it.service_connect_configuration,
        volume_configurations: it.volume_configurations,
        vpc_lattice_configurations: it.vpc_lattice_configurations,
        gateway_connectors: it.gateway_connectors,
        monitoring: it.monitoring,
        ..spec
    }
}

/// Whether tasks of `new` are to be other ones than those of `old`. The task definition is looked at by its id; where tasks
/// run (launch type, capacity providers) applies to new ones only, as in ECS.
pub(crate) fn asks_for_a_deployment(old: &CreateServiceRequest, new: &CreateServiceRequest) -> bool {
    let looked_at = |spec: &CreateServiceRequest| CreateServiceRequest {
        task_definition: None,
        launch_type: None,
        capacity_provider_strategy: Vec::new(),
        ..held(spec)
    };
    looked_at(old) != looked_at(new)
}
