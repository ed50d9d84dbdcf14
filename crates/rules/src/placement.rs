//! Placement strategy and constraints against the definition that they are for: RunTask, CreateService and UpdateService ask the
//! same.

use seawall_model::ApiError;
use seawall_proto::v1::{PlacementConstraint, PlacementStrategy, TaskDefinition};
use seawall_scheduler::{Constraints, Strategy};

use crate::task_definition::fargate::FARGATE;

/// What a request says of where its tasks go.
pub struct Placement<'a> {
    /// The chain of strategies.
    pub strategy: &'a [PlacementStrategy],
    /// Beside the definition's.
    pub constraints: &'a [PlacementConstraint],
}

/// Checks that the planner can be asked for it.
///
/// # Errors
/// `InvalidParameterException` naming the position of what is wrong.
pub fn check(definition: &TaskDefinition, launch_type: &str, asked: &Placement<'_>) -> Result<(), ApiError> {
    let Placement { strategy, constraints } = asked;
    if launch_type == FARGATE && !(strategy.is_empty() && constraints.is_empty()) {
        return Err(ApiError::invalid(
            "Placement strategies and placement constraints are not supported with FARGATE launch type.",
        ));
    }
    Strategy::parse(strategy, 0).map_err(ApiError::invalid)?;
    Constraints::parse(&definition.placement_constraints, constraints).map_err(ApiError::invalid)?;
    Ok(())
}
