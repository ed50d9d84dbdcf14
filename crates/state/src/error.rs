//! A refusal as it travels, and as the API's error.

use seawall_model::{ApiError, ErrorCode};
use seawall_proto::internal::v1::Refusal;

/// As it travels between members.
pub fn refusal_of(error: ApiError) -> Refusal {
    Refusal { code: error.code.as_str().into(), message: error.message, resource_ids: error.resource_ids }
}

/// As a client sees it.
pub fn error_of(refusal: Refusal) -> ApiError {
    ApiError { code: ErrorCode::from_name(&refusal.code), message: refusal.message, resource_ids: refusal.resource_ids }
}
