//! The seam under the store: what must outlive the process.

use std::{io, ops::Range};

use bytes::Bytes;

use crate::{
    StartError,
    raft::{LogId, Vote},
};

/// Whose log it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Two members of one vote would elect two leaders in a term.
    pub member_id: u64,
    /// Empty: not known yet.
    pub cluster_id: Vec<u8>,
    /// The member has had a log before; not part of the mark.
    pub had_log: bool,
}

/// What a disk held when it was opened.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Recovered {
    pub vote: Option<Vote>,
    /// Never past `last`.
    pub committed: Option<LogId>,
    /// Everything up to here is in a snapshot, and gone.
    pub purged: Option<LogId>,
    /// Index of the first entry; of the one after `purged` where there is none.
    pub first: u64,
    /// The last entry; `purged` where there is none.
    pub last: Option<LogId>,
}

/// One change, in the order of the log's own operations.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    Vote(Vote),
    Committed(LogId),
    /// A record as [`super::record`] makes it.
    Append {
        index: u64,
        record: Bytes,
    },
    /// This entry and all after it go.
    TruncateFrom(u64),
    /// This entry and all before it go, soon: [`Disk::tidy`] does the work.
    Purge(LogId),
}

/// Holds changes. One writer calls `write` and `tidy`; anyone reads.
pub(crate) trait Disk: Send + Sync + 'static {
    /// Checks whose log it is, marking an empty one, and reads what it holds.
    fn recover(&self, identity: &Identity) -> Result<Recovered, StartError>;
    /// All changes or none; on return they survive a loss of power.
    fn write(&self, changes: Vec<Change>) -> io::Result<()>;
    /// Records in order from the start of `indexes`, until one is missing or they make up `bytes_max`; at least one
    /// where there is one.
    fn read(&self, indexes: Range<u64>, bytes_max: usize) -> io::Result<Vec<(u64, Bytes)>>;
    /// Removes some of what was purged; true while there is more. Small steps, so that writes do not wait for it.
    fn tidy(&self) -> io::Result<bool>;
}

/// Compares the mark of a disk with who opens it. `None`: it is to be written.
pub(crate) fn check_identity(
    found: Option<Identity>,
    expected: &Identity,
    folder: &std::path::Path,
) -> Result<Option<Identity>, StartError> {
    use seawall_model::MemberId;
    let Some(found) = found else {
        return match expected.had_log {
            true => Err(StartError::LogGone(folder.to_owned())),
            false => Ok(Some(expected.clone())),
        };
    };
    if found.member_id != expected.member_id {
        return Err(StartError::WrongMember {
            folder: folder.to_owned(),
            found: MemberId(found.member_id),
            expected: MemberId(expected.member_id),
        });
    }
    if expected.cluster_id.is_empty() || found.cluster_id == expected.cluster_id {
        return Ok(None);
    }
    match found.cluster_id.is_empty() {
        true => Ok(Some(expected.clone())),
        false => Err(StartError::WrongCluster(folder.to_owned())),
    }
}
