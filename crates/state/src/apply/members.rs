//! Schedulers come, announce where they are reached, and go.

use std::sync::Arc;

use seawall_model::{ApiError, MemberId, is_ecs_name, is_zone};
use seawall_proto::internal::v1::{DropMember, ForwardRow, MemberRow, PutMember};

use super::{Apply, Outcome, done};
use crate::Change;

impl Apply<'_> {
    /// Puts a member's row. Id 0 draws one that was never used; two rows of one name exist only while one replaces the other.
    pub(super) fn put_member(&mut self, it: &PutMember) -> Outcome {
        let row = it.member.clone().unwrap_or_default();
        if !is_ecs_name(&row.name) {
            return Err(ApiError::invalid(format!("Invalid member name: {:?}.", row.name)).into());
        }
        if !is_zone(&row.zone) {
            return Err(ApiError::invalid(format!("Invalid zone: {:?}.", row.zone)).into());
        }
        let id = if row.id == 0 { self.next_id() } else { row.id };
        let row = MemberRow { id, changed: self.index, ..row };
        if self.state.members.get(&id).is_some_and(|old| MemberRow { changed: self.index, ..(**old).clone() } == row) {
            return Ok(done(id));
        }
        let meta = self.meta();
        meta.next_id = meta.next_id.max(id.saturating_add(1));
        self.state.members.put(id, Arc::new(row));
        self.changed(Change::Member(MemberId(id)));
        Ok(done(id))
    }

    /// Forgets a member. Its forwarding session stays closed for ever: a write of it that is still on its way has no second
    /// effect.
    pub(super) fn drop_member(&mut self, it: &DropMember) -> Outcome {
        let id = it.member_id;
        if self.state.members.remove(&id).is_some() {
            self.changed(Change::Member(MemberId(id)));
        }
        if self.state.forwards.get(&id).is_some() {
            self.forget_forwards(id, u32::MAX);
            let closed = ForwardRow { member_id: id, boot: u64::MAX, forgotten: u64::MAX, kept: 0 };
            self.state.forwards.put(id, Arc::new(closed));
        }
        Ok(done(id))
    }
}
