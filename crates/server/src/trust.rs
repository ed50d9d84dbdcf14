//! Join tokens, and certificates for the agents that show one.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use prost::Message;
use seawall_env::{
    BoxFuture,
    net::{
        Caller, Handler, NetError,
        trust::{CERTIFICATE_LIFETIME, Ca, JoinToken, TrustError},
    },
};
use seawall_model::{ApiError, ErrorCode, is_instance_id};
use seawall_proto::{
    internal::v1::{Command, EnrollRequest, EnrollResponse, TokenRow, UseToken, command},
    v1::CreateTokenRequest,
};

use crate::api::Node;

/// Unary: a token, or a certificate that is still valid, for a certificate naming the instance.
const ENROLL: &str = "/seawall.internal.v1.Enroll/Agent";
const TTL_DEFAULT_S: u64 = 24 * 3600;
const WRITE: Duration = Duration::from_secs(10);

/// A new token: the row for the state, and the text that is shown once.
pub(crate) fn new_token(node: &Node, ask: &CreateTokenRequest) -> Result<(TokenRow, String), ApiError> {
    let fingerprint = node
        .fingerprint
        .ok_or_else(|| ApiError::new(ErrorCode::UnsupportedFeature, "this member serves no certificates"))?;
    let token = JoinToken::generate(&node.env, fingerprint);
    let ttl_s = i64::try_from(ask.ttl_s.unwrap_or(TTL_DEFAULT_S)).unwrap_or(i64::MAX / 2000);
    let expires_at_ms = if ttl_s == 0 { 0 } else { node.cluster_time_ms().saturating_add(ttl_s.saturating_mul(1000)) };
    let row = TokenRow {
        id: token.id(),
        role: ask.role.clone(),
        secret_sha256: token.secret_sha256().into(),
        expires_at_ms,
        uses_left: ask.uses.unwrap_or_default(),
        limited: ask.uses.is_some(),
    };
    Ok((row, token.to_string()))
}

/// Signs agents' certificates.
pub(crate) struct Enroll {
    pub(crate) node: Arc<Node>,
    pub(crate) ca: Arc<Ca>,
}

impl Enroll {
    async fn answer(&self, caller: Caller, request: EnrollRequest) -> Result<EnrollResponse, ApiError> {
        let id = &request.ec2_instance_id;
        if !is_instance_id(id) {
            let why = format!("instance id {id:?}: use letters, digits, hyphens, dots and underscores");
            return Err(ApiError::invalid(why));
        }
        let name = format!("agent:{id}");
        let certificate = self
            .ca
            .sign(&name, &request.csr, self.node.env.wall_ms(), CERTIFICATE_LIFETIME)
            .map_err(|e| ApiError::invalid(e.to_string()))?;
        // Last: a request that is wrong uses no token up.
        if caller.certificate_name.as_deref() != Some(&name) {
            self.use_token(&request.token).await?;
        }
        Ok(EnrollResponse {
            certificate_der: certificate.into(),
            ca_der: Bytes::copy_from_slice(self.ca.certificate_der()),
            error: String::new(),
        })
    }

    async fn use_token(&self, text: &str) -> Result<(), ApiError> {
        let token: JoinToken = text.parse().map_err(|e: TrustError| ApiError::invalid(e.to_string()))?;
        let command = Command {
            kind: Some(command::Kind::UseToken(UseToken {
                id: token.id(),
                secret_sha256: token.secret_sha256().into(),
            })),
            ..Default::default()
        };
        let deadline = self.node.env.now() + WRITE;
        self.node.submit(command, deadline).await?;
        Ok(())
    }
}

impl Handler for Enroll {
    fn handles(&self, method: &str) -> bool {
        method == ENROLL
    }

    fn call(self: Arc<Self>, caller: Caller, _: String, body: Bytes) -> BoxFuture<'static, Result<Bytes, NetError>> {
        Box::pin(async move {
            let request = EnrollRequest::decode(body).map_err(|e| NetError::Broken(e.to_string()))?;
            let answer = match self.answer(caller, request).await {
                Ok(answer) => answer,
                // The agent asks again, here or elsewhere.
                Err(error) if error.code == ErrorCode::NoLeader => return Err(NetError::Broken(error.message)),
                Err(error) => EnrollResponse { error: error.message, ..Default::default() },
            };
            Ok(answer.encode_to_vec().into())
        })
    }
}
