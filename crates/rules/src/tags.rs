//! Tags.

use seawall_model::{ApiError, ErrorCode, limits::TAGS_MAX};
use seawall_proto::v1::Tag;

/// Tags that steer Seawall begin so; none exists in this version, so one would silently do nothing.
const OWN_PREFIX: &str = "seawall:";
/// Tags that AWS sets itself.
const AWS_PREFIX: &str = "aws:";

/// Checks the tags that a caller sets.
///
/// # Errors
/// `InvalidParameterException` naming the tag.
pub fn check(tags: &[Tag]) -> Result<(), ApiError> {
    for (i, tag) in tags.iter().enumerate() {
        check_one(tag)?;
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

fn check_one(tag: &Tag) -> Result<(), ApiError> {
    let (key, value) = (tag.key(), tag.value());
    if key.is_empty() {
        return Err(ApiError::invalid("Tag keys can not be blank."));
    }
    let own = |prefix: &str| key.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    if own(AWS_PREFIX) {
        return Err(ApiError::invalid(format!("Tag {key}: the prefix {AWS_PREFIX} is reserved.")));
    }
    if own(OWN_PREFIX) {
        return Err(ApiError::invalid(format!("Tag {key}: this version knows no tag with the prefix {OWN_PREFIX}")));
    }
    let allowed = |c: char| c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c);
    if !key.chars().chain(value.chars()).all(allowed) {
        return Err(ApiError::invalid(format!("Tag {key}: letters, digits, spaces and _ . : / = + - @ are allowed.")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(key: &str, value: &str) -> Tag {
        Tag { key: Some(key.into()), value: Some(value.into()) }
    }

    #[test]
    fn bad_tags_are_refused_by_name() {
        check(&[tag("team", "a b/c@d"), tag("größe", "1.0")]).unwrap();
        let message = |tags: &[Tag]| check(tags).unwrap_err().message;
        assert_eq!(message(&[tag("AWS:x", "")]), "Tag AWS:x: the prefix aws: is reserved.");
        assert_eq!(
            message(&[tag("seawall:loss-policy", "x")]),
            "Tag seawall:loss-policy: this version knows no tag with the prefix seawall:"
        );
        assert_eq!(message(&[tag("a", "1|2")]), "Tag a: letters, digits, spaces and _ . : / = + - @ are allowed.");
        assert_eq!(
            message(&[tag("a", "1"), tag("A", "2")]),
            "Duplicate tag keys found. Please note that Tag keys are case insensitive."
        );
    }

    #[test]
    fn fifty_tags_are_the_limit() {
        let many: Vec<Tag> = (0..50).map(|i| tag(&i.to_string(), "")).collect();
        check_count(&many, &[tag("3", "changed")]).unwrap();
        assert_eq!(check_count(&many, &[tag("x", "")]).unwrap_err().code, ErrorCode::LimitExceeded);
    }
}
