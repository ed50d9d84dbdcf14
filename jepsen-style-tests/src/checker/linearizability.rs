//! Wing and Gong's search with Lowe's memoisation, by key: is there an order of the operations on a register that respects
//! real time and in which every answer is right?
//!
//! Registers are independent, so a history is linearizable if and only if each register's part is. Unknown operations are
//! open: they may take effect at any time after their call, or never. Open operations make the search exponential, but the
//! workload writes each value once, and then almost all of them can be closed without changing the verdict:
//! `close_open_operations` says how.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::history::{Action, Operation, Outcome};

/// Configurations that the search remembers for one key before it gives up: about 1 GiB.
const CONFIGURATIONS_MAX: usize = 8_000_000;

/// Why a history was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// No order explains the answers.
    NotLinearizable {
        /// The register.
        key: u32,
        /// The longest order that explains a part of them, then the operation at which every order fails.
        explained: Vec<Operation>,
        /// The first operation that no order reaches.
        stuck_at: Operation,
    },
    /// Too many open operations to decide; a run that cannot be decided has not passed.
    GaveUp {
        /// The register.
        key: u32,
    },
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Violation::GaveUp { key } => {
                write!(f, "register {key}: undecided after {CONFIGURATIONS_MAX} configurations")
            }
            Violation::NotLinearizable { key, explained, stuck_at } => {
                let last: Vec<String> = explained.iter().rev().take(3).rev().map(describe).collect();
                write!(f, "register {key}: after [{}] nothing explains {}", last.join(", "), describe(stuck_at))
            }
        }
    }
}

fn describe(o: &Operation) -> String {
    let action = match o.action {
        Action::Read(value) => format!("read {value:?}"),
        Action::Write(value) => format!("write {value}"),
        Action::Cas { from, to } => format!("cas {from:?} to {to}"),
    };
    let ms = |ns: u64| ns / 1_000_000;
    format!("{action} by client {} through {} at {}..{} ms", o.client, o.member, ms(o.invoked_ns), ms(o.completed_ns))
}

/// Checks every register of `history`; the violations found, at most one a register.
pub fn check(history: &[Operation]) -> Vec<Violation> {
    let mut by_key: BTreeMap<u32, Vec<&Operation>> = BTreeMap::new();
    for operation in history {
        by_key.entry(operation.key).or_default().push(operation);
    }
    by_key.values().filter_map(|operations| check_register(operations)).collect()
}

fn check_register(operations: &[&Operation]) -> Option<Violation> {
    Search::new(close_open_operations(operations)).run()
}

/// An operation as the search sees it; `returns_ns` is absent while it is open.
#[derive(Clone, Copy)]
struct Step<'a> {
    operation: &'a Operation,
    returns_ns: Option<u64>,
}

/// Leaves out what constrains nothing, and closes open writes.
///
/// Refused operations and unanswered reads had no effect and told nothing. If every value is written once: an open write
/// whose value nobody saw can be taken out of any order that explains the rest (whoever came right after it saw a later
/// value), so it is dropped; one whose value was seen took effect before the first answer that shows it, so it returns
/// then at the latest.
fn close_open_operations<'a>(operations: &[&'a Operation]) -> Vec<Step<'a>> {
    let unique = values_are_unique(operations);
    let mut first_seen_ns: HashMap<u64, Option<u64>> = HashMap::new();
    for o in operations.iter().filter(|o| o.outcome != Outcome::Fail) {
        let Some(value) = seen_value(o) else { continue };
        let answered = (o.outcome == Outcome::Ok).then_some(o.completed_ns);
        let first = first_seen_ns.entry(value).or_default();
        *first = [*first, answered].into_iter().flatten().min();
    }
    operations.iter().filter_map(|o| step(o, unique, &first_seen_ns)).collect()
}

fn step<'a>(o: &'a Operation, unique: bool, first_seen_ns: &HashMap<u64, Option<u64>>) -> Option<Step<'a>> {
    let written = written_value(o);
    match o.outcome {
        Outcome::Fail => None,
        Outcome::Ok => Some(Step { operation: o, returns_ns: Some(o.completed_ns) }),
        Outcome::Unknown => {
            let value = written?;
            if !unique {
                return Some(Step { operation: o, returns_ns: None });
            }
            let seen_ns = *first_seen_ns.get(&value)?;
            // Seen before it was called: left open, and the search finds that nothing explains the one who saw it.
            Some(Step { operation: o, returns_ns: seen_ns.filter(|ns| *ns >= o.invoked_ns) })
        }
    }
}

fn values_are_unique(operations: &[&Operation]) -> bool {
    let mut values = HashSet::new();
    operations.iter().filter_map(|o| written_value(o)).all(|value| values.insert(value))
}

fn written_value(o: &Operation) -> Option<u64> {
    match o.action {
        Action::Read(_) => None,
        Action::Write(value) | Action::Cas { to: value, .. } => Some(value),
    }
}

fn seen_value(o: &Operation) -> Option<u64> {
    match o.action {
        Action::Read(value) if o.outcome == Outcome::Ok => value,
        Action::Cas { from, .. } => from,
        Action::Read(_) | Action::Write(_) => None,
    }
}

/// The register after `action`, or nothing where its answer would be wrong.
fn apply(state: Option<u64>, action: Action) -> Option<Option<u64>> {
    match action {
        Action::Read(value) => (value == state).then_some(state),
        Action::Write(value) => Some(Some(value)),
        Action::Cas { from, to } => (from == state).then_some(Some(to)),
    }
}

/// Calls and returns in real time as a doubly linked list from which an operation is lifted when it has its place in the
/// order. Entry 0 is the head.
struct Entries {
    entries: Vec<Entry>,
}

#[derive(Clone, Copy)]
struct Entry {
    step: usize,
    /// The matching return of a call that has one.
    returns_at: Option<usize>,
    is_call: bool,
    prev: usize,
    next: usize,
}

impl Entries {
    fn new(steps: &[Step<'_>]) -> Self {
        let mut moments: Vec<(u64, bool, usize)> = Vec::new();
        for (i, s) in steps.iter().enumerate() {
            moments.push((s.operation.invoked_ns, false, i));
            moments.extend(s.returns_ns.map(|ns| (ns, true, i)));
        }
        // At one moment calls come first: such operations count as concurrent.
        moments.sort_unstable();
        let head = Entry { step: 0, returns_at: None, is_call: false, prev: 0, next: 0 };
        let mut entries = vec![head; moments.len() + 1];
        let mut call_of = vec![0; steps.len()];
        for (i, (_, is_return, step)) in moments.into_iter().enumerate() {
            let at = i + 1;
            entries[at] = Entry { step, returns_at: None, is_call: !is_return, prev: i, next: 0 };
            entries[i].next = at;
            if is_return {
                entries[call_of[step]].returns_at = Some(at);
            } else {
                call_of[step] = at;
            }
        }
        Entries { entries }
    }

    fn first(&self) -> usize {
        self.entries[0].next
    }

    fn unlink(&mut self, at: usize) {
        let Entry { prev, next, .. } = self.entries[at];
        self.entries[prev].next = next;
        if next != 0 {
            self.entries[next].prev = prev;
        }
    }

    fn relink(&mut self, at: usize) {
        let Entry { prev, next, .. } = self.entries[at];
        self.entries[prev].next = at;
        if next != 0 {
            self.entries[next].prev = at;
        }
    }

    fn lift(&mut self, call: usize) {
        self.unlink(call);
        if let Some(at) = self.entries[call].returns_at {
            self.unlink(at);
        }
    }

    fn unlift(&mut self, call: usize) {
        if let Some(at) = self.entries[call].returns_at {
            self.relink(at);
        }
        self.relink(call);
    }
}

/// Which steps have their place in the order.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Placed(Vec<u64>);

impl Placed {
    fn flip(&mut self, step: usize) {
        self.0[step / 64] ^= 1 << (step % 64);
    }
}

struct Search<'a> {
    steps: Vec<Step<'a>>,
    entries: Entries,
    state: Option<u64>,
    placed: Placed,
    /// Answered steps without a place: none left means that the history is explained.
    unplaced: usize,
    /// Calls in the order chosen so far, each with the state before it.
    order: Vec<(usize, Option<u64>)>,
    seen: HashSet<(Placed, Option<u64>)>,
    /// The order that explained most, and the step whose return could not be passed.
    best: (Vec<usize>, usize),
}

impl<'a> Search<'a> {
    fn new(steps: Vec<Step<'a>>) -> Self {
        Search {
            entries: Entries::new(&steps),
            state: None,
            placed: Placed(vec![0; steps.len().div_ceil(64)]),
            unplaced: steps.iter().filter(|s| s.returns_ns.is_some()).count(),
            order: Vec::new(),
            seen: HashSet::new(),
            best: (Vec::new(), 0),
            steps,
        }
    }

    fn run(mut self) -> Option<Violation> {
        let mut at = self.entries.first();
        while self.unplaced > 0 {
            if self.seen.len() > CONFIGURATIONS_MAX {
                return Some(Violation::GaveUp { key: self.steps[0].operation.key });
            }
            let entry = self.entries.entries[at];
            at = if at != 0 && entry.is_call {
                if self.place(at) { self.entries.first() } else { entry.next }
            } else {
                self.remember_best(entry.step);
                match self.take_back() {
                    Some(next) => next,
                    None => return Some(self.violation()),
                }
            };
        }
        None
    }

    /// Gives the called step the next place, unless its answer would be wrong or this was tried before.
    fn place(&mut self, call: usize) -> bool {
        let step = self.entries.entries[call].step;
        let Some(after) = apply(self.state, self.steps[step].operation.action) else { return false };
        self.placed.flip(step);
        if !self.seen.insert((self.placed.clone(), after)) {
            self.placed.flip(step);
            return false;
        }
        self.order.push((call, self.state));
        self.state = after;
        self.entries.lift(call);
        self.unplaced -= usize::from(self.steps[step].returns_ns.is_some());
        true
    }

    /// Undoes the last place; the entry to go on at.
    fn take_back(&mut self) -> Option<usize> {
        let (call, before) = self.order.pop()?;
        let step = self.entries.entries[call].step;
        self.state = before;
        self.placed.flip(step);
        self.entries.unlift(call);
        self.unplaced += usize::from(self.steps[step].returns_ns.is_some());
        Some(self.entries.entries[call].next)
    }

    fn remember_best(&mut self, stuck: usize) {
        if self.best.0.is_empty() || self.order.len() > self.best.0.len() {
            let order = self.order.iter().map(|(call, _)| self.entries.entries[*call].step).collect();
            self.best = (order, stuck);
        }
    }

    fn violation(&self) -> Violation {
        let operation = |step: &usize| self.steps[*step].operation.clone();
        let stuck_at = operation(&self.best.1);
        Violation::NotLinearizable {
            key: stuck_at.key,
            explained: self.best.0.iter().map(operation).collect(),
            stuck_at,
        }
    }
}
