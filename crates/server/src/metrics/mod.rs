//! What an operator's Prometheus reads at `/metrics`.
//!
//! [`Metrics`] counts what happens. What is (who leads, how many tasks run) is read when the page is asked for ([`member`],
//! [`cluster`]), so a member that nobody asks does nothing for it. A metric's name, unit and meaning stand where it is
//! registered; the table of docs/metrics.md is made from a page.

mod asked;
mod cluster;
#[cfg(test)]
mod docs;
mod ignored;
mod member;
mod operation;
mod page;
mod process;
#[cfg(test)]
mod tests;

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};

use ignored::Ignored;
use operation::operation;

pub(crate) use asked::{Asked, OK, Protocol};
pub(crate) use page::page;

/// Before every name.
const PREFIX: &str = "seawall";
/// In place of names that are not counted by themselves.
pub(crate) const OTHER: &str = "other";
/// Upper bounds of the durations of requests, seconds.
const DURATIONS_S: [f64; 6] = [0.005, 0.02, 0.1, 0.5, 2.0, 10.0];
/// Upper bounds of the commands of one entry.
const ENTRY_COMMANDS: [f64; 7] = [1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0];

/// What one member has counted since it started.
pub(crate) struct Metrics {
    requests: Family<OfRequest, Counter>,
    durations: Family<OfOperation, Histogram, fn() -> Histogram>,
    stored: Family<OfMember, Counter>,
    ignored: Ignored,
    leaders: Counter,
    barriers: Family<OfOutcome, Counter>,
    entries: Histogram,
    replanned: Counter,
    refused: Family<OfLimit, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRequest {
    operation: &'static str,
    protocol: &'static str,
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOperation {
    operation: &'static str,
}

/// Of a member of a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct OfMember {
    operation: &'static str,
    member: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOutcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfLimit {
    limit: &'static str,
}

/// What refuses a write before it is looked at, or after it was looked at too often.
#[derive(Clone, Copy)]
pub(crate) enum WriteLimit {
    /// Too many wait.
    Writes,
    /// Those that wait are too large together.
    Bytes,
    /// It was planned again too often.
    Tries,
}

impl Metrics {
    /// Nothing has happened yet.
    pub(crate) fn new() -> Metrics {
        Metrics {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(DURATIONS_S)),
            stored: Family::default(),
            ignored: Ignored::default(),
            leaders: Counter::default(),
            barriers: Family::default(),
            entries: Histogram::new(ENTRY_COMMANDS),
            replanned: Counter::default(),
            refused: Family::default(),
        }
    }

    /// Adds what was counted; names end in their unit, and those of counters in `_total`.
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "requests",
            "Requests of clients, by protocol (query is STS's) and code: OK, the exception, gone where the client left before its \
             answer, other where the message was none; GetCallerIdentity, and what is no operation, are other",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "request_duration",
            "From a request to its answer, of a stream to its start",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register(
            "stored_members_used",
            "Uses of members that are stored and have no effect in this version, in requests that this member took as the \
             leader; retries that are known as such (client tokens, SDKs' invocation ids) are not counted",
            self.stored.clone(),
        );
        registry.register(
            "ignored_empty_members",
            "Members that this version does not know, ignored since they were null, empty or false; where they are many or their \
             names long they are other",
            self.ignored.counts.clone(),
        );
        let help = "Elections of which this member saw who won";
        registry.register("leadership_changes", help, self.leaders.clone());
        let help =
            "Linearizable reads that asked the leader for its index, and were answered (ok) or not in time (late)";
        registry.register("read_barriers", help, self.barriers.clone());
        let help = "Commands in a log entry that this member proposed as the leader; the count is that of the entries";
        registry.register("proposed_entry_commands", help, self.entries.clone());
        let help = "Writes that this member planned again, since what they rest on had changed";
        registry.register("writes_replanned", help, self.replanned.clone());
        registry.register(
            "writes_refused",
            "Writes that this member refused as the leader: too many waited, too many bytes of them, or one was planned again too \
             often (tries)",
            self.refused.clone(),
        );
    }

    fn answered(&self, of: OfRequest, took: Duration) {
        self.durations.get_or_create(&OfOperation { operation: of.operation }).observe(took.as_secs_f64());
        self.requests.get_or_create(&of).inc();
    }

    /// A request was done that used these members, which are only stored.
    pub(crate) fn stored(&self, name: &str, members: &[String]) {
        for member in members {
            let of = OfMember { operation: operation(name), member: member.clone() };
            self.stored.get_or_create(&of).inc();
        }
    }

    /// A request held these members, which are not known and were used for nothing.
    pub(crate) fn ignored(&self, name: &str, members: Vec<String>) {
        members.into_iter().for_each(|member| self.ignored.count(operation(name), member));
    }

    /// A member was seen to lead a new term.
    pub(crate) fn elected(&self) {
        self.leaders.inc();
    }

    /// A read asked for an index.
    pub(crate) fn barrier(&self, is_late: bool) {
        let outcome = if is_late { "late" } else { "ok" };
        self.barriers.get_or_create(&OfOutcome { outcome }).inc();
    }

    /// An entry of so many commands was proposed.
    pub(crate) fn proposed(&self, commands: usize) {
        self.entries.observe(commands as f64);
    }

    /// A write is planned again.
    pub(crate) fn replanned(&self) {
        self.replanned.inc();
    }

    /// A write was refused.
    pub(crate) fn refused(&self, limit: WriteLimit) {
        let limit = match limit {
            WriteLimit::Writes => "writes",
            WriteLimit::Bytes => "bytes",
            WriteLimit::Tries => "tries",
        };
        self.refused.get_or_create(&OfLimit { limit }).inc();
    }
}
