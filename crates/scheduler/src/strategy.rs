//! ECS's placement strategies: which of the instances that fit is taken.
//!
//! A strategy is a chain of up to five steps. Each is a key of an instance, the smallest wins, the next step decides between
//! equals. `spread` over an attribute counts the tasks on all instances with the same value, `spread` over instances those
//! on the instance, `binpack` what would be left of it, `random` is a number drawn from the seed.

use seawall_proto::v1::PlacementStrategy;

use crate::ZONE_ATTRIBUTE;

/// Steps that ECS takes.
pub const STEPS_MAX: usize = 5;

/// What `binpack` fills up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packed {
    /// CPU units.
    Cpu,
    /// MiB.
    Memory,
}

/// One `placementStrategy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The value of this attribute with the fewest tasks. Instances without the attribute are one value of their own.
    SpreadAttribute(String),
    /// The instance with the fewest tasks.
    SpreadInstance,
    /// The instance with the least left.
    Binpack(Packed),
    /// Any.
    Random,
}

/// A chain of steps, and what `random` draws from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strategy {
    /// The first decides first.
    pub steps: Vec<Step>,
    /// Equal seeds draw equally.
    pub seed: u64,
}

impl Default for Strategy {
    /// Over zones, then over instances.
    fn default() -> Self {
        Strategy { steps: vec![Step::SpreadAttribute(ZONE_ATTRIBUTE.into()), Step::SpreadInstance], seed: 0 }
    }
}

impl Strategy {
    /// The strategy that was asked for; the default where there is none.
    ///
    /// # Errors
    /// What is wrong with it, naming the position.
    pub fn parse(asked: &[PlacementStrategy], seed: u64) -> Result<Self, String> {
        if asked.len() > STEPS_MAX {
            return Err(format!("placementStrategy: {} are given, at most {STEPS_MAX} can be.", asked.len()));
        }
        let steps: Vec<Step> =
            asked.iter().zip(0..).map(|(step, at)| Step::parse(step, at)).collect::<Result<_, _>>()?;
        Ok(match steps.is_empty() {
            true => Strategy { seed, ..Strategy::default() },
            false => Strategy { steps, seed },
        })
    }

    /// Whether zones come first: what keeps a service up when one is lost.
    pub fn spreads_zones_first(&self) -> bool {
        self.steps.first() == Some(&Step::SpreadAttribute(ZONE_ATTRIBUTE.into()))
    }

    /// Whether instances with fewer tasks come first, of those in zones with as many at most.
    pub fn spreads_instances(&self) -> bool {
        let before = self.steps.iter().take_while(|step| **step != Step::SpreadInstance);
        let has_it = self.steps.contains(&Step::SpreadInstance);
        has_it && before.into_iter().all(|step| step.attribute() == Some(ZONE_ATTRIBUTE))
    }

    /// The same with zones first: scaling in takes from the zone with the most, whatever it looks at then.
    #[must_use]
    pub fn zones_first(mut self) -> Self {
        if !self.spreads_zones_first() {
            self.steps.insert(0, Step::SpreadAttribute(ZONE_ATTRIBUTE.into()));
            self.steps.truncate(STEPS_MAX);
        }
        self
    }

    /// Whether some step says which of two instances with equally many tasks is taken. Otherwise the emptiest is.
    pub(crate) fn packs(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Binpack(_) | Step::Random))
    }
}

impl Step {
    /// The attribute that it spreads over, where it does.
    pub(crate) fn attribute(&self) -> Option<&str> {
        match self {
            Step::SpreadAttribute(name) => Some(name),
            _ => None,
        }
    }

    fn parse(asked: &PlacementStrategy, at: usize) -> Result<Self, String> {
        let field = asked.field();
        match (asked.r#type().to_ascii_lowercase().as_str(), field.to_ascii_lowercase().as_str()) {
            ("spread", "instanceid" | "host") => Ok(Step::SpreadInstance),
            ("spread", lower) if lower.len() > "attribute:".len() && lower.starts_with("attribute:") => {
                Ok(Step::SpreadAttribute(field["attribute:".len()..].to_owned()))
            }
            ("spread", _) => Err(format!(
                "placementStrategy[{at}].field is {field:?}; a spread is over instanceId, host or attribute:NAME."
            )),
            ("binpack", "cpu") => Ok(Step::Binpack(Packed::Cpu)),
            ("binpack", "memory") => Ok(Step::Binpack(Packed::Memory)),
            ("binpack", _) => {
                Err(format!("placementStrategy[{at}].field is {field:?}; a binpack is by cpu or memory."))
            }
            ("random", "") => Ok(Step::Random),
            ("random", _) => Err(format!("placementStrategy[{at}].field is {field:?}; random takes none.")),
            _ => Err(format!("placementStrategy[{at}].type is {:?}; it is spread, binpack or random.", asked.r#type())),
        }
    }
}

/// A number that looks random and is the same for the same seed, instance and draw (SplitMix64).
pub(crate) fn draw(seed: u64, instance: u64, nth: u32) -> u64 {
    let mut mixed = seed ^ instance.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (u64::from(nth) << 32);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(steps: &[(&str, &str)]) -> Result<Vec<Step>, String> {
        let asked = |(kind, field): &(&str, &str)| PlacementStrategy {
            r#type: Some((*kind).into()),
            field: (!field.is_empty()).then(|| (*field).into()),
        };
        Strategy::parse(&steps.iter().map(asked).collect::<Vec<_>>(), 1).map(|strategy| strategy.steps)
    }

    #[test]
    fn steps_are_ecs_s() {
        let zone = Step::SpreadAttribute(ZONE_ATTRIBUTE.into());
        assert_eq!(parse(&[]), Ok(vec![zone.clone(), Step::SpreadInstance]));
        assert_eq!(
            parse(&[("spread", "attribute:ecs.availability-zone"), ("binpack", "MEMORY"), ("random", "")]),
            Ok(vec![zone, Step::Binpack(Packed::Memory), Step::Random])
        );
        assert_eq!(parse(&[("spread", "host")]), parse(&[("spread", "instanceId")]));
    }

    #[test]
    fn what_is_no_step_is_named() {
        for (step, says) in [
            (("spread", "cpu"), "placementStrategy[0].field is \"cpu\""),
            (("spread", "attribute:"), "placementStrategy[0].field"),
            (("binpack", "disk"), "placementStrategy[0].field is \"disk\""),
            (("random", "cpu"), "random takes none"),
            (("best", ""), "placementStrategy[0].type is \"best\""),
        ] {
            let error = parse(&[step]).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        assert!(parse(&[("random", ""); 6]).unwrap_err().contains("at most 5"));
    }
}
