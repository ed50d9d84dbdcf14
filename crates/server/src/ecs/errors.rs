//! What went wrong, in the form that the caller's protocol has for it.

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use seawall_model::{ApiError, ErrorCode, limits::REQUEST_BYTES_MAX};
use serde_json::json;

use super::{JSON, TARGET, TARGET_PREFIX, respond as plain};
use crate::metrics::Protocol;

pub(super) const XML: HeaderValue = HeaderValue::from_static("text/xml");
/// SDKs try again by their own backoff; this is for whoever reads the header.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("1");

/// The two forms of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// AWS JSON 1.1: `{"__type": …, "message": …}`.
    Json,
    /// The Query protocol of STS and others, and REST as S3 speaks it: an ErrorResponse in XML.
    Xml,
}

impl Form {
    /// The protocol that has it.
    pub(super) fn protocol(self) -> Protocol {
        match self {
            Form::Json => Protocol::Json,
            Form::Xml => Protocol::Query,
        }
    }
}

/// The form that a request's protocol has.
pub(crate) fn form_of(headers: &HeaderMap) -> Form {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_json = headers.contains_key(TARGET) || kind.contains("json");
    if is_json { Form::Json } else { Form::Xml }
}

/// ECS declares one fault, ServerException; SDKs try it again. Everything else is the caller's doing.
pub(super) fn is_fault(error: &ApiError) -> bool {
    status(error.code).is_server_error()
}

/// The HTTP status and the name under which clients know the exception.
fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::NoLeader | ErrorCode::Overloaded | ErrorCode::DiskFull | ErrorCode::Unknown => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        ErrorCode::Server => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorCode::OtherService => StatusCode::NOT_IMPLEMENTED,
        ErrorCode::RequestTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::BAD_REQUEST,
    }
}

fn type_name(code: ErrorCode) -> &'static str {
    match status(code) {
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::INTERNAL_SERVER_ERROR => ErrorCode::Server.as_str(),
        _ => code.as_str(),
    }
}

/// The whole answer.
pub(super) fn respond(form: Form, error: &ApiError, request_id: &str) -> Response {
    let status = status(error.code);
    let (kind, body) = match form {
        Form::Json => (JSON, json_body(error)),
        Form::Xml => (XML, xml_body(error, request_id).into_bytes()),
    };
    let mut response = plain(status, kind, body, request_id);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER_S);
    }
    response
}

/// The answer of a member that does not serve yet.
pub(crate) fn unavailable(form: Form, why: &str) -> Response {
    respond(form, &ApiError::new(ErrorCode::NoLeader, format!("no leader: {why}")), "")
}

fn json_body(error: &ApiError) -> Vec<u8> {
    let mut body = json!({"__type": type_name(error.code), "message": error.message});
    if !error.resource_ids.is_empty() {
        body["resourceIds"] = json!(error.resource_ids);
    }
    body.to_string().into_bytes()
}

fn xml_body(error: &ApiError, request_id: &str) -> String {
    let side = if is_fault(error) { "Receiver" } else { "Sender" };
    format!(
        "<ErrorResponse><Error><Type>{side}</Type><Code>{}</Code><Message>{}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>",
        type_name(error.code),
        escaped(&error.message),
    )
}

/// Text for an XML element.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

pub(super) fn too_large() -> ApiError {
    ApiError::new(
        ErrorCode::RequestTooLarge,
        format!("The request's body is broken off or longer than {REQUEST_BYTES_MAX} bytes."),
    )
}

pub(super) fn unknown_operation(operation: &str) -> ApiError {
    ApiError::new(ErrorCode::UnknownOperation, format!("{operation} is not an operation of the ECS API."))
}

pub(super) fn no_target() -> ApiError {
    let message = format!("The header X-Amz-Target names no operation; it has the form {TARGET_PREFIX}ListClusters.");
    ApiError::new(ErrorCode::UnknownOperation, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(code: ErrorCode) -> (StatusCode, String) {
        let error = ApiError::new(code, "why");
        (status(code), String::from_utf8(json_body(&error)).unwrap())
    }

    #[test]
    fn only_faults_are_5xx_and_they_are_server_exceptions() {
        assert_eq!(
            body(ErrorCode::ClusterNotFound),
            (StatusCode::BAD_REQUEST, r#"{"__type":"ClusterNotFoundException","message":"why"}"#.into())
        );
        for code in [ErrorCode::NoLeader, ErrorCode::Unknown, ErrorCode::Overloaded, ErrorCode::DiskFull] {
            let expected = r#"{"__type":"ServerException","message":"why"}"#.to_owned();
            assert_eq!(body(code), (StatusCode::SERVICE_UNAVAILABLE, expected));
        }
    }

    #[test]
    fn xml_is_escaped() {
        let error = ApiError::invalid("a < b & c");
        assert!(xml_body(&error, "r1").contains("a &lt; b &amp; c"));
    }
}
