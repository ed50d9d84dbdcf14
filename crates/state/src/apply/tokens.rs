//! Join tokens.

use std::sync::Arc;

use seawall_model::{ApiError, ErrorCode};
use seawall_proto::internal::v1::{DropToken, PutToken, TokenRow, UseToken};

use super::{Apply, Outcome, done};
use crate::Change;

/// Join tokens that exist at once.
const TOKENS_MAX: usize = 1000;

impl Apply<'_> {
    pub(super) fn put_token(&mut self, it: &PutToken) -> Outcome {
        let row = it.token.clone().unwrap_or_default();
        if row.id.is_empty() || row.secret_sha256.is_empty() {
            return Err(ApiError::invalid("A token has an id and a secret.").into());
        }
        let dead = |row: &TokenRow| self.is_over(row);
        let expired: Vec<String> =
            self.state.tokens.iter().filter(|(_, row)| dead(row)).map(|(id, _)| id.clone()).collect();
        let is_new = self.state.tokens.get(&row.id).is_none();
        if is_new && self.state.tokens.len() - expired.len() >= TOKENS_MAX {
            let message = format!("{TOKENS_MAX} tokens exist, which is the limit; drop some first.");
            return Err(ApiError::new(ErrorCode::LimitExceeded, message).into());
        }
        for id in &expired {
            self.state.tokens.remove(id);
        }
        self.state.tokens.put(row.id.clone(), Arc::new(row));
        self.changed(Change::Bookkeeping);
        Ok(done(0))
    }

    pub(super) fn use_token(&mut self, it: &UseToken) -> Outcome {
        let row = self.state.tokens.get(&it.id).filter(|row| row.secret_sha256 == it.secret_sha256);
        let Some(row) = row else {
            return Err(denied("The token is not known: it was dropped, used up, or never made.").into());
        };
        if self.is_over(row) {
            return Err(denied("The token has expired or is used up.").into());
        }
        if row.limited {
            let mut row = TokenRow::clone(row);
            row.uses_left -= 1;
            self.state.tokens.put(it.id.clone(), Arc::new(row));
            self.changed(Change::Bookkeeping);
        }
        Ok(done(0))
    }

    pub(super) fn drop_token(&mut self, it: &DropToken) -> Outcome {
        if self.state.tokens.remove(&it.id).is_none() {
            let message = format!("There is no token {:?}.", it.id);
            return Err(ApiError::new(ErrorCode::ResourceNotFound, message).into());
        }
        self.changed(Change::Bookkeeping);
        Ok(done(0))
    }

    fn is_over(&self, row: &TokenRow) -> bool {
        (row.limited && row.uses_left == 0) || (row.expires_at_ms != 0 && row.expires_at_ms <= self.now_ms)
    }
}

fn denied(message: &str) -> ApiError {
    ApiError::new(ErrorCode::AccessDenied, message)
}
