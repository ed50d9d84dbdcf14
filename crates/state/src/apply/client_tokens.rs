//! Idempotency tokens of clients (hard part 5): the same request has one effect for as long as its token lives.

use prost::Message;
use seawall_model::{ApiError, ClusterId, ErrorCode, ServiceId};
use seawall_proto::internal::v1::{ClientToken, ClientTokenRow, Reply, reply};

use super::Apply;
use crate::{Change, ClientTokenKey, State, task_id};

/// Tokens that one command expires at most: idle time is caught up over several commands.
const EXPIRED_A_COMMAND: usize = 16;

impl Apply<'_> {
    /// Forgets tokens whose time is over. Expiry happens here and nowhere else, so that idle means no entries.
    pub(super) fn expire_client_tokens(&mut self) {
        let due = self.state.index.token_expiry.iter().take_while(|(at, _)| *at <= self.now_ms);
        let keys: Vec<ClientTokenKey> = due.take(EXPIRED_A_COMMAND).map(|(_, key)| key.clone()).collect();
        for key in &keys {
            self.state.remove_client_token(key);
            self.changed(Change::Bookkeeping);
        }
    }

    /// What the request with this token answered before, if it is a repetition.
    pub(super) fn client_token_seen(&self, token: Option<&ClientToken>) -> Result<Option<reply::Kind>, ApiError> {
        let Some(token) = token else { return Ok(None) };
        let seen = self.state.answer_of_token(self.principal.account, token, self.now_ms)?;
        let limit = self.limits().client_tokens;
        if seen.is_none() && self.state.client_tokens.len() >= limit as usize {
            let message = format!("{limit} client tokens are live, which is the limit; try again later.");
            return Err(ApiError::new(ErrorCode::Overloaded, message));
        }
        Ok(seen)
    }

    /// Keeps the answer for a repetition.
    pub(super) fn record_client_token(&mut self, token: Option<&ClientToken>, reply: &[u8]) {
        let Some(token) = token else { return };
        let ttl_ms = i64::try_from(self.limits().client_token_ttl_ms).unwrap_or(i64::MAX);
        let row = ClientTokenRow {
            account: self.principal.account,
            cluster_id: token.cluster_id,
            operation: token.operation.clone(),
            token: token.token.clone(),
            request_sha256: token.request_sha256.clone(),
            expires_at_ms: self.now_ms.saturating_add(ttl_ms),
            reply: reply.to_vec().into(),
        };
        self.state.put_client_token(key(self.principal.account, token), row);
        self.changed(Change::Bookkeeping);
    }
}

fn key(account: u32, token: &ClientToken) -> ClientTokenKey {
    (account, token.cluster_id, token.operation.clone(), token.token.clone())
}

impl State {
    /// What the request with this token answered before, if it is a repetition at this cluster time.
    ///
    /// # Errors
    /// `ConflictException` with the ARNs of what it made, if it was another request.
    pub fn answer_of_token(
        &self,
        account: u32,
        token: &ClientToken,
        now_ms: i64,
    ) -> Result<Option<reply::Kind>, ApiError> {
        let row = self.client_tokens.get(&key(account, token)).filter(|row| row.expires_at_ms > now_ms);
        let Some(row) = row else { return Ok(None) };
        let recorded = Reply::decode(row.reply.as_ref()).ok().and_then(|reply| reply.kind);
        if row.request_sha256 == token.request_sha256 {
            return Ok(recorded);
        }
        let message = format!("The client token {} was used for another request.", token.token);
        let resource_ids = recorded.map(|kind| self.arns_of(&kind, token)).unwrap_or_default();
        Err(ApiError { resource_ids, ..ApiError::new(ErrorCode::Conflict, message) })
    }

    /// ARNs of what a recorded answer made.
    fn arns_of(&self, kind: &reply::Kind, token: &ClientToken) -> Vec<String> {
        let arns = self.arns();
        let Some(cluster) = self.clusters.get(&ClusterId(token.cluster_id)) else { return Vec::new() };
        match kind {
            reply::Kind::Placed(placed) => {
                placed.tasks.iter().map(|id| arns.task(&cluster.name, task_id(id))).collect()
            }
            reply::Kind::Done(done) => {
                let service = self.services.get(&ServiceId(done.id));
                service.map(|row| arns.service(&cluster.name, &row.name)).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }
}
