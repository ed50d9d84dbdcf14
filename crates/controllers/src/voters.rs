//! Which members vote.
//!
//! One, three or five, spread so that no zone has a majority while there are three zones. Losing a zone must leave a
//! majority, and more than five voters only make every write slower. Others are learners, ready to take a dead voter's
//! place. Promoting and removing is one change: in between, a cluster of three would have two or four voters.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use seawall_model::MemberId;

/// How many may vote. A dead voter keeps its place where another number would be no better.
pub const VOTER_COUNTS: [usize; 3] = [1, 3, 5];
/// Members that are considered: every set of five of them is looked at.
pub const MEMBERS_CONSIDERED_MAX: usize = 24;

/// A member as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    /// Its id.
    pub id: MemberId,
    /// Its zone.
    pub zone: String,
    /// Votes now.
    pub voter: bool,
    /// Answers. The caller waits before it says that a member is dead, so that a restart changes no voters.
    pub live: bool,
    /// Has nearly all of the log. A learner that does not would hold up every write as a voter.
    pub caught_up: bool,
}

/// A change of voters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoterPlan {
    /// All that vote after it.
    pub voters: BTreeSet<MemberId>,
    /// Why, for people.
    pub text: String,
}

/// The voters to change to; `None` where they are right, or where no change could be made safely now.
pub fn plan(members: &[MemberView]) -> Option<VoterPlan> {
    let current: BTreeSet<MemberId> = members.iter().filter(|m| m.voter).map(|m| m.id).collect();
    let eligible = eligible(members);
    let sizes = VOTER_COUNTS.iter().filter(|count| **count <= eligible.len());
    let (_, best) = sizes.filter_map(|count| best_set(&eligible, *count)).max_by_key(|(score, _)| *score)?;
    let voters: BTreeSet<MemberId> = best.iter().map(|m| m.id).collect();
    let safe = has_live_majority(members, &current) && has_live_majority(members, &voters);
    (voters != current && safe).then(|| VoterPlan { text: text(&current, &voters), voters })
}

fn eligible(members: &[MemberView]) -> Vec<&MemberView> {
    let mut eligible: Vec<_> = members.iter().filter(|m| m.voter || (m.live && m.caught_up)).collect();
    eligible.sort_by_key(|m| (Reverse(m.live), Reverse(m.voter), m.id));
    eligible.truncate(MEMBERS_CONSIDERED_MAX);
    eligible.sort_by_key(|m| m.id);
    eligible
}

/// How good a set is, the most important first: a majority outlives the loss of any one zone; so many live voters can
/// fail before there is none; no zone has a majority; more voters; the fullest zone has fewer; fewer change.
type Score = (bool, usize, bool, usize, Reverse<usize>, usize);

fn score(set: &[&MemberView]) -> Score {
    let mut zones: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for member in set {
        let (all, live) = zones.entry(&member.zone).or_default();
        *all += 1;
        *live += usize::from(member.live);
    }
    let majority = set.len() / 2 + 1;
    let live: usize = zones.values().map(|(_, live)| live).sum();
    let fullest = zones.values().map(|(all, _)| *all).max().unwrap_or(0);
    let outlives_a_zone = zones.values().all(|(_, lost)| live - lost >= majority);
    let kept = set.iter().filter(|m| m.voter).count();
    (outlives_a_zone, live.saturating_sub(majority), fullest < majority, set.len(), Reverse(fullest), kept)
}

/// The first of the best sets, in the order of ids.
fn best_set<'m>(eligible: &[&'m MemberView], count: usize) -> Option<(Score, Vec<&'m MemberView>)> {
    let mut best: Option<(Score, Vec<&MemberView>)> = None;
    let mut places: Vec<usize> = (0..count).collect();
    loop {
        let set: Vec<&MemberView> = places.iter().map(|&i| eligible[i]).collect();
        let score = score(&set);
        if best.as_ref().is_none_or(|(top, _)| score > *top) {
            best = Some((score, set));
        }
        if !next_combination(&mut places, eligible.len()) {
            return best;
        }
    }
}

/// The next choice of places in the order of a dictionary; false after the last.
fn next_combination(places: &mut [usize], of: usize) -> bool {
    let count = places.len();
    let Some(at) = (0..count).rev().find(|&i| places[i] < of - count + i) else { return false };
    places[at] += 1;
    for i in at + 1..count {
        places[i] = places[i - 1] + 1;
    }
    true
}

fn has_live_majority(members: &[MemberView], voters: &BTreeSet<MemberId>) -> bool {
    let live = members.iter().filter(|m| m.live && voters.contains(&m.id)).count();
    live * 2 > voters.len()
}

fn text(current: &BTreeSet<MemberId>, voters: &BTreeSet<MemberId>) -> String {
    let list = |ids: Vec<&MemberId>| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let promoted = list(voters.difference(current).collect());
    let removed = list(current.difference(voters).collect());
    format!("voters {}: promote [{promoted}], remove [{removed}]", list(voters.iter().collect()))
}

impl fmt::Display for VoterPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "1aVL 2b-L 3cV-": id, zone, voter, live; "s" at the end: not caught up.
    fn members(text: &str) -> Vec<MemberView> {
        let member = |word: &str| {
            let c: Vec<char> = word.chars().collect();
            MemberView {
                id: MemberId(c[0].to_digit(10).unwrap().into()),
                zone: c[1].to_string(),
                voter: c[2] == 'V',
                live: c[3] == 'L',
                caught_up: c.get(4) != Some(&'s'),
            }
        };
        text.split_whitespace().map(member).collect()
    }

    fn voters(text: &str) -> Option<Vec<u64>> {
        plan(&members(text)).map(|p| p.voters.iter().map(|v| v.0).collect())
    }

    #[test]
    fn the_table_of_situations() {
        let cases: &[(&str, &str, Option<&[u64]>)] = &[
            ("one alone", "1aVL", None),
            ("two: an even number helps nobody", "1aVL 2b-L", None),
            ("three grow together", "1aVL 2b-L 3c-L", Some(&[1, 2, 3])),
            ("a learner that lags waits", "1aVL 2b-L 3c-Ls", None),
            ("four: three vote, one a zone", "1aVL 2a-L 3b-L 4c-L", Some(&[1, 3, 4])),
            ("five", "1aVL 2b-L 3c-L 4a-L 5b-L", Some(&[1, 2, 3, 4, 5])),
            ("six: no zone with a majority", "1aVL 2aVL 3aVL 4b-L 5b-L 6c-L", Some(&[1, 2, 4, 5, 6])),
            ("a dead voter without a spare stays", "1aVL 2bVL 3cV-", None),
            ("a dead voter gives way to a spare of its zone", "1aVL 2bVL 3cV- 4a-L 5c-L", Some(&[1, 2, 5])),
            ("a spare elsewhere is better than a dead voter", "1aVL 2bVL 3cV- 4a-L", Some(&[1, 2, 4])),
            ("the zone is back: balance again", "1aVL 2bVL 3c-L 4aVL", Some(&[1, 2, 3])),
            ("without a majority nothing can change", "1aVL 2bV- 3cV- 4a-L 5b-L", None),
            ("all is well", "1aVL 2bVL 3cVL 4a-L", None),
            ("five with two dead: three, one a zone, can lose one more", "1aVL 2aV- 3bVL 4bV- 5cVL", Some(&[1, 3, 5])),
            ("the two are back", "1aVL 2a-L 3bVL 4b-L 5cVL", Some(&[1, 2, 3, 4, 5])),
            ("a member was dropped: one of two goes on", "1aVL 2bVL", Some(&[1])),
        ];
        for (name, text, expected) in cases {
            assert_eq!(voters(text).as_deref(), *expected, "{name}: {text}");
        }
    }

    #[test]
    fn one_change_promotes_and_removes() {
        let plan = plan(&members("1aVL 2bVL 3cV- 4c-L")).unwrap();
        assert_eq!(plan.to_string(), "voters 1, 2, 4: promote [4], remove [3]");
    }

    #[test]
    fn no_zone_has_a_majority_where_three_zones_live() {
        for zones in ["aab", "aabc", "abc", "aaabc", "aabbc", "aaaabbc", "abcabcabc"] {
            let text: Vec<String> = zones
                .chars()
                .enumerate()
                .map(|(i, zone)| format!("{}{zone}{}L", i + 1, if i == 0 { 'V' } else { '-' }))
                .collect();
            let members = members(&text.join(" "));
            let Some(plan) = plan(&members) else { continue };
            let distinct: BTreeSet<char> = zones.chars().collect();
            for zone in distinct.iter().filter(|_| distinct.len() >= 3) {
                let held = members.iter().filter(|m| plan.voters.contains(&m.id) && m.zone == zone.to_string()).count();
                assert!(held * 2 < plan.voters.len(), "{zones}: {plan}");
            }
        }
    }
}
