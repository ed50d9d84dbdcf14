//! Who this member is, in its data folder and nowhere else.

use std::path::{Path, PathBuf};

use seawall_env::Env;
use seawall_model::MemberId;
use serde::{Deserialize, Serialize};

use super::ServerError;

const FILE: &str = "identity.json";

/// The content of `identity.json`.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Identity {
    pub(crate) cluster_id: String,
    pub(crate) member_id: u64,
    pub(crate) name: String,
    pub(crate) zone: String,
    pub(crate) epoch: u64,
    /// Rises at each start: a write forwarded before a restart is never taken for one after it.
    pub(crate) boot: u64,
    /// A log was made: without it this member must not vote again.
    #[serde(default)]
    pub(crate) had_log: bool,
    /// Fingerprint of the secret that it was first started with; empty where members speak without TLS.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) secret: String,
    /// The members of a cluster that this one is to initialise; empty once it has. A crash in between is resumed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) forming: Vec<FormingMember>,
}

/// One member of a cluster that forms.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct FormingMember {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) zone: String,
    pub(crate) peer_address: String,
}

impl Identity {
    pub(crate) fn id(&self) -> MemberId {
        MemberId(self.member_id)
    }

    pub(crate) fn cluster_bytes(&self) -> Vec<u8> {
        u128::from_str_radix(&self.cluster_id, 16).unwrap_or_default().to_be_bytes().to_vec()
    }

    /// Reads the folder's identity; `None` for an empty folder.
    pub(crate) fn load(env: &Env, folder: &Path) -> Result<Option<Identity>, ServerError> {
        let path = file(folder);
        let bytes = env.fs().read(&path).map_err(|e| ServerError::Folder(folder.into(), e.to_string()))?;
        let Some(bytes) = bytes else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|e| {
            ServerError::Folder(
                folder.into(),
                format!("{FILE} does not parse: {e}. next: restore it, or empty the folder to join as a new member"),
            )
        })
    }

    pub(crate) fn save(&self, env: &Env, folder: &Path) -> Result<(), ServerError> {
        let bytes = serde_json::to_vec_pretty(self).map_err(|e| ServerError::Folder(folder.into(), e.to_string()))?;
        env.fs()
            .write_atomic(&file(folder), &bytes, 0o600)
            .map_err(|e| ServerError::Folder(folder.into(), e.to_string()))
    }
}

fn file(folder: &Path) -> PathBuf {
    folder.join(FILE)
}
