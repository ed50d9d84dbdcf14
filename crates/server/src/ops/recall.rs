//! What a read knows of history.
//!
//! Operations are pure, and history is in files. So a read is answered with what is known of history, which is nothing at
//! first, and notes what it lacked; that is loaded, and the read is answered again from the same state.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use seawall_model::{ClusterId, TaskId};
use seawall_proto::internal::v1::HistoryRow;

use crate::history::{Found, Lookup, PageOf, Paged};

/// See the module.
#[derive(Default)]
pub struct Recall {
    records: BTreeMap<Lookup, Option<Arc<HistoryRow>>>,
    pages: BTreeMap<PageOf, Paged>,
    lacked: RefCell<Lacked>,
}

/// What a read would have liked to know.
#[derive(Default)]
pub(crate) struct Lacked {
    pub(crate) lookups: BTreeSet<Lookup>,
    pub(crate) pages: BTreeSet<PageOf>,
}

impl Recall {
    /// A task that left the state.
    pub(crate) fn task(&self, cluster: ClusterId, id: TaskId) -> Option<Arc<HistoryRow>> {
        self.record(Lookup::Task(cluster, id))
    }

    /// The deleted service of this name that left the state last.
    pub(crate) fn service(&self, cluster: ClusterId, name: &str) -> Option<Arc<HistoryRow>> {
        self.record(Lookup::Service(cluster, name.to_owned()))
    }

    fn record(&self, lookup: Lookup) -> Option<Arc<HistoryRow>> {
        match self.records.get(&lookup) {
            Some(known) => known.clone(),
            None => {
                self.lacked.borrow_mut().lookups.insert(lookup);
                None
            }
        }
    }

    /// A page of history.
    pub(crate) fn page(&self, of: PageOf) -> Paged {
        match self.pages.get(&of) {
            Some(known) => known.clone(),
            None => {
                self.lacked.borrow_mut().pages.insert(of);
                Paged::default()
            }
        }
    }

    /// What was lacked since this was asked last; `None` where the answer is whole.
    pub(crate) fn take_lacked(&mut self) -> Option<Lacked> {
        let lacked = std::mem::take(self.lacked.get_mut());
        (!lacked.lookups.is_empty() || !lacked.pages.is_empty()).then_some(lacked)
    }

    /// Learns what these lookups find.
    pub(crate) fn learn(&mut self, lookups: BTreeSet<Lookup>, mut found: Found) {
        for lookup in lookups {
            let record = found.remove(&lookup);
            self.records.insert(lookup, record);
        }
    }

    /// Learns a page.
    pub(crate) fn learn_page(&mut self, of: PageOf, page: Paged) {
        self.pages.insert(of, page);
    }
}
