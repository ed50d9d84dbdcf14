//! Capacity providers as ECS shows them.

use seawall_proto::{internal::v1::CapacityProviderRow, v1::CapacityProvider};
use seawall_state::State;

/// One that was made.
pub fn render(state: &State, row: &CapacityProviderRow, update_status: &str, tags: bool) -> CapacityProvider {
    CapacityProvider {
        capacity_provider_arn: Some(state.arns().capacity_provider(&row.name)),
        name: Some(row.name.clone()),
        status: Some("ACTIVE".into()),
        auto_scaling_group_provider: row.auto_scaling_group_provider.clone(),
        update_status: Some(update_status.into()),
        tags: if tags { row.tags.clone() } else { Vec::new() },
        r#type: Some("EC2_AUTOSCALING".into()),
        ..Default::default()
    }
}

/// FARGATE and FARGATE_SPOT, which are there from the start.
pub fn predefined(state: &State, name: &str) -> CapacityProvider {
    CapacityProvider {
        capacity_provider_arn: Some(state.arns().capacity_provider(name)),
        name: Some(name.into()),
        status: Some("ACTIVE".into()),
        r#type: Some(name.into()),
        ..Default::default()
    }
}
