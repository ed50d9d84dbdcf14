//! Every operation against any JSON: an answer or an error, never a panic, and nothing changed on an error.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use proptest::prelude::*;
use seawall_proto::{Kind, facts, shape};
use serde_json::{Map, Value, json};

use super::unsupported::UNSUPPORTED;
use crate::{
    ops::{NAMES, REQUESTS},
    testing::TestCluster,
};

/// Seconds that the long run takes, for `.ci/nightly`.
const SECONDS: &str = "SEAWALL_FUZZ_SECONDS";

/// A small generator: one number makes one body, so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn one_of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize]
    }

    /// A value for a member: mostly of its type, sometimes of any other.
    fn value(&mut self, kind: &Kind, depth: u32) -> Value {
        if self.below(12) == 0 {
            return self.junk(depth);
        }
        match kind {
            Kind::String => json!(self.text()),
            Kind::Integer => json!(self.one_of(&[-1, 0, 1, 2, 80, 128, 256, 512, 70_000, i64::MAX, i64::MIN])),
            Kind::Double | Kind::Timestamp => json!(self.one_of(&[0.0, -1.5, 1e300, 1_767_225_600.25])),
            Kind::Boolean => json!(self.below(2) == 0),
            Kind::Message(name) => self.message(name, depth + 1),
            Kind::List(item) => (0..self.below(3)).map(|_| self.value(item, depth + 1)).collect(),
            Kind::Map(of) => {
                let entries = (0..self.below(3)).map(|n| (format!("k{n}"), self.value(of, depth + 1)));
                Value::Object(entries.collect())
            }
        }
    }

    fn message(&mut self, name: &str, depth: u32) -> Value {
        let mut members = Map::new();
        let required = facts(name).map_or(&[][..], |facts| facts.required);
        for (member, kind) in shape(name).map_or(&[][..], |shape| shape.members) {
            let wanted = required.contains(member) && self.below(8) != 0;
            if depth < 6 && (wanted || self.below(6) == 0) {
                members.insert((*member).into(), self.value(kind, depth));
            }
        }
        Value::Object(members)
    }

    fn junk(&mut self, depth: u32) -> Value {
        match self.below(7) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(1.5),
            3 => json!("x".repeat(self.below(3000) as usize)),
            4 if depth < 6 => json!([self.junk(depth + 1)]),
            5 if depth < 6 => json!({"unknown": self.junk(depth + 1)}),
            _ => json!("\u{0}\u{1b}[31m\u{fffd}"),
        }
    }

    /// Names that exist, names that do not, and what stands in enums.
    fn text(&mut self) -> String {
        self.one_of(&[
            "default",
            "web",
            "web:1",
            "web:9",
            "main",
            "busybox",
            "",
            "ACTIVE",
            "EC2",
            "REPLICA",
            "TAGS",
            "x",
            "tcp",
            "arn:aws:ecs:us-local-1:000000000000:cluster/default",
            "arn:aws:ecs:us-local-1:000000000000:service/default/web",
            "arn:aws:ecs:eu-west-1:1:task/default/0",
            "arn:",
            "FARGATE",
            "512",
            "1 vCPU",
            "spread",
            "bridge",
            "awsvpc",
            "00000000000000000000000000000000",
            "attribute:ecs.availability-zone",
            "enabled",
            "a b",
            "日本",
        ])
        .into()
    }
}

fn cluster() -> TestCluster {
    let mut cluster = TestCluster::new();
    cluster.instance("i-1", "a");
    cluster.register("web", 100, 100);
    cluster.must("CreateService", json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 1}));
    cluster.reconcile();
    cluster
}

/// The body and the operation that a seed makes.
fn call(seed: u64) -> (&'static str, Value) {
    let mut dice = Dice(seed | 1);
    for _ in 0..8 {
        dice.next();
    }
    let which = dice.below(NAMES.len() as u64) as usize;
    let body = if dice.below(20) == 0 { dice.junk(0) } else { dice.message(REQUESTS[which], 0) };
    (NAMES[which], body)
}

fn hold(cluster: &mut TestCluster, seed: u64) {
    let (operation, body) = call(seed);
    let before = cluster.state.hash();
    let answer = catch_unwind(AssertUnwindSafe(|| cluster.call(operation, body.clone())));
    match answer {
        Err(_) => panic!("seed {seed}: {operation} panicked on {body}"),
        Ok(Err(error)) => {
            assert_eq!(cluster.state.hash(), before, "seed {seed}: {operation} changed state and said {error}: {body}");
            assert!(!error.message.is_empty(), "seed {seed}: {operation} refused {body} without a word");
        }
        Ok(Ok(_)) => cluster.state.check().unwrap_or_else(|why| panic!("seed {seed}: {operation} {body}: {why}")),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_json_is_answered_and_an_error_changes_nothing(seed: u64) {
        let mut cluster = cluster();
        for step in 0..40 {
            hold(&mut cluster, seed.wrapping_add(step));
        }
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for request in REQUESTS {
            drop(super::decode::decode::<seawall_proto::v1::CreateServiceRequest>(request, &bytes, &mut Vec::new()));
        }
    }
}

/// The same for as long as [`SECONDS`] says, from a new seed each time.
#[test]
#[ignore = "runs for minutes: .ci/nightly"]
#[expect(clippy::disallowed_methods, reason = "how long it runs, by the real clock")]
fn fuzz() {
    let seconds = std::env::var(SECONDS).ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut seed = std::collections::hash_map::RandomState::new();
    while Instant::now() < end {
        let from = std::hash::BuildHasher::hash_one(&seed, 0);
        let mut cluster = cluster();
        (0..500).for_each(|step| hold(&mut cluster, from.wrapping_add(step)));
        seed = std::collections::hash_map::RandomState::new();
    }
}

#[test]
fn no_operation_is_both_there_and_unsupported() {
    let there: BTreeSet<&str> = NAMES.iter().copied().collect();
    let not: Vec<&str> = UNSUPPORTED.iter().flat_map(|(names, _)| names.iter().copied()).collect();
    assert!(not.iter().all(|name| !there.contains(name)));
    assert_eq!(not.len(), not.iter().collect::<BTreeSet<_>>().len());
}
