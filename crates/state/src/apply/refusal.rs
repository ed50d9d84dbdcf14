//! ECS's wording of what goes wrong, and checks that several commands share.

use seawall_model::{ApiError, ClusterId, ErrorCode, InstanceId, TaskDefinitionId, limits::TAGS_MAX};
use seawall_proto::{
    internal::v1::{ClusterRow, InstanceRow, TaskDefinitionRow},
    v1::Tag,
};

use super::Apply;

const TAG_KEY_CHARS_MAX: usize = 128;
const TAG_VALUE_CHARS_MAX: usize = 256;
const RESERVED_TAG_PREFIX: &str = "aws:";

pub(super) fn task_not_found() -> ApiError {
    ApiError::invalid("The referenced task was not found.")
}

pub(super) fn service_not_found() -> ApiError {
    ApiError::new(ErrorCode::ServiceNotFound, "Service not found.")
}

pub(super) fn service_not_active() -> ApiError {
    ApiError::new(ErrorCode::ServiceNotActive, "Service was not ACTIVE.")
}

pub(super) fn instance_not_found() -> ApiError {
    ApiError::invalid("The referenced container instance was not found.")
}

pub(super) fn definition_inactive() -> ApiError {
    ApiError::client("TaskDefinition is inactive")
}

impl Apply<'_> {
    pub(super) fn active_cluster(&self, id: u64) -> Result<&ClusterRow, ApiError> {
        match self.state.clusters.get(&ClusterId(id)) {
            Some(row) if row.active => Ok(row),
            Some(_) => Err(ApiError::new(ErrorCode::ClusterNotFound, "The referenced cluster was inactive.")),
            None => Err(ApiError::new(ErrorCode::ClusterNotFound, "Cluster not found.")),
        }
    }

    pub(super) fn instance_in(&self, cluster_id: u64, instance_id: u64) -> Result<&InstanceRow, ApiError> {
        let row = self.state.instances.get(&InstanceId(instance_id));
        let row = row.filter(|row| row.cluster_id == cluster_id);
        row.map(AsRef::as_ref).ok_or_else(instance_not_found)
    }

    pub(super) fn definition(&self, id: u64) -> Result<&TaskDefinitionRow, ApiError> {
        let row = self.state.task_definitions.get(&TaskDefinitionId(id));
        row.map(AsRef::as_ref).ok_or_else(|| ApiError::client("TaskDefinition not found."))
    }
}

/// The tags of a resource that is made with these.
pub(super) fn checked_tags(tags: &[Tag]) -> Result<Vec<Tag>, ApiError> {
    merged_tags(&[], tags)
}

/// `old` with `new` put over it.
pub(super) fn merged_tags(old: &[Tag], new: &[Tag]) -> Result<Vec<Tag>, ApiError> {
    let mut merged = old.to_vec();
    for (i, tag) in new.iter().enumerate() {
        check_tag(tag)?;
        if new[..i].iter().any(|other| other.key == tag.key) {
            return Err(ApiError::invalid(format!("Duplicate tag key: {}.", tag.key())));
        }
        match merged.iter_mut().find(|other| other.key == tag.key) {
            Some(found) => *found = tag.clone(),
            None => merged.push(tag.clone()),
        }
    }
    if merged.len() > TAGS_MAX {
        return Err(ApiError::invalid(format!("Too many tags: a resource takes {TAGS_MAX}.")));
    }
    Ok(merged)
}

fn check_tag(tag: &Tag) -> Result<(), ApiError> {
    let (key, value) = (tag.key(), tag.value());
    if !(1..=TAG_KEY_CHARS_MAX).contains(&key.chars().count()) || !key.chars().all(is_tag_char) {
        return Err(ApiError::invalid(format!(
            "Invalid tag key {key:?}: 1 to {TAG_KEY_CHARS_MAX} letters, digits, spaces and + - = . _ : / @."
        )));
    }
    if key.get(..RESERVED_TAG_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(RESERVED_TAG_PREFIX)) {
        return Err(ApiError::invalid(format!("Invalid tag key {key:?}: aws: is reserved.")));
    }
    if value.chars().count() > TAG_VALUE_CHARS_MAX || !value.chars().all(is_tag_char) {
        return Err(ApiError::invalid(format!(
            "Invalid value of tag {key:?}: up to {TAG_VALUE_CHARS_MAX} letters, digits, spaces and + - = . _ : / @."
        )));
    }
    Ok(())
}

fn is_tag_char(c: char) -> bool {
    c.is_alphanumeric() || c == ' ' || "+-=._:/@".contains(c)
}

/// `text`, cut to `bytes_max` at a character.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// Filters that a row counts instances by.
const FILTERS_MAX: usize = 32;

/// Filters' numbers and instances by turns, as many as are kept.
pub(super) fn cut_left_out(pairs: &[u32]) -> Vec<u32> {
    pairs.chunks_exact(2).take(FILTERS_MAX).flatten().copied().collect()
}
