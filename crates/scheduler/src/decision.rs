//! What is kept of a decision: enough to say later why a task stands where it stands, and to decide it again.
//!
//! It tells of the instances that the plan looked at, as they were when planning began: a plan in order looks at few, one that
//! places less than it was asked for at all of them. It is made once for all tasks of a plan.

use prost::Message;
use seawall_model::{InstanceId, own_tags};
use seawall_proto::internal::v1::{Decision, Score, decision::Scored};

use crate::{
    PlaceRequest, Placement, Plan, Pool, Strategy, ZONE_ATTRIBUTE,
    key::Key,
    plan::numbered,
    strategy::{Packed, STEPS_MAX, Step},
};

/// Of the code that decides. Raised by whatever makes it decide otherwise on the same state: decisions of another version are
/// not replayed.
pub const PLANNER_VERSION: u32 = 1;
/// A record is at most this long: where it would be longer, the last of the best instances are left out.
pub const DECISION_BYTES_MAX: usize = 199;
/// Instances whose scores are kept.
pub const BEST_MAX: usize = 5;
/// The upper bits of a drawn number tell as much as all of them.
const DRAWN_SHIFT: u32 = 48;

/// What a plan saw when it began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Instances that it could have looked at.
    pub instances: u32,
    /// Those that it looked at.
    pub looked_at: u32,
    /// Of those, the ones that fitted.
    pub fitted: u32,
    /// The best of the ones that fitted, the best first.
    pub best: Vec<Best>,
}

/// An instance and what the strategy said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Best {
    /// Which.
    pub instance: InstanceId,
    /// `None` where no strategy was asked.
    pub(crate) key: Option<Key>,
}

impl Seen {
    /// What a plan saw that was told where to look, and asked no strategy.
    pub(crate) fn of_chosen(asked: usize, placed: &[Placement]) -> Self {
        let best = placed.iter().take(BEST_MAX).map(|placement| Best { instance: placement.instance, key: None });
        let (asked, fitted) = (asked as u32, placed.len() as u32);
        Seen { instances: asked, looked_at: asked, fitted, best: best.collect() }
    }

    /// Adds what a plan for another capacity provider saw, which looked at the same instances.
    pub(crate) fn add(&mut self, other: Seen) {
        self.instances = self.instances.max(other.instances);
        self.looked_at = self.looked_at.max(other.looked_at);
        self.fitted = self.fitted.saturating_add(other.fitted);
        if self.best.is_empty() {
            self.best = other.best;
        }
    }
}

impl PlaceRequest {
    /// What is kept of a plan for this request.
    pub fn decision(&self, plan: &Plan) -> Decision {
        let Seen { instances, looked_at, fitted, best } = &plan.seen;
        let scores = scores_of(&self.strategy);
        let scored = |best: &Best| Scored {
            instance_id: best.instance.0,
            scores: best.key.map(|key| numbers(&self.strategy, &key)).unwrap_or_default(),
        };
        let has_scores = best.iter().any(|best| best.key.is_some());
        Decision {
            planner: PLANNER_VERSION,
            class: self.class(),
            instances: *instances,
            looked_at: *looked_at,
            fitted: *fitted,
            left_out: numbered(&plan.counts),
            scores: if has_scores { scores.into_iter().map(Into::into).collect() } else { Vec::new() },
            best: best.iter().map(scored).collect(),
            ..Decision::default()
        }
    }

    /// A number of what each task needs and of the strategy: equal requests have equal ones, on every member and version.
    pub fn class(&self) -> u32 {
        let constraints = &self.requirement.constraints;
        let mut class = Class::default();
        class.add(&self.requirement.size.encode_to_vec());
        class.add(&[constraints.distinct_instance.into()]);
        class.add(&constraints.max_per_instance.map_or(0, |max| u64::from(max) + 1).to_be_bytes());
        if self.priority != own_tags::PRIORITY_DEFAULT {
            class.add(format!("priority {}", self.priority).as_bytes());
        }
        if let Some(max) = constraints.max_zone_skew {
            class.add(format!("zone skew {max}").as_bytes());
        }
        if constraints.guarded {
            class.add(b"guarded");
        }
        for expression in &constraints.member_of {
            class.add(expression.to_string().as_bytes());
        }
        match &self.requirement.pool {
            Pool::Open => class.add(b"open"),
            Pool::Provider(name) => class.add(format!("provider {name}").as_bytes()),
        }
        for share in &self.shares {
            class.add(format!("{} {} {}", share.provider, share.base, share.weight).as_bytes());
        }
        for step in &self.strategy.steps {
            class.add(&[score_of(step) as u8]);
            class.add(step.attribute().unwrap_or_default().as_bytes());
        }
        class.finish()
    }
}

/// Says what a decision was made on, and cuts it to its length.
pub fn stamp(decision: &mut Decision, base_index: u64, in_flight: Vec<u32>) {
    decision.base_index = base_index;
    decision.in_flight = in_flight;
    while decision.encoded_len() > DECISION_BYTES_MAX && decision.best.pop().is_some() {}
}

/// What the numbers of an instance are, in order.
fn scores_of(strategy: &Strategy) -> Vec<Score> {
    let of_steps = strategy.steps.iter().map(score_of);
    of_steps.chain((!strategy.packs()).then_some(Score::FreeShare)).collect()
}

fn score_of(step: &Step) -> Score {
    match step {
        Step::SpreadAttribute(name) if name == ZONE_ATTRIBUTE => Score::ZoneTasks,
        Step::SpreadAttribute(_) => Score::AttributeTasks,
        Step::SpreadInstance => Score::InstanceTasks,
        Step::Binpack(Packed::Cpu) => Score::CpuLeft,
        Step::Binpack(Packed::Memory) => Score::MemoryLeft,
        Step::Random => Score::Drawn,
    }
}

/// As [`scores_of`] names them.
fn numbers(strategy: &Strategy, key: &Key) -> Vec<u64> {
    let of_step = |(step, seen): (&Step, &u64)| match step {
        Step::Random => seen >> DRAWN_SHIFT,
        _ => *seen,
    };
    let free_share = (!strategy.packs()).then(|| u64::MAX - key[STEPS_MAX + 1]);
    strategy.steps.iter().zip(key).map(of_step).chain(free_share).collect()
}

/// FNV-1a over parts, each with its length before it.
struct Class(u64);

impl Default for Class {
    fn default() -> Self {
        Class(0xcbf2_9ce4_8422_2325)
    }
}

impl Class {
    fn add(&mut self, part: &[u8]) {
        let length = (part.len() as u32).to_be_bytes();
        for byte in length.iter().chain(part) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn finish(self) -> u32 {
        (self.0 ^ (self.0 >> 32)) as u32
    }
}
