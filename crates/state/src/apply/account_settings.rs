//! Account settings: kept and shown as ECS does.

use std::sync::Arc;

use seawall_model::{ApiError, ErrorCode};
use seawall_proto::internal::v1::{AccountSettingRow, DeleteAccountSetting, PutAccountSetting};

use super::{Apply, Outcome, done};
use crate::Change;

/// Settings of all accounts and principals.
const SETTINGS_MAX: usize = 10_000;

impl Apply<'_> {
    pub(super) fn put_account_setting(&mut self, it: &PutAccountSetting) -> Outcome {
        let account = self.principal.account;
        let key = (account, it.principal_arn.clone(), it.name.clone());
        if self.state.account_settings.get(&key).is_none() && self.state.account_settings.len() >= SETTINGS_MAX {
            let message = format!("{SETTINGS_MAX} account settings exist, which is the limit.");
            return Err(ApiError::new(ErrorCode::LimitExceeded, message).into());
        }
        let row = AccountSettingRow {
            account,
            principal_arn: it.principal_arn.clone(),
            name: it.name.clone(),
            value: it.value.clone(),
            changed: self.index,
        };
        self.state.account_settings.put(key, Arc::new(row));
        self.changed(Change::Bookkeeping);
        Ok(done(0))
    }

    /// A setting that was not set is deleted all the same, as in ECS.
    pub(super) fn delete_account_setting(&mut self, it: &DeleteAccountSetting) -> Outcome {
        let key = (self.principal.account, it.principal_arn.clone(), it.name.clone());
        self.state.account_settings.remove(&key);
        self.changed(Change::Bookkeeping);
        Ok(done(0))
    }
}
