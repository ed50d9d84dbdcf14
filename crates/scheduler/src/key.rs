//! What a strategy says of an instance, as numbers: the smallest is taken.

use crate::{
    Candidate, Strategy, ZONE_ATTRIBUTE,
    strategy::{Packed, STEPS_MAX, Step, draw},
};

/// One number a step, then how many tasks the instance has and how full it is.
pub(crate) type Key = [u64; STEPS_MAX + 2];

/// What the steps say of the instance alone. Among equals the one with the fewest tasks, then the emptiest.
pub(crate) fn own(strategy: &Strategy, candidate: &Candidate<'_>) -> Key {
    let mut key = Key::default();
    for (slot, step) in key.iter_mut().zip(&strategy.steps) {
        *slot = match step {
            Step::SpreadAttribute(_) => 0,
            Step::SpreadInstance => candidate.tasks.into(),
            Step::Binpack(packed) => left(candidate, *packed),
            Step::Random => draw(strategy.seed, candidate.row.id, candidate.placed),
        };
    }
    if !strategy.packs() {
        key[STEPS_MAX] = candidate.tasks.into();
        key[STEPS_MAX + 1] = fullness(candidate);
    }
    key
}

/// With the tasks of the values that the steps spread over.
pub(crate) fn with_counts(strategy: &Strategy, mut key: Key, mut counts: impl Iterator<Item = u32>) -> Key {
    for (slot, _) in key.iter_mut().zip(&strategy.steps).filter(|(_, step)| step.attribute().is_some()) {
        *slot = counts.next().unwrap_or_default().into();
    }
    key
}

/// Why it was taken: what each step saw of it. `names` are the values of the attributes that are spread over.
pub(crate) fn why<'a>(strategy: &Strategy, key: &Key, mut names: impl Iterator<Item = &'a str>) -> String {
    let says = |(step, seen): (&Step, &u64)| match step {
        Step::SpreadAttribute(name) => {
            let name = if name == ZONE_ATTRIBUTE { "zone" } else { name };
            format!("{name} {} had {seen}", names.next().unwrap_or_default())
        }
        Step::SpreadInstance => format!("the instance {seen}"),
        Step::Binpack(Packed::Cpu) => format!("{seen} CPU units were left"),
        Step::Binpack(Packed::Memory) => format!("{seen} MiB were left"),
        Step::Random => "drawn".to_owned(),
    };
    strategy.steps.iter().zip(key).map(says).collect::<Vec<_>>().join(", ")
}

/// What is left of an instance. More may be held than there is.
pub(crate) fn left(candidate: &Candidate<'_>, packed: Packed) -> u64 {
    let free = match packed {
        Packed::Cpu => candidate.cpu_free,
        Packed::Memory => candidate.memory_free,
    };
    free.max(0).unsigned_abs()
}

/// The smaller, the emptier.
pub(crate) fn fullness(candidate: &Candidate<'_>) -> u64 {
    u64::MAX - u64::from(candidate.free_share())
}
