//! What clients were promised, and what they were shown that breaks a promise.

use std::collections::{BTreeMap, BTreeSet};

use super::{Shared, lock};

/// Clones share it.
#[derive(Clone, Default)]
pub struct Ledger(Shared<Book>);

#[derive(Default)]
struct Book {
    /// Names of clusters whose creation was acknowledged.
    acknowledged: BTreeSet<String>,
    newest: Option<String>,
    /// Writes that were not answered: they may have happened.
    unknown: usize,
    /// Reads that were answered.
    reads: usize,
    /// Every cluster that each watch has told of.
    watched: BTreeMap<String, BTreeSet<String>>,
    broken: Vec<String>,
}

impl Ledger {
    /// A write was answered.
    pub fn acknowledge(&self, name: &str) {
        let mut book = lock(&self.0);
        book.acknowledged.insert(name.to_owned());
        book.newest = Some(name.to_owned());
    }

    /// A write may have happened.
    pub fn unknown(&self) {
        lock(&self.0).unknown += 1;
    }

    /// A read was answered.
    pub fn read(&self) {
        lock(&self.0).reads += 1;
    }

    /// A watch told of a cluster.
    pub fn watched(&self, watch: &str, name: &str) {
        lock(&self.0).watched.entry(watch.to_owned()).or_default().insert(name.to_owned());
    }

    /// A promise was broken before the eyes of a client.
    pub fn broke(&self, how: String) {
        lock(&self.0).broken.push(how);
    }

    /// What was acknowledged so far.
    pub fn acknowledged(&self) -> BTreeSet<String> {
        lock(&self.0).acknowledged.clone()
    }

    /// What was acknowledged last.
    pub fn newest(&self) -> Option<String> {
        lock(&self.0).newest.clone()
    }

    /// What each watch told of so far.
    pub fn told(&self) -> BTreeMap<String, BTreeSet<String>> {
        lock(&self.0).watched.clone()
    }

    /// Promises that were broken.
    pub fn broken(&self) -> Vec<String> {
        lock(&self.0).broken.clone()
    }

    /// Acknowledged writes, writes of unknown outcome, answered reads.
    pub fn counts(&self) -> (usize, usize, usize) {
        let book = lock(&self.0);
        (book.acknowledged.len(), book.unknown, book.reads)
    }
}
