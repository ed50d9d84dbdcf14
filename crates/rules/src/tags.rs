//! Tags.

use seawall_model::{ApiError, ErrorCode, LossPolicy, limits::TAGS_MAX, nearest, own_tags};
use seawall_proto::v1::Tag;

/// Tags that steer Seawall begin so: one that is not in [`OWN`] would silently do nothing.
const OWN_PREFIX: &str = "seawall:";
/// Names that a refusal suggests.
const SUGGESTIONS: usize = 3;
/// Tags that AWS sets itself.
const AWS_PREFIX: &str = "aws:";

/// What a tag is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// A service.
    Service,
    /// A task of RunTask or StartTask, or those of a job.
    Task,
    /// Anything else: none of Seawall's tags do something there.
    Other,
}

/// What a tag of Seawall's own takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// A whole number.
    Number {
        /// The smallest.
        min: u32,
        /// The largest.
        max: u32,
        /// Of what ("seconds").
        unit: &'static str,
    },
    /// What [`LossPolicy::parse`] reads.
    LossPolicy,
}

/// A tag that steers Seawall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Own {
    /// Its key.
    pub key: &'static str,
    /// Where it does something.
    pub on: &'static [On],
    /// What it takes.
    pub takes: Takes,
}

const SERVICES: &[On] = &[On::Service];

/// Every tag that steers Seawall. For people they stand in docs/tags.md.
pub const OWN: &[Own] = &[
    Own { key: own_tags::HEALTHY_AFTER, on: SERVICES, takes: Takes::Number { min: 0, max: 3600, unit: "seconds" } },
    Own { key: own_tags::LOSS_POLICY, on: SERVICES, takes: Takes::LossPolicy },
    Own { key: own_tags::MAX_PER_INSTANCE, on: SERVICES, takes: Takes::Number { min: 1, max: 5000, unit: "tasks" } },
    Own { key: own_tags::MAX_ZONE_SKEW, on: SERVICES, takes: Takes::Number { min: 1, max: 5000, unit: "tasks" } },
    Own { key: own_tags::REBALANCE, on: SERVICES, takes: Takes::Number { min: 0, max: 1, unit: "on or off" } },
    Own { key: own_tags::ZONE_LOSS_TOLERANCE, on: SERVICES, takes: Takes::Number { min: 0, max: 1, unit: "zones" } },
    Own {
        key: own_tags::PRIORITY,
        on: &[On::Service, On::Task],
        takes: Takes::Number { min: 0, max: own_tags::PRIORITY_MAX, unit: "points" },
    },
];

/// Checks the tags that a caller sets on a resource.
///
/// # Errors
/// `InvalidParameterException` naming the tag.
pub fn check(tags: &[Tag], on: On) -> Result<(), ApiError> {
    for (i, tag) in tags.iter().enumerate() {
        check_one(tag, on)?;
        if tags[..i].iter().any(|other| other.key().eq_ignore_ascii_case(tag.key())) {
            return Err(ApiError::invalid("Duplicate tag keys found. Please note that Tag keys are case insensitive."));
        }
    }
    Ok(())
}

/// The tags of a resource after `added` are set on it.
///
/// # Errors
/// `LimitExceededException` past 50.
pub fn check_count(existing: &[Tag], added: &[Tag]) -> Result<(), ApiError> {
    let new = added.iter().filter(|tag| !existing.iter().any(|e| e.key == tag.key)).count();
    if existing.len() + new > TAGS_MAX {
        let message = format!("A resource has at most {TAGS_MAX} tags; this one would have {}.", existing.len() + new);
        return Err(ApiError::new(ErrorCode::LimitExceeded, message));
    }
    Ok(())
}

fn check_one(tag: &Tag, on: On) -> Result<(), ApiError> {
    let (key, value) = (tag.key(), tag.value());
    if key.is_empty() {
        return Err(ApiError::invalid("Tag keys can not be blank."));
    }
    let own = |prefix: &str| key.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    if own(AWS_PREFIX) {
        return Err(ApiError::invalid(format!("Tag {key}: the prefix {AWS_PREFIX} is reserved.")));
    }
    if own(OWN_PREFIX) {
        check_own(key, value, on)?;
    }
    let allowed = |c: char| c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c);
    if !key.chars().chain(value.chars()).all(allowed) {
        return Err(ApiError::invalid(format!("Tag {key}: letters, digits, spaces and _ . : / = + - @ are allowed.")));
    }
    Ok(())
}

fn check_own(key: &str, value: &str, on: On) -> Result<(), ApiError> {
    let bad = |what: String| Err(ApiError::invalid(format!("Tag {key}: {what}")));
    let Some(own) = OWN.iter().find(|own| own.key == key) else {
        let near = nearest(key, OWN.iter().map(|own| own.key), SUGGESTIONS).join(", ");
        return bad(format!("this version has no such tag; the nearest are {near}."));
    };
    if !own.on.contains(&on) {
        let what = if own.on.contains(&On::Task) { "services and tasks" } else { "services" };
        return bad(format!("it does something on {what} only."));
    }
    own.takes.check(value).or_else(bad)
}

impl Takes {
    fn check(self, value: &str) -> Result<(), String> {
        match self {
            Takes::Number { min, max, unit } => match value.parse::<u32>() {
                Ok(number) if (min..=max).contains(&number) => Ok(()),
                _ => Err(format!("'{value}' is not {min} to {max} {unit}.")),
            },
            Takes::LossPolicy => LossPolicy::parse(value).map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(key: &str, value: &str) -> Tag {
        Tag { key: Some(key.into()), value: Some(value.into()) }
    }

    #[test]
    fn bad_tags_are_refused_by_name() {
        check(&[tag("team", "a b/c@d"), tag("größe", "1.0")], On::Other).unwrap();
        let message = |tags: &[Tag]| check(tags, On::Service).unwrap_err().message;
        assert_eq!(message(&[tag("AWS:x", "")]), "Tag AWS:x: the prefix aws: is reserved.");
        assert_eq!(message(&[tag("a", "1|2")]), "Tag a: letters, digits, spaces and _ . : / = + - @ are allowed.");
        assert_eq!(
            message(&[tag("a", "1"), tag("A", "2")]),
            "Duplicate tag keys found. Please note that Tag keys are case insensitive."
        );
    }

    #[test]
    fn own_tags_are_known_and_have_good_values() {
        let says = |key: &str, value: &str, on| check(&[tag(key, value)], on).map_err(|error| error.message);
        let bad = |what: &str| Err(what.to_owned());
        for value in ["0", "40", "3600"] {
            assert_eq!(says("seawall:healthy-after", value, On::Service), Ok(()));
        }
        for value in ["", "-1", "3601", "40s", "1.5"] {
            let message = format!("Tag seawall:healthy-after: '{value}' is not 0 to 3600 seconds.");
            assert_eq!(says("seawall:healthy-after", value, On::Service), Err(message));
        }
        assert_eq!(
            says("seawall:healthy-after", "40", On::Other),
            bad("Tag seawall:healthy-after: it does something on services only.")
        );
        let unknown = says("seawall:healthy_after", "40", On::Service).unwrap_err();
        let nearest =
            "Tag seawall:healthy_after: this version has no such tag; the nearest are seawall:healthy-after, ";
        assert!(unknown.starts_with(nearest), "{unknown}");
        assert_eq!(says("seawall:priority", "0", On::Service), Ok(()));
        assert_eq!(says("seawall:priority", "100", On::Task), Ok(()));
        assert_eq!(
            says("seawall:priority", "101", On::Task),
            bad("Tag seawall:priority: '101' is not 0 to 100 points.")
        );
        assert_eq!(
            says("seawall:priority", "1", On::Other),
            bad("Tag seawall:priority: it does something on services and tasks only.")
        );
        assert!(says("seawall:healthy-after", "40", On::Task).is_err());
        assert!(says("Seawall:nothing", "", On::Other).is_err(), "whatever its case");
    }

    #[test]
    fn own_tags_are_documented() {
        let page = include_str!("../../../docs/tags.md");
        for own in OWN {
            let says = match own.takes {
                Takes::Number { min, max, unit } => format!("| {unit}, {min} to {max} |"),
                Takes::LossPolicy => "`replace-after:SECONDS`".into(),
            };
            let line = page.lines().find(|line| line.contains(&format!("`{}`", own.key))).unwrap_or_default();
            assert!(line.contains(&says), "{}: {line}", own.key);
        }
    }

    #[test]
    fn fifty_tags_are_the_limit() {
        let many: Vec<Tag> = (0..50).map(|i| tag(&i.to_string(), "")).collect();
        check_count(&many, &[tag("3", "changed")]).unwrap();
        assert_eq!(check_count(&many, &[tag("x", "")]).unwrap_err().code, ErrorCode::LimitExceeded);
    }
}
