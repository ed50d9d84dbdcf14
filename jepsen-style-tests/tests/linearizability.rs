//! The checker accepts what a register can do and rejects what it cannot: known histories, then a comparison with an
//! exhaustive search on random ones.

use jepsen_style_tests::{
    checker::linearizability::{Violation, check},
    history::{Action, Operation, Outcome},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

/// An operation on register 1 from `at` to `until`.
fn op(action: Action, at: u64, until: u64, outcome: Outcome) -> Operation {
    Operation {
        client: 0,
        key: 1,
        action,
        invoked_ns: at,
        completed_ns: until,
        outcome,
        member: "s1".into(),
        error: None,
    }
}

fn write(value: u64, at: u64, until: u64) -> Operation {
    op(Action::Write(value), at, until, Outcome::Ok)
}

fn lost_write(value: u64, at: u64, until: u64) -> Operation {
    op(Action::Write(value), at, until, Outcome::Unknown)
}

fn read(value: Option<u64>, at: u64, until: u64) -> Operation {
    op(Action::Read(value), at, until, Outcome::Ok)
}

fn cas(from: Option<u64>, to: u64, at: u64, until: u64) -> Operation {
    op(Action::Cas { from, to }, at, until, Outcome::Ok)
}

fn accepts(history: &[Operation]) {
    assert_eq!(check(history), vec![]);
}

fn rejects(history: &[Operation]) {
    assert!(matches!(check(history)[..], [Violation::NotLinearizable { .. }]), "accepted {history:#?}");
}

#[test]
fn a_sequence_is_accepted() {
    accepts(&[read(None, 0, 1), write(1, 2, 3), read(Some(1), 4, 5), cas(Some(1), 2, 6, 7), read(Some(2), 8, 9)]);
}

#[test]
fn concurrent_operations_may_take_effect_in_either_order() {
    accepts(&[write(1, 0, 10), read(None, 1, 2), read(Some(1), 3, 4), write(2, 0, 10), read(Some(2), 11, 12)]);
    accepts(&[write(1, 0, 10), write(2, 0, 10), read(Some(1), 11, 12)]);
}

#[test]
fn a_stale_read_is_rejected() {
    rejects(&[write(1, 0, 1), write(2, 2, 3), read(Some(1), 4, 5)]);
    rejects(&[write(1, 0, 1), read(None, 2, 3)]);
}

#[test]
fn a_read_that_goes_back_is_rejected() {
    rejects(&[write(1, 0, 100), read(Some(1), 1, 2), read(None, 3, 4)]);
    rejects(&[write(1, 0, 1), write(2, 2, 100), read(Some(2), 3, 4), read(Some(1), 5, 6)]);
}

#[test]
fn a_lost_update_is_rejected() {
    rejects(&[write(1, 0, 1), cas(Some(1), 2, 2, 10), cas(Some(1), 3, 2, 10)]);
    rejects(&[write(1, 0, 1), write(2, 2, 3), cas(Some(1), 3, 4, 5)]);
}

#[test]
fn a_split_brain_is_rejected() {
    rejects(&[
        write(1, 0, 1),
        write(2, 2, 3),
        read(Some(2), 4, 5),
        read(Some(1), 4, 5),
        read(Some(2), 6, 7),
        read(Some(1), 6, 7),
    ]);
}

#[test]
fn a_value_from_nowhere_and_one_that_was_refused_are_rejected() {
    rejects(&[write(1, 0, 1), read(Some(7), 2, 3)]);
    rejects(&[op(Action::Write(7), 0, 1, Outcome::Fail), read(Some(7), 2, 3)]);
    rejects(&[read(Some(7), 0, 1), lost_write(7, 2, 3)]);
}

#[test]
fn an_unknown_write_takes_effect_late_or_never() {
    accepts(&[write(1, 0, 1), lost_write(2, 2, 3), read(Some(1), 4, 5)]);
    accepts(&[write(1, 0, 1), lost_write(2, 2, 3), read(Some(1), 4, 5), read(Some(2), 6, 7)]);
    rejects(&[write(1, 0, 1), lost_write(2, 2, 3), read(Some(2), 4, 5), read(Some(1), 6, 7)]);
}

#[test]
fn an_unknown_compare_and_set_needs_what_it_expects() {
    let lost = op(Action::Cas { from: Some(1), to: 2 }, 2, 3, Outcome::Unknown);
    accepts(&[write(1, 0, 1), lost.clone(), read(Some(2), 4, 5)]);
    accepts(&[write(1, 0, 1), lost.clone(), write(3, 4, 5), read(Some(3), 6, 7)]);
    rejects(&[write(3, 0, 1), lost, read(Some(2), 4, 5)]);
}

#[test]
fn unanswered_reads_say_nothing() {
    accepts(&[write(1, 0, 1), op(Action::Read(Some(9)), 2, 3, Outcome::Unknown)]);
}

#[test]
fn registers_are_independent_and_the_bad_one_is_named() {
    let mut bad = read(None, 2, 3);
    bad.key = 2;
    let mut other = write(5, 0, 1);
    other.key = 2;
    let found = check(&[write(1, 0, 1), read(Some(1), 2, 3), other, bad.clone()]);
    let [Violation::NotLinearizable { key: 2, stuck_at, .. }] = &found[..] else { panic!("{found:?}") };
    assert_eq!(*stuck_at, bad);
    assert!(found[0].to_string().contains("register 2"), "{}", found[0]);
}

#[test]
fn hundreds_of_unknown_writes_are_decided() {
    let mut history = Vec::new();
    for i in 0..400 {
        history.push(lost_write(1_000 + i, 10 * i, 10 * i + 5));
        history.push(write(i, 10 * i + 6, 10 * i + 7));
        let seen = if i % 3 == 0 { 1_000 + i } else { i };
        history.push(read(Some(seen), 10 * i + 8, 10 * i + 9));
    }
    accepts(&history);
    let last = 10 * 400;
    history.push(read(Some(0), last, last + 1));
    rejects(&history);
}

/// Every order of every choice of the unknown operations, without any cleverness.
fn explained(history: &[Operation], used: u32, state: Option<u64>) -> bool {
    let open = |i: usize| used & (1 << i) == 0 && history[i].outcome != Outcome::Fail;
    if (0..history.len()).all(|i| !open(i) || history[i].outcome == Outcome::Unknown) {
        return true;
    }
    let deadline = (0..history.len()).filter(|i| open(*i) && history[*i].outcome == Outcome::Ok);
    let deadline = deadline.map(|i| history[i].completed_ns).min().unwrap_or(u64::MAX);
    (0..history.len()).filter(|i| open(*i) && history[*i].invoked_ns <= deadline).any(|i| {
        let after = match (history[i].action, history[i].outcome) {
            (Action::Read(_), Outcome::Unknown) => Some(state),
            (Action::Read(value), _) => (value == state).then_some(state),
            (Action::Write(value), _) => Some(Some(value)),
            (Action::Cas { from, to }, _) => (from == state).then_some(Some(to)),
        };
        after.is_some_and(|after| explained(history, used | (1 << i), after))
    })
}

fn random_history(rng: &mut StdRng) -> Vec<Operation> {
    let value = |rng: &mut StdRng| rng.random_range(0..4u64);
    let seen = |rng: &mut StdRng| Some(value(rng)).filter(|v| *v > 0);
    let unique = rng.random_bool(0.7);
    (0..rng.random_range(2..8u64))
        .map(|i| {
            let target = if unique { i + 1 } else { value(rng) };
            let action = match rng.random_range(0..5) {
                0 | 1 => Action::Read(seen(rng)),
                2 | 3 => Action::Write(target),
                _ => Action::Cas { from: seen(rng), to: target },
            };
            let at = rng.random_range(0..12);
            let outcome = match rng.random_range(0..8) {
                0 | 1 => Outcome::Unknown,
                2 => Outcome::Fail,
                _ => Outcome::Ok,
            };
            op(action, at, at + rng.random_range(0..8), outcome)
        })
        .collect()
}

#[test]
fn agrees_with_an_exhaustive_search() {
    let mut verdicts = [0u32; 2];
    for seed in 0..20_000 {
        let history = random_history(&mut StdRng::seed_from_u64(seed));
        let expected = explained(&history, 0, None);
        assert_eq!(check(&history).is_empty(), expected, "seed {seed}: {history:#?}");
        verdicts[usize::from(expected)] += 1;
    }
    assert!(verdicts.iter().all(|n| *n > 2_000), "the comparison is one-sided: {verdicts:?}");
}
