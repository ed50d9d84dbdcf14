//! Retries of SDKs (hard part 5): boto3 and the Go SDK send a call again under one invocation id until it is answered, also for
//! operations that take no client token. Unlike a client token, which its caller may rely on, an invocation is only
//! remembered for as long as an SDK retries, and never stands in another write's way: the oldest give way.

use prost::Message;
use seawall_proto::internal::v1::{Invocation, InvocationRow, Principal, Reply, reply};

use super::{Apply, DEFAULT_LIMITS};
use crate::{Change, InvocationKey, State};

/// Far longer than any SDK retries.
const TTL_MS: i64 = 15 * 60 * 1000;
/// Invocations that one command forgets at most: idle time is caught up over several commands.
const EXPIRED_A_COMMAND: usize = 16;

impl Apply<'_> {
    /// Forgets invocations whose time is over.
    pub(super) fn expire_invocations(&mut self) {
        let due = self.state.index.invocation_expiry.iter().take_while(|(at, _)| *at <= self.now_ms);
        let keys: Vec<InvocationKey> = due.take(EXPIRED_A_COMMAND).map(|(_, key)| key.clone()).collect();
        self.forget_invocations(&keys);
    }

    /// What this call answered before, if it is a retry.
    pub(super) fn invocation_seen(&self, invocation: Option<&Invocation>) -> Option<reply::Kind> {
        self.state.answer_of_invocation(self.principal, invocation?, self.now_ms)
    }

    /// Keeps the answer for a retry.
    pub(super) fn record_invocation(&mut self, invocation: Option<&Invocation>, reply: &[u8]) {
        let Some(invocation) = invocation else { return };
        self.state.put_invocation(InvocationRow {
            account: self.principal.account,
            name: self.principal.name.clone(),
            operation: invocation.operation.clone(),
            id: invocation.id.clone(),
            request_sha256: invocation.request_sha256.clone(),
            ordinal: invocation.ordinal,
            expires_at_ms: self.now_ms.saturating_add(TTL_MS),
            reply: reply.to_vec().into(),
        });
        self.changed(Change::Bookkeeping);
        let limit = match self.limits().invocations {
            0 => DEFAULT_LIMITS.invocations,
            limit => limit,
        };
        let surplus = self.state.invocations.len().saturating_sub(limit as usize);
        let oldest = self.state.index.invocation_expiry.iter().take(surplus);
        let keys: Vec<InvocationKey> = oldest.map(|(_, key)| key.clone()).collect();
        self.forget_invocations(&keys);
    }

    fn forget_invocations(&mut self, keys: &[InvocationKey]) {
        for key in keys {
            self.state.remove_invocation(key);
            self.changed(Change::Bookkeeping);
        }
    }
}

impl State {
    /// What this call of an SDK answered before, if it is a retry at this cluster time: the same caller, operation and body.
    pub fn answer_of_invocation(
        &self,
        principal: &Principal,
        invocation: &Invocation,
        now_ms: i64,
    ) -> Option<reply::Kind> {
        let row = self.invocations.get(&(invocation.id.clone(), invocation.ordinal))?;
        let same = row.account == principal.account
            && row.name == principal.name
            && row.operation == invocation.operation
            && row.request_sha256 == invocation.request_sha256
            && row.expires_at_ms > now_ms;
        if !same {
            return None;
        }
        Reply::decode(row.reply.as_ref()).ok()?.kind
    }
}
