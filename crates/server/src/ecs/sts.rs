//! STS GetCallerIdentity: the one call to another service that clients make before ECS's (Terraform's provider begins with
//! it). Query protocol: a form in, XML out.

use std::sync::Arc;

use axum::http::HeaderMap;
use seawall_model::{ApiError, ErrorCode};
use seawall_proto::internal::v1::Principal;

use super::{
    errors::{Form, escaped, form_of},
    unsupported,
};
use crate::api::Node;

/// Of every user without an access key.
const USER: &str = "seawall";

/// The action of a request in STS's protocol; `None` for another.
pub(super) fn action(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    if form_of(headers) != Form::Xml {
        return None;
    }
    let form: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
    let of = |wanted: &str| form.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
    // STS's version of its API; EC2, IAM and others speak the same protocol under their own.
    (of("Version").as_deref() == Some("2011-06-15")).then(|| of("Action")).flatten()
}

/// The answer, as XML.
pub(super) fn answer(
    node: &Arc<Node>,
    action: &str,
    principal: &Principal,
    request_id: &str,
) -> Result<String, ApiError> {
    if action != "GetCallerIdentity" {
        return Err(unsupported(format!("Of STS, this port answers GetCallerIdentity; {action} is not part of it.")));
    }
    let account = node.consensus.state().state.meta.account.clone();
    if account.is_empty() {
        return Err(ApiError::new(ErrorCode::NoLeader, "the cluster is not formed yet"));
    }
    let account = escaped(&account);
    let user = if principal.name.is_empty() { USER } else { &principal.name };
    Ok(format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>arn:aws:iam::{account}:user/{user}</Arn><UserId>{user}</UserId><Account>{account}</Account>\
         </GetCallerIdentityResult><ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>\
         </GetCallerIdentityResponse>"
    ))
}
