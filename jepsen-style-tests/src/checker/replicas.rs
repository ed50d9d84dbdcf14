//! What the members say of themselves while a run goes on: G3, equal state at equal index, and G4, one leader a term and
//! terms that never go back.

use std::collections::{BTreeMap, BTreeSet};

use super::Check;

/// One member's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Who answered.
    pub member: String,
    /// Its term.
    pub term: u64,
    /// Whom it follows in that term; empty when it knows none.
    pub leader: String,
    /// (member, index, hash) for every member whose state hash it knows.
    pub hashes: Vec<(String, u64, String)>,
}

/// The verdicts on `observations`, which are in the order in which they were made.
pub fn check(observations: &[Observation]) -> Vec<Check> {
    let mut leaders: BTreeMap<u64, BTreeSet<&str>> = BTreeMap::new();
    let mut terms: BTreeMap<&str, u64> = BTreeMap::new();
    let mut hashes: BTreeMap<u64, BTreeMap<&str, &str>> = BTreeMap::new();
    let (mut backwards, mut unlike) = (Vec::new(), BTreeSet::new());
    for seen in observations {
        if !seen.leader.is_empty() {
            leaders.entry(seen.term).or_default().insert(&seen.leader);
        }
        let term = terms.entry(&seen.member).or_default();
        if seen.term < *term {
            backwards.push(format!("{} went back from term {term} to {}", seen.member, seen.term));
        }
        *term = seen.term;
        for (member, index, hash) in seen.hashes.iter().filter(|(_, index, hash)| *index > 0 && !hash.is_empty()) {
            let known = hashes.entry(*index).or_default();
            known.insert(hash, member);
            if known.len() > 1 {
                unlike.insert(format!("different states at index {index}: {known:?}"));
            }
        }
    }
    let mut split: Vec<String> = leaders.iter().filter(|(_, names)| names.len() > 1).map(two_leaders).collect();
    split.extend(backwards);
    let unlike: Vec<String> = unlike.into_iter().collect();
    vec![
        Check::of("G3 equal state at equal index", &unlike, format!("{} indexes", hashes.len())),
        Check::of("G4 one leader a term, terms never go back", &split, format!("{} terms", leaders.len())),
    ]
}

fn two_leaders((term, names): (&u64, &BTreeSet<&str>)) -> String {
    format!("term {term} has the leaders {names:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(member: &str, term: u64, leader: &str, index: u64, hash: &str) -> Observation {
        let hashes = vec![(member.to_owned(), index, hash.to_owned())];
        Observation { member: member.into(), term, leader: leader.into(), hashes }
    }

    fn verdicts(observations: &[Observation]) -> [bool; 2] {
        let checks = check(observations);
        [checks[0].ok, checks[1].ok]
    }

    #[test]
    fn an_election_is_accepted() {
        let run = [
            seen("s1", 1, "s1", 7, "aa"),
            seen("s2", 1, "s1", 7, "aa"),
            seen("s2", 2, "", 8, "bb"),
            seen("s3", 2, "s3", 0, ""),
        ];
        assert_eq!(verdicts(&run), [true, true]);
    }

    #[test]
    fn different_states_at_one_index_are_found() {
        assert_eq!(verdicts(&[seen("s1", 1, "s1", 7, "aa"), seen("s2", 1, "s1", 7, "ab")]), [false, true]);
    }

    #[test]
    fn two_leaders_and_a_forgotten_term_are_found() {
        assert_eq!(verdicts(&[seen("s1", 1, "s1", 7, "aa"), seen("s2", 1, "s2", 7, "aa")]), [true, false]);
        assert_eq!(verdicts(&[seen("s1", 2, "s1", 7, "aa"), seen("s1", 1, "", 7, "aa")]), [true, false]);
    }
}
