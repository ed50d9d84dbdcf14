//! Clients' access keys. Secrets come sealed and are never opened here.

use std::sync::Arc;

use seawall_model::{
    ApiError, ErrorCode, is_access_key_id, limits::ACCESS_KEYS_MAX, limits::KEY_DESCRIPTION_CHARS_MAX,
};
use seawall_proto::internal::v1::{AccessKeyRow, DropAccessKey, PutAccessKey, SetAccessKeyStatus, principal};

use super::{Apply, Outcome, done};
use crate::Change;

/// A secret of 40 characters with what sealing adds takes a quarter of it.
const SEALED_BYTES_MAX: usize = 256;

impl Apply<'_> {
    pub(super) fn put_access_key(&mut self, it: &PutAccessKey) -> Outcome {
        let key = it.key.clone().unwrap_or_default();
        check(&key)?;
        if self.state.access_keys.get(&key.id).is_some() {
            return Err(ApiError::new(ErrorCode::Conflict, format!("The access key {} exists.", key.id)).into());
        }
        if self.state.access_keys.len() >= ACCESS_KEYS_MAX {
            let message = format!("{ACCESS_KEYS_MAX} access keys exist, which is the limit; delete some first.");
            return Err(ApiError::new(ErrorCode::LimitExceeded, message).into());
        }
        let (created_by, created_at_ms) = (self.who(), self.now_ms);
        self.keep_access_key(AccessKeyRow { account: self.principal.account, created_by, created_at_ms, ..key })
    }

    pub(super) fn set_access_key_status(&mut self, it: &SetAccessKeyStatus) -> Outcome {
        let row = self.state.access_keys.get(&it.id).ok_or_else(|| unknown(&it.id))?;
        if row.active == it.active {
            return Ok(done(0));
        }
        let row = AccessKeyRow { active: it.active, ..AccessKeyRow::clone(row) };
        self.keep_access_key(row)
    }

    pub(super) fn drop_access_key(&mut self, it: &DropAccessKey) -> Outcome {
        self.state.access_keys.remove(&it.id).ok_or_else(|| unknown(&it.id))?;
        self.changed(Change::Bookkeeping);
        Ok(done(0))
    }

    fn keep_access_key(&mut self, row: AccessKeyRow) -> Outcome {
        let (changed, changed_by, changed_at_ms) = (self.index, self.who(), self.now_ms);
        let row = AccessKeyRow { changed, changed_by, changed_at_ms, ..row };
        self.state.access_keys.put(row.id.clone(), Arc::new(row));
        self.changed(Change::Bookkeeping);
        Ok(done(0))
    }

    /// Who asked, as rows keep it.
    fn who(&self) -> String {
        match self.principal.kind() {
            principal::Kind::Anonymous => "anonymous".to_owned(),
            principal::Kind::LocalSocket => "local-socket".to_owned(),
            _ => self.principal.name.clone(),
        }
    }
}

fn check(key: &AccessKeyRow) -> Result<(), ApiError> {
    if !is_access_key_id(&key.id) {
        return Err(ApiError::invalid("An access key's id is AKIA and 16 upper-case letters and digits."));
    }
    if key.sealed_secret.is_empty() || key.sealed_secret.len() > SEALED_BYTES_MAX {
        return Err(ApiError::invalid(format!("A sealed secret has 1 to {SEALED_BYTES_MAX} bytes.")));
    }
    if key.description.chars().count() > KEY_DESCRIPTION_CHARS_MAX {
        let message = format!("A key's description has at most {KEY_DESCRIPTION_CHARS_MAX} characters.");
        return Err(ApiError::invalid(message));
    }
    Ok(())
}

fn unknown(id: &str) -> ApiError {
    ApiError::new(ErrorCode::ResourceNotFound, format!("There is no access key {id:?}."))
}
