//! What left the state, for as long as it is kept (hard part 10).
//!
//! `apply` turns what leaves the tables into records, which are rows of the state themselves (`State::history_open`): hashed,
//! in snapshots, the same everywhere. Once they are enough for a segment the leader has every member write them to a file
//! ([`store`]), and only when most voters have the same bytes synced does it propose to seal them: that takes the rows out of
//! the state and lists the file. So no snapshot and no purge of the log can lose what was sealed. A member that lacks a file
//! that is listed fetches it ([`keep`]), and until then asks the others ([`find`], [`page`]). The segments that are past their
//! age, or too many, are dropped by another command.
//!
//! Losing every hint costs nothing here: each member looks at the state by itself.

mod fetch;
mod files;
mod find;
mod keep;
mod page;
mod segment;
mod store;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use seawall_env::Env;
use seawall_model::{ClusterId, MemberId, TaskId};
use seawall_proto::internal::v1::{HistoryKind, HistoryLookup, HistoryRow, HistorySegmentRow};
use seawall_state::{State, task_id, task_id_message};

pub(crate) use fetch::serve_fetch;
#[cfg(test)]
pub(crate) use find::find_open;
pub(crate) use find::{Found, find, serve_find};
pub(crate) use keep::keep;
pub(crate) use page::{PageOf, Paged, page};
pub(crate) use store::serve_store;

use crate::api::Node;
use files::Files;

const FOLDER: &str = "history";

/// One member's files of history.
pub(crate) struct History {
    files: Files,
    /// A file that is listed was not there, or damaged: it is time to look at all of them.
    lacks: AtomicBool,
}

impl History {
    /// Of a data folder, before anything else uses it.
    ///
    /// # Errors
    /// The folder cannot be used.
    pub(crate) async fn open(env: &Env, data_dir: &Path) -> std::io::Result<History> {
        let files = Files::new(env.fs(), data_dir.join(FOLDER));
        let swept = files.clone();
        env.thread("history", move || swept.sweep()).await?;
        Ok(History { files, lacks: AtomicBool::new(true) })
    }

    fn note_lack(&self) {
        self.lacks.store(true, Ordering::Relaxed);
    }
}

/// A record that someone asks for by name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Lookup {
    /// A stopped task.
    Task(ClusterId, TaskId),
    /// The deleted service that had this name last.
    Service(ClusterId, String),
}

impl Lookup {
    /// What finds this record; `None` for those that are only listed.
    fn of(row: &HistoryRow) -> Option<Lookup> {
        let cluster = ClusterId(row.cluster_id);
        match row.kind() {
            HistoryKind::Task => Some(Lookup::Task(cluster, task_id(row.id.as_ref()?))),
            HistoryKind::Service => Some(Lookup::Service(cluster, row.service_name.clone())),
            HistoryKind::ServiceEvent | HistoryKind::Unspecified => None,
        }
    }

    fn of_message(message: HistoryLookup) -> Lookup {
        let cluster = ClusterId(message.cluster_id);
        match message.task {
            Some(id) => Lookup::Task(cluster, task_id(&id)),
            None => Lookup::Service(cluster, message.service_name),
        }
    }

    fn message(&self) -> HistoryLookup {
        match self {
            Lookup::Task(cluster, id) => {
                HistoryLookup { cluster_id: cluster.0, task: Some(task_id_message(*id)), ..HistoryLookup::default() }
            }
            Lookup::Service(cluster, name) => {
                HistoryLookup { cluster_id: cluster.0, service_name: name.clone(), ..HistoryLookup::default() }
            }
        }
    }
}

/// Every segment that the state lists, oldest first.
fn listed(state: &State) -> Vec<Arc<HistorySegmentRow>> {
    state.history_segments.iter().map(|(_, row)| row.clone()).collect()
}

/// Where the other members are.
fn others(node: &Node) -> Vec<(MemberId, String)> {
    let membership = node.consensus.membership();
    let ids = membership.voters.keys().chain(membership.learners.keys()).filter(|id| **id != node.identity.id());
    ids.filter_map(|id| Some((*id, node.peer_address(*id)?))).collect()
}
