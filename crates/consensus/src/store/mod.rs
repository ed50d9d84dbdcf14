//! Where log, vote and committed index live.
//!
//! [`LogStore`] is what openraft sees: entries are readable as soon as they are handed in, and one writer puts
//! everything on a [`Disk`] in order, many changes in one synced batch. There are two disks: sled, and memory for
//! simulations; both run under the same store and the same tests.

mod disk;
mod log;
mod memory;
mod record;
mod sled;
mod tail;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use self::{
    disk::{Disk, Identity},
    log::LogStore,
    sled::SledDisk,
};

pub use memory::MemoryStore;

/// Which store holds log and vote.
pub enum StoreKind {
    /// sled in the data folder, with real syncs.
    Sled,
    /// In memory, for simulations.
    Memory(MemoryStore),
}
