//! `dev.json`: what runs now, for people, tests and `seawall zone`. Replaced as a whole, so that no reader sees half.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use seawall_env::Env;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// How a zone stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ZoneState {
    /// As it should be.
    Up,
    /// Without power.
    Killed,
    /// Silent.
    Cut,
}

/// One process.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Process {
    /// "server" or "agent".
    pub role: String,
    /// The member's name, or the instance's id.
    pub name: String,
    /// Its zone.
    pub zone: String,
    /// Absent while it is dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Where clients reach it, if it is a member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

/// The whole file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Board {
    /// Every process.
    pub processes: Vec<Process>,
    /// How the zones stand.
    pub zones: BTreeMap<String, ZoneState>,
    /// What runs the tasks.
    pub runtime: String,
    /// Of dev itself.
    pub pid: u32,
}

/// Where it is.
pub fn file(folder: &Path) -> PathBuf {
    folder.join("dev.json")
}

impl Board {
    /// Where clients reach the members.
    pub fn endpoints(&self) -> Vec<String> {
        self.processes.iter().filter_map(|process| process.endpoint.clone()).collect()
    }

    /// Reads it; `None` where dev never ran.
    pub fn load(env: &Env, folder: &Path) -> Result<Option<Board>, Failure> {
        let path = file(folder);
        let refuse = |why: String| Failure::refused(format!("{}: {why}", path.display()));
        let Some(bytes) = env.fs().read(&path).map_err(|e| refuse(e.to_string()))? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|e| refuse(e.to_string()))
    }

    /// Writes it.
    pub fn save(&self, env: &Env, folder: &Path) -> Result<(), Failure> {
        let path = file(folder);
        let bytes = serde_json::to_vec_pretty(self).map_err(|e| Failure::refused(e.to_string()))?;
        env.fs().write_atomic(&path, &bytes, 0o644).map_err(|e| Failure::refused(format!("{}: {e}", path.display())))
    }
}
