//! The register workload against registers in memory, on a paused clock: correct ones pass, and each kind of broken ones
//! is found out. A workload that cannot see a fault would make every run on a real cluster worthless.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jepsen_style_tests::{
    checker::linearizability,
    client::CallError,
    history::{Outcome, Recorder, Stop},
    workload::register::{Load, Registers, Versioned, read_everything, run},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::time::{Instant, sleep};

/// How a fake cluster misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Only in ways that are allowed: some calls are not answered and take effect late or never.
    Allowed,
    /// One member answers reads from a copy that lags.
    StaleReads,
    /// A compare-and-set does not look at the version.
    LostUpdates,
    /// For a while one member serves its own copy.
    SplitBrain,
    /// One write in a hundred is acknowledged and forgotten.
    Forgotten,
    /// A write that was refused takes effect all the same.
    RefusedAndDone,
}

#[derive(Default)]
struct Store {
    values: BTreeMap<u32, (u64, i64)>,
    version: i64,
    calls: u64,
}

impl Store {
    fn put(&mut self, key: u32, value: u64) {
        self.version += 1;
        self.values.insert(key, (value, self.version));
    }

    fn get(&self, key: u32) -> Versioned {
        self.values.get(&key).map_or((None, 0), |(value, version)| (Some(*value), *version))
    }
}

#[derive(Clone)]
struct Fake {
    fault: Fault,
    began: Instant,
    rng: Arc<Mutex<StdRng>>,
    /// The second is what a cut-off or lagging member sees.
    stores: Arc<[Mutex<Store>; 2]>,
}

impl Fake {
    fn new(fault: Fault, seed: u64) -> Self {
        Fake {
            fault,
            began: Instant::now(),
            rng: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))),
            stores: Arc::new([Mutex::default(), Mutex::default()]),
        }
    }

    fn with<T>(&self, store: usize, act: impl FnOnce(&mut Store) -> T) -> T {
        act(&mut self.stores[store].lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn chance(&self, one_in: u32) -> bool {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).random_range(0..one_in) == 0
    }

    async fn delay(&self) {
        let micros = self.rng.lock().unwrap_or_else(PoisonError::into_inner).random_range(100..20_000);
        sleep(Duration::from_micros(micros)).await;
    }

    /// The store that `member` serves.
    fn served_by(&self, member: usize) -> usize {
        let split = self.fault == Fault::SplitBrain && (2..4).contains(&self.began.elapsed().as_secs());
        usize::from(member == 2 && (split || self.fault == Fault::StaleReads))
    }

    fn copy_to_the_other(&self) {
        let values = self.with(0, |store| store.values.clone());
        self.with(1, |store| store.values = values);
    }
}

fn refused() -> CallError {
    CallError { outcome: Outcome::Fail, exception: "VersionMismatchException".into(), message: "mismatch".into() }
}

impl Registers for Fake {
    fn members(&self) -> usize {
        3
    }

    async fn prepare(&self, _member: usize, _key: u32) -> Result<(), CallError> {
        Ok(())
    }

    async fn read(&self, member: usize, key: u32) -> Result<Option<u64>, CallError> {
        Ok(self.read_versioned(member, key).await?.0)
    }

    async fn read_versioned(&self, member: usize, key: u32) -> Result<Versioned, CallError> {
        self.delay().await;
        if self.chance(50) {
            return Err(CallError::timed_out());
        }
        if self.served_by(member) == 0 && self.chance(5) {
            self.copy_to_the_other();
        }
        let answer = self.with(self.served_by(member), |store| store.get(key));
        self.delay().await;
        Ok(answer)
    }

    async fn write(&self, member: usize, key: u32, value: u64, version: Option<i64>) -> Result<(), CallError> {
        self.delay().await;
        if self.chance(40) {
            sleep(Duration::from_millis(300)).await;
            let late = self.clone();
            let happens = self.chance(2) && version.is_none();
            tokio::spawn(async move {
                sleep(Duration::from_millis(500)).await;
                if happens {
                    late.with(0, |store| store.put(key, value));
                }
            });
            return Err(CallError::timed_out());
        }
        let store = if self.fault == Fault::SplitBrain { self.served_by(member) } else { 0 };
        let done = self.with(store, |store| {
            store.calls += 1;
            let right = version.is_none_or(|version| version == store.get(key).1);
            if right || matches!(self.fault, Fault::LostUpdates | Fault::RefusedAndDone) {
                let forget = self.fault == Fault::Forgotten && store.calls.is_multiple_of(100);
                if !forget {
                    store.put(key, value);
                }
            }
            right || self.fault == Fault::LostUpdates
        });
        self.delay().await;
        if done { Ok(()) } else { Err(refused()) }
    }
}

/// Violations that a run of ten simulated seconds shows, and how many operations it had.
async fn violations(fault: Fault, seed: u64) -> (usize, usize) {
    let recorder = Arc::new(Recorder::default());
    let fake = Fake::new(fault, seed);
    let stop = Stop::default();
    let load = Load { clients: 6, stop: stop.clone(), seed };
    let end = async {
        sleep(Duration::from_secs(10)).await;
        stop.stop();
    };
    tokio::join!(run(fake.clone(), Arc::clone(&recorder), load), end);
    let unread = read_everything(&fake, &recorder, Duration::from_secs(5)).await;
    assert_eq!(unread, Vec::<String>::new());
    let history = recorder.operations();
    (linearizability::check(&history).len(), history.len())
}

#[tokio::test(start_paused = true)]
async fn registers_with_unknown_outcomes_pass() {
    for seed in 0..5 {
        let (violations, operations) = violations(Fault::Allowed, seed).await;
        assert_eq!(violations, 0, "seed {seed}");
        assert!(operations > 500, "{operations}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_broken_cluster_is_found_out() {
    let faults = [Fault::StaleReads, Fault::LostUpdates, Fault::SplitBrain, Fault::Forgotten, Fault::RefusedAndDone];
    for fault in faults {
        let (violations, _) = violations(fault, 1).await;
        assert!(violations > 0, "{fault:?} was not noticed");
    }
}
