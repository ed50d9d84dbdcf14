//! What becomes of a service's task whose instance falls silent. How it is written stands in docs/tags.md.

/// The longest wait: a day.
pub const REPLACE_AFTER_S_MAX: u32 = 86_400;
const REPLACE: &str = "replace";
const REPLACE_AFTER: &str = "replace-after:";
const KEEP: &str = "keep";
const AT_MOST_ONE: &str = "at-most-one";

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossPolicy {
    /// Another task takes its place once it has been silent so long; 0: at once.
    Replace {
        /// Seconds in cluster time.
        after_s: u32,
    },
    /// Another one starts at once. It stays wanted until that one is healthy; if it comes back first, the other one goes.
    Keep,
    /// Another one starts only once it has surely ended.
    AtMostOne,
}

impl Default for LossPolicy {
    fn default() -> Self {
        LossPolicy::Replace { after_s: 0 }
    }
}

impl LossPolicy {
    /// As a tag holds it.
    ///
    /// # Errors
    /// What it may be.
    pub fn parse(text: &str) -> Result<Self, String> {
        let seconds = text.strip_prefix(REPLACE_AFTER).map(str::parse::<u32>);
        match (text, seconds) {
            (REPLACE, _) => Ok(LossPolicy::default()),
            (KEEP, _) => Ok(LossPolicy::Keep),
            (AT_MOST_ONE, _) => Ok(LossPolicy::AtMostOne),
            (_, Some(Ok(after_s))) if (1..=REPLACE_AFTER_S_MAX).contains(&after_s) => {
                Ok(LossPolicy::Replace { after_s })
            }
            (_, Some(_)) => Err(format!("'{text}' does not wait 1 to {REPLACE_AFTER_S_MAX} seconds.")),
            (_, None) => Err(format!(
                "'{text}' is no loss policy; there are {REPLACE}, {REPLACE_AFTER}SECONDS, {KEEP} and {AT_MOST_ONE}."
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_and_others_refused() {
        assert_eq!(LossPolicy::parse("replace"), Ok(LossPolicy::Replace { after_s: 0 }));
        assert_eq!(LossPolicy::parse("replace-after:300"), Ok(LossPolicy::Replace { after_s: 300 }));
        assert_eq!(LossPolicy::parse("keep"), Ok(LossPolicy::Keep));
        assert_eq!(LossPolicy::parse("at-most-one"), Ok(LossPolicy::AtMostOne));
        for text in ["replace-after:", "replace-after:0", "replace-after:86401", "replace-after:5m"] {
            assert_eq!(LossPolicy::parse(text), Err(format!("'{text}' does not wait 1 to 86400 seconds.")));
        }
        let unknown = LossPolicy::parse("Keep").unwrap_err();
        assert_eq!(
            unknown,
            "'Keep' is no loss policy; there are replace, replace-after:SECONDS, keep and at-most-one."
        );
    }
}
