//! Ids as types, so that a service's is never taken for a task's.

use std::{fmt, str::FromStr};

macro_rules! sequence_ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

sequence_ids! {
    /// A cluster, numbered by `apply`. 0 is none.
    ClusterId,
    /// A container instance, numbered by `apply`; its ARN has an [`Id128`]. 0 is none.
    InstanceId,
    /// A revision of a task definition, numbered by `apply`. 0 is none.
    TaskDefinitionId,
    /// A service, numbered by `apply`. 0 is none.
    ServiceId,
    /// The digits of a deployment's `ecs-svc/<digits>`. 0 is none.
    DeploymentId,
    /// A scheduler: its openraft node id, never used twice. 0 is none.
    MemberId,
    /// One connection of an agent, numbered by `apply`. 0 is none.
    SessionId,
    /// A schedule, numbered by `apply`. 0 is none.
    ScheduleId,
    /// A job, numbered by `apply`. 0 is none.
    JobId,
}

/// What an id is multiplied with to become text. Any odd number can be undone; this one (2^128 over the golden ratio)
/// spreads neighbours far apart.
const SPREAD: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
const UNSPREAD: u128 = inverse(SPREAD);

/// The number that undoes a multiplication by `odd`, by Newton's method: each step doubles the bits that are right.
const fn inverse(odd: u128) -> u128 {
    let mut inverse = odd;
    let mut step = 0;
    while step < 7 {
        inverse = inverse.wrapping_mul(2u128.wrapping_sub(odd.wrapping_mul(inverse)));
        step += 1;
    }
    inverse
}

/// 128 bits, written as 32 hex digits as ECS does.
///
/// The text is spread: ids that were drawn together differ in their first digits, so that people can name one by a short
/// prefix. The order of ids is that of their numbers, not of their texts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Id128(pub u128);

/// A task's id: time-ordered, drawn by the proposer.
pub type TaskId = Id128;

impl Id128 {
    /// From the two halves that messages carry.
    pub fn from_halves(hi: u64, lo: u64) -> Self {
        Id128((u128::from(hi) << 64) | u128::from(lo))
    }

    /// The upper 64 bits.
    pub fn hi(self) -> u64 {
        (self.0 >> 64) as u64
    }

    /// The lower 64 bits.
    pub fn lo(self) -> u64 {
        self.0 as u64
    }

    /// The id `ordinal` places after this one: the ids of a bulk placement.
    pub fn offset(self, ordinal: u32) -> Self {
        Id128(self.0.wrapping_add(u128::from(ordinal)))
    }

    /// 48 bits of milliseconds, 64 random bits, 16 zero bits of room for [`Id128::offset`].
    pub fn time_ordered(wall_ms: i64, random: u64) -> Self {
        Id128(((wall_ms.max(0) as u128) << 80) | (u128::from(random) << 16))
    }
}

impl fmt::Display for Id128 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0.wrapping_mul(SPREAD))
    }
}

impl fmt::Debug for Id128 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Id128 {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let hex = text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if !hex {
            return Err(());
        }
        u128::from_str_radix(text, 16).map(|spread| Id128(spread.wrapping_mul(UNSPREAD))).map_err(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ordered_by_time_and_leave_room_for_a_bulk_placement() {
        let early = Id128::time_ordered(1, u64::MAX);
        let late = Id128::time_ordered(2, 0);
        assert!(early < late);
        assert!(early.offset(u16::MAX.into()) < late);
        assert_eq!(late.to_string().parse(), Ok(late));
        assert_eq!("ABC".parse::<Id128>(), Err(()));
        assert_eq!(Id128::from_halves(late.hi(), late.lo()), late);
    }

    #[test]
    fn texts_of_a_bulk_placement_differ_in_their_first_six_digits() {
        let base = Id128::time_ordered(1_764_000_000_000, 0x1234_5678_9abc_def0);
        let texts: Vec<String> = (0..1000).map(|ordinal| base.offset(ordinal).to_string()).collect();
        let prefixes: std::collections::BTreeSet<&str> = texts.iter().map(|text| &text[..6]).collect();
        assert_eq!(prefixes.len(), texts.len());
        assert!(texts.iter().zip(0..).all(|(text, ordinal)| text.parse() == Ok(base.offset(ordinal))));
    }
}
