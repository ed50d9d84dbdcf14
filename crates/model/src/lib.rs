//! Typed ids, ARNs, names, errors and limits: what every other crate speaks in.

mod arn;
mod error;
mod id;
pub mod limits;
mod loss_policy;
mod name;
pub mod own_tags;

pub use arn::{Arn, ArnScope, Resource};
pub use error::{ApiError, ErrorCode};
pub use id::{
    ClusterId, DeploymentId, Id128, InstanceId, JobId, MemberId, ScheduleId, ServiceId, SessionId, TaskDefinitionId,
    TaskId,
};
pub use loss_policy::LossPolicy;
pub use name::{is_access_key_id, is_ecs_name, is_instance_id, is_region, is_zone, nearest};

/// The account that every resource belongs to until there are several.
pub const ACCOUNT: u32 = 0;
/// Name of the cluster that exists from the start and is meant where none is named.
pub const DEFAULT_CLUSTER: &str = "default";
/// Region unless `--region`: Terraform's provider accepts it in ARNs, `local-1` it does not.
pub const DEFAULT_REGION: &str = "us-local-1";
/// Account number in ARNs unless configured.
pub const DEFAULT_ACCOUNT_NUMBER: &str = "000000000000";
