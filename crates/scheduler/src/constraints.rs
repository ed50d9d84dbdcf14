//! ECS's placement constraints: what an instance must be, beyond having room.

use seawall_proto::{
    internal::v1::TaskDefinitionRow,
    v1::{PlacementConstraint, TaskDefinitionPlacementConstraint},
};
use seawall_query::Expression;

/// Constraints that ECS takes, the definition's and the request's together.
pub const CONSTRAINTS_MAX: usize = 10;

/// All constraints of a task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Constraints {
    /// No two tasks of the service or group on one instance.
    pub distinct_instance: bool,
    /// Tasks of the service that one instance may have.
    pub max_per_instance: Option<u32>,
    /// Tasks of the service that one zone may have more than another.
    pub max_zone_skew: Option<u32>,
    /// Only where a guard can end the task.
    pub guarded: bool,
    /// Each must hold for the instance.
    pub member_of: Vec<Expression>,
}

impl Constraints {
    /// Those of tasks of the definition, with the request's.
    ///
    /// # Errors
    /// As [`Constraints::parse`].
    pub fn of(definition: &TaskDefinitionRow, request: &[PlacementConstraint]) -> Result<Self, String> {
        let of_definition = definition.definition.as_ref().map_or(&[][..], |d| &d.placement_constraints);
        Constraints::parse(of_definition, request)
    }

    /// The definition's and the request's together.
    ///
    /// # Errors
    /// What is wrong with them, naming the position.
    pub fn parse(
        definition: &[TaskDefinitionPlacementConstraint],
        request: &[PlacementConstraint],
    ) -> Result<Self, String> {
        let mut all = Constraints::default();
        let count = definition.len() + request.len();
        if count > CONSTRAINTS_MAX {
            return Err(format!(
                "placementConstraints: {count} are given with those of the task definition, at most {CONSTRAINTS_MAX} can be."
            ));
        }
        for (constraint, at) in definition.iter().zip(0..) {
            match constraint.r#type() {
                "memberOf" => all.member_of.push(expression(constraint.expression(), at)?),
                "distinctInstance" => {
                    return Err(format!(
                        "placementConstraints[{at}].type: distinctInstance is for services and RunTask, not for a task definition."
                    ));
                }
                other => return Err(unknown(other, at)),
            }
        }
        for (constraint, at) in request.iter().zip(0..) {
            match constraint.r#type() {
                "memberOf" => all.member_of.push(expression(constraint.expression(), at)?),
                "distinctInstance" if constraint.expression().is_empty() => all.distinct_instance = true,
                "distinctInstance" => {
                    return Err(format!("placementConstraints[{at}].expression: distinctInstance takes none."));
                }
                other => return Err(unknown(other, at)),
            }
        }
        Ok(all)
    }
}

fn expression(text: &str, at: usize) -> Result<Expression, String> {
    Expression::parse(text).map_err(|error| format!("placementConstraints[{at}].expression: {error}"))
}

fn unknown(kind: &str, at: usize) -> String {
    format!("placementConstraints[{at}].type is {kind:?}; it is distinctInstance or memberOf.")
}
