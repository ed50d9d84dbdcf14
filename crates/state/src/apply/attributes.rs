//! Custom attributes of instances.

use std::collections::BTreeMap;

use seawall_model::{ApiError, ErrorCode, InstanceId, limits::ATTRIBUTES_MAX};
use seawall_proto::internal::v1::{
    DeleteAttributes, InstanceAttribute, InstanceRow, PutAttributes, put_attributes::Item,
};

use super::{Apply, Outcome, done};
use crate::Change;

const ATTRIBUTE_CHARS_MAX: usize = 128;

impl Apply<'_> {
    pub(super) fn put_attributes(&mut self, it: &PutAttributes) -> Outcome {
        let mut rows = BTreeMap::new();
        for item in &it.items {
            check(item)?;
            put(self.working_copy(it.cluster_id, item, &mut rows)?, item)?;
        }
        Ok(self.put_all(rows))
    }

    pub(super) fn delete_attributes(&mut self, it: &DeleteAttributes) -> Outcome {
        let mut rows = BTreeMap::new();
        for item in &it.items {
            let row = self.working_copy(it.cluster_id, item, &mut rows)?;
            match row.attributes.iter().position(|a| a.name == item.name) {
                Some(place) if row.attributes[place].custom => drop(row.attributes.remove(place)),
                Some(_) => return Err(not_custom(item).into()),
                None => {}
            }
        }
        Ok(self.put_all(rows))
    }

    /// The instance as the items before left it.
    fn working_copy<'a>(
        &self,
        cluster_id: u64,
        item: &Item,
        rows: &'a mut BTreeMap<u64, InstanceRow>,
    ) -> Result<&'a mut InstanceRow, ApiError> {
        let row = self.instance_in(cluster_id, item.instance_id).map_err(|_| {
            ApiError::new(ErrorCode::TargetNotFound, "The target of the attribute was not found in the cluster.")
        })?;
        Ok(rows.entry(item.instance_id).or_insert_with(|| row.clone()))
    }

    fn put_all(&mut self, rows: BTreeMap<u64, InstanceRow>) -> seawall_proto::internal::v1::reply::Kind {
        for (id, row) in rows {
            self.state.put_instance(InstanceRow { changed: self.index, ..row });
            self.changed(Change::Instance(InstanceId(id)));
        }
        done(0)
    }
}

fn put(row: &mut InstanceRow, item: &Item) -> Result<(), ApiError> {
    let new = InstanceAttribute { name: item.name.clone(), value: item.value.clone(), custom: true };
    let custom = row.attributes.iter().filter(|a| a.custom).count();
    match row.attributes.iter_mut().find(|a| a.name == item.name) {
        Some(old) if old.custom => *old = new,
        Some(_) => return Err(not_custom(item)),
        None if custom >= ATTRIBUTES_MAX => {
            let message = format!("A container instance takes {ATTRIBUTES_MAX} custom attributes.");
            return Err(ApiError::new(ErrorCode::AttributeLimitExceeded, message));
        }
        None => row.attributes.push(new),
    }
    Ok(())
}

fn check(item: &Item) -> Result<(), ApiError> {
    let name_char = |c: char| c.is_ascii_alphanumeric() || "_-./\\".contains(c);
    if !(1..=ATTRIBUTE_CHARS_MAX).contains(&item.name.len()) || !item.name.chars().all(name_char) {
        return Err(ApiError::invalid(format!(
            "Invalid attribute name {:?}: 1 to {ATTRIBUTE_CHARS_MAX} letters, digits and _ - . / \\.",
            item.name
        )));
    }
    let value_char = |c: char| name_char(c) || "@: ".contains(c);
    if item.value.len() > ATTRIBUTE_CHARS_MAX || !item.value.chars().all(value_char) || item.value.trim() != item.value
    {
        return Err(ApiError::invalid(format!(
            "Invalid value of attribute {}: up to {ATTRIBUTE_CHARS_MAX} letters, digits, inner spaces and _ - . / \\ @ :.",
            item.name
        )));
    }
    Ok(())
}

fn not_custom(item: &Item) -> ApiError {
    ApiError::invalid(format!("The attribute {} is set by the agent and cannot be changed.", item.name))
}
