//! Whether so many agents fell silent at once that the fault is more likely ours than theirs.
//!
//! One blip of a scheduler or a switch must not move half the cluster's tasks. A whole zone never triggers the hold, for
//! surviving it is what the cluster is for: the worst-hit zone is left out of the count.
//!
//! Times are the leader's monotonic clock; a new leader starts with nothing lost.

use std::collections::{BTreeMap, BTreeSet};

use seawall_model::MemberId;

/// Losses that never are a mass.
pub const LOSSES_MIN: usize = 3;
/// Above this share of the agents outside the worst-hit zone, replacement is held.
pub const HOLD_PERCENT: usize = 20;
/// Below this share it goes on.
pub const RELEASE_PERCENT: usize = 10;
/// Above this share of the agents of one live member, replacement is held.
pub const MEMBER_PERCENT: usize = 50;

/// An agent that is connected, or was when it was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentView {
    /// Its zone.
    pub zone: String,
    /// The member that holds or held its stream.
    pub member: MemberId,
    /// When its lease ran out; `None` while it is connected.
    pub lost_at_ms: Option<i64>,
}

/// What the rule looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input<'a> {
    /// Every agent that is connected or that this leader saw being lost.
    pub agents: &'a [AgentView],
    /// Members that answer.
    pub live_members: &'a BTreeSet<MemberId>,
    /// How long a lease is: losses within it belong together.
    pub lease_ms: i64,
    /// Longest hold.
    pub hold_max_ms: i64,
    /// The leader's monotonic clock.
    pub now_ms: i64,
}

/// Which share was too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Of the agents outside the worst-hit zone.
    OutsideWorstZone,
    /// Of the agents attached to a member that is alive.
    Member(MemberId),
}

/// Whether replacement is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It is not. Losses up to `settled_ms` were judged: they trigger nothing again.
    Off {
        /// When the last hold ended; `i64::MIN` where there was none.
        settled_ms: i64,
    },
    /// It is.
    On {
        /// Since when.
        since_ms: i64,
        /// The first loss that counts.
        losses_from_ms: i64,
        /// The share to watch.
        trigger: Trigger,
        /// For status, event and metric.
        reason: String,
    },
}

impl Default for Hold {
    fn default() -> Self {
        Hold::Off { settled_ms: i64::MIN }
    }
}

impl Hold {
    /// Whether replacement is held.
    pub fn is_on(&self) -> bool {
        matches!(self, Hold::On { .. })
    }

    /// An operator ends it.
    pub fn release(&self, now_ms: i64) -> Hold {
        match self {
            Hold::On { .. } => Hold::Off { settled_ms: now_ms },
            off => off.clone(),
        }
    }
}

/// The hold after looking at `input`.
pub fn decide(previous: &Hold, input: &Input<'_>) -> Hold {
    match previous {
        Hold::On { since_ms, losses_from_ms, trigger, .. } => {
            let share = Losses::since(input.agents, *losses_from_ms).share(*trigger);
            let over = input.now_ms.saturating_sub(*since_ms) >= input.hold_max_ms;
            if over || share.is_below(RELEASE_PERCENT) {
                return Hold::Off { settled_ms: input.now_ms };
            }
            previous.clone()
        }
        Hold::Off { settled_ms } => {
            let losses_from_ms = input.now_ms.saturating_sub(input.lease_ms).max(settled_ms.saturating_add(1));
            match mass_loss(input, &Losses::since(input.agents, losses_from_ms)) {
                Some((trigger, reason)) => Hold::On { since_ms: input.now_ms, losses_from_ms, trigger, reason },
                None => previous.clone(),
            }
        }
    }
}

fn mass_loss(input: &Input<'_>, losses: &Losses<'_>) -> Option<(Trigger, String)> {
    let outside = losses.share(Trigger::OutsideWorstZone);
    if outside.is_mass(HOLD_PERCENT) {
        let place = format!("agents outside zone {}", losses.worst_zone);
        return Some((Trigger::OutsideWorstZone, reason(outside, &place)));
    }
    input.live_members.iter().find_map(|member| {
        let share = losses.share(Trigger::Member(*member));
        let place = format!("agents of the live member {member}");
        share.is_mass(MEMBER_PERCENT).then(|| (Trigger::Member(*member), reason(share, &place)))
    })
}

fn reason(share: Share, place: &str) -> String {
    format!("{} of {} {place} fell silent within one lease", share.lost, share.all)
}

/// So many of so many.
#[derive(Clone, Copy)]
struct Share {
    lost: usize,
    all: usize,
}

impl Share {
    fn is_mass(self, percent: usize) -> bool {
        self.lost > LOSSES_MIN && self.lost * 100 > self.all * percent
    }

    fn is_below(self, percent: usize) -> bool {
        self.lost == 0 || self.lost * 100 < self.all * percent
    }
}

/// Agents lost since some time, and those that are connected.
struct Losses<'a> {
    lost: Vec<&'a AgentView>,
    connected: Vec<&'a AgentView>,
    worst_zone: &'a str,
    /// Zones of which nobody is left: losing one is no mass loss, whichever member its agents were attached to.
    whole_zones: BTreeSet<&'a str>,
}

impl<'a> Losses<'a> {
    fn since(agents: &'a [AgentView], from_ms: i64) -> Self {
        let lost: Vec<_> = agents.iter().filter(|a| a.lost_at_ms.is_some_and(|at| at >= from_ms)).collect();
        let connected: Vec<_> = agents.iter().filter(|a| a.lost_at_ms.is_none()).collect();
        let mut zones: BTreeMap<&str, usize> = BTreeMap::new();
        for agent in &lost {
            *zones.entry(&agent.zone).or_default() += 1;
        }
        let alive: BTreeSet<&str> = connected.iter().map(|a| a.zone.as_str()).collect();
        let whole_zones = zones.keys().copied().filter(|zone| !alive.contains(zone)).collect();
        let worst_zone = zones.into_iter().max_by_key(|(_, count)| *count).map_or("", |(zone, _)| zone);
        Losses { lost, connected, worst_zone, whole_zones }
    }

    fn share(&self, trigger: Trigger) -> Share {
        let counts = |a: &&&AgentView| match trigger {
            Trigger::OutsideWorstZone => a.zone != self.worst_zone,
            Trigger::Member(member) => a.member == member && !self.whole_zones.contains(a.zone.as_str()),
        };
        let lost = self.lost.iter().filter(counts).count();
        Share { lost, all: lost + self.connected.iter().filter(counts).count() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD_MAX_MS: i64 = 10 * 60 * 1000;
    const LEASE_MS: i64 = 3000;

    /// `connected` agents, then `lost` ones at `at_ms`, in a zone on a member.
    fn agents(groups: &[(&str, u64, usize, usize, i64)]) -> Vec<AgentView> {
        let view =
            |zone: &str, member, lost_at_ms| AgentView { zone: zone.into(), member: MemberId(member), lost_at_ms };
        let group = |&(zone, member, connected, lost, at_ms): &(&str, u64, usize, usize, i64)| {
            let alive = (0..connected).map(move |_| view(zone, member, None));
            alive.chain((0..lost).map(move |_| view(zone, member, Some(at_ms)))).collect::<Vec<_>>()
        };
        groups.iter().flat_map(group).collect()
    }

    fn look(previous: &Hold, agents: &[AgentView], live: &[u64], now_ms: i64) -> Hold {
        let live_members = live.iter().copied().map(MemberId).collect();
        let input = Input { agents, live_members: &live_members, lease_ms: LEASE_MS, hold_max_ms: HOLD_MAX_MS, now_ms };
        decide(previous, &input)
    }

    fn held(groups: &[(&str, u64, usize, usize, i64)], live: &[u64]) -> bool {
        look(&Hold::default(), &agents(groups), live, 10_000).is_on()
    }

    #[test]
    fn a_whole_zone_never_triggers_it() {
        assert!(!held(&[("a", 1, 0, 40, 9000), ("b", 2, 5, 0, 0), ("c", 3, 5, 0, 0)], &[2, 3]));
        assert!(!held(&[("a", 1, 0, 40, 9000), ("b", 2, 5, 0, 0)], &[1, 2]), "its member lives on");
        assert!(!held(&[("a", 2, 0, 40, 9000), ("b", 2, 5, 0, 0)], &[1, 2]), "attached to another zone's member");
    }

    #[test]
    fn losses_outside_the_worst_zone_hold() {
        assert!(held(&[("a", 1, 0, 10, 9000), ("b", 2, 6, 4, 9000), ("c", 3, 9, 0, 0)], &[2, 3]));
        assert!(!held(&[("a", 1, 0, 10, 9000), ("b", 2, 16, 4, 9000)], &[2, 3]), "20 % is not more than 20 %");
        assert!(!held(&[("a", 1, 0, 10, 9000), ("b", 2, 1, 3, 9000)], &[]), "three are never a mass");
        assert!(!held(&[("a", 1, 0, 10, 9000), ("b", 2, 6, 4, 6999)], &[2, 3]), "older than a lease");
    }

    #[test]
    fn losses_of_a_live_member_hold() {
        assert!(held(&[("a", 1, 3, 4, 9000), ("a", 2, 50, 0, 0)], &[1, 2]));
        assert!(!held(&[("a", 1, 4, 4, 9000), ("a", 2, 50, 0, 0)], &[1, 2]), "half is not more than half");
        assert!(!held(&[("a", 1, 3, 4, 9000), ("a", 2, 50, 0, 0)], &[2]), "the member is dead: agents move");
    }

    #[test]
    fn it_ends_under_ten_percent_and_does_not_start_again() {
        let bad = agents(&[("a", 1, 3, 7, 9000), ("a", 2, 50, 0, 0)]);
        let on = look(&Hold::default(), &bad, &[1, 2], 10_000);
        assert!(on.is_on());
        let still = agents(&[("a", 1, 9, 1, 9000), ("a", 2, 50, 0, 0)]);
        assert!(look(&on, &still, &[1, 2], 11_000).is_on(), "one in ten is not under 10 %");
        let back = agents(&[("a", 1, 10, 0, 0), ("a", 2, 50, 0, 0)]);
        assert_eq!(look(&on, &back, &[1, 2], 11_000), Hold::Off { settled_ms: 11_000 });
    }

    #[test]
    fn it_ends_after_its_time_or_by_an_operator_and_the_same_losses_do_not_trigger_it_again() {
        let bad = agents(&[("a", 1, 3, 7, 9000), ("a", 2, 50, 0, 0)]);
        let on = look(&Hold::default(), &bad, &[1, 2], 10_000);
        assert!(look(&on, &bad, &[1, 2], 10_000 + HOLD_MAX_MS - 1).is_on());
        let ended_ms = 10_000 + HOLD_MAX_MS;
        let ended = look(&on, &bad, &[1, 2], ended_ms);
        assert_eq!(look(&ended, &bad, &[1, 2], ended_ms + 100), Hold::Off { settled_ms: ended_ms });
        let more = agents(&[("a", 1, 3, 7, ended_ms + 50), ("a", 2, 50, 0, 0)]);
        assert!(look(&ended, &more, &[1, 2], ended_ms + 100).is_on(), "new losses do");
        let released = on.release(10_500);
        assert_eq!(look(&released, &bad, &[1, 2], 10_600), Hold::Off { settled_ms: 10_500 });
    }
}
