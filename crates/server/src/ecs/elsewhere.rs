//! Requests for other services of AWS that reach this port, since a client was pointed here with all of its services.

use axum::http::{HeaderMap, header};
use seawall_model::{ApiError, ErrorCode};

use super::{
    TARGET, TARGET_PREFIX,
    errors::{Form, form_of},
};

/// Services that this port answers, as they stand in a signature's scope.
const HERE: &[&str] = &["ecs", "sts"];

/// What the caller is told where the request is for another service.
pub(super) fn refusal(headers: &HeaderMap, body: &[u8]) -> Option<ApiError> {
    let signed = signed_for(headers);
    let service = match signed {
        Some(service) if !HERE.contains(&service) => service.to_owned(),
        Some("ecs") | None if form_of(headers) == Form::Xml => query_action(body)?,
        _ => of_target(headers)?,
    };
    Some(refused(&service))
}

pub(super) fn refused(service: &str) -> ApiError {
    ApiError::new(
        ErrorCode::OtherService,
        format!(
            "This is Seawall, which answers ECS and STS GetCallerIdentity, not {service}. Point only those two here: \
             AWS_ENDPOINT_URL_ECS and AWS_ENDPOINT_URL_STS instead of AWS_ENDPOINT_URL, or `endpoints {{ ecs = … sts = … }}` \
             in Terraform."
        ),
    )
}

/// The service in the scope of the signature: `Credential=KEY/20260101/us-local-1/ecs/aws4_request`.
fn signed_for(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let scope = text.split_once("Credential=")?.1.split(',').next()?;
    scope.rsplit('/').nth(1)
}

fn query_action(body: &[u8]) -> Option<String> {
    let action = form_urlencoded::parse(body).find(|(name, _)| name == "Action").map(|(_, value)| value.into_owned());
    Some(format!("the action {}", action?))
}

/// The service of another JSON API.
fn of_target(headers: &HeaderMap) -> Option<String> {
    let target = headers.get(TARGET)?.to_str().ok()?;
    let other = !target.starts_with(TARGET_PREFIX) && target.contains('.');
    other.then(|| target.split('.').next().unwrap_or(target).to_owned())
}
