//! Forwarding sessions: a member may send a write again for as long as its deadline runs, with one effect (hard part 5).

use std::sync::Arc;

use prost::Message;
use seawall_model::{ApiError, ErrorCode};
use seawall_proto::internal::v1::{ForwardId, ForwardRow, ForwardedRow, Reply, reply};

use super::Apply;
use crate::{Change, State};

impl Apply<'_> {
    /// What this write answered before, if it is a repetition.
    pub(super) fn forward_seen(&self, id: Option<&ForwardId>) -> Result<Option<reply::Kind>, ApiError> {
        let Some(id) = id else { return Ok(None) };
        let Some(session) = self.state.forwards.get(&id.member_id) else { return Ok(None) };
        if id.boot > session.boot {
            return Ok(None);
        }
        if id.boot < session.boot {
            return Err(unknown_outcome("the member that forwarded it has started again since"));
        }
        if let Some(recorded) = self.state.answer_of_forward(id) {
            return Ok(Some(recorded));
        }
        if id.serial <= session.forgotten && session.forgotten != 0 {
            return Err(unknown_outcome("it is older than the answers that are kept"));
        }
        Ok(None)
    }

    /// Keeps the answer for a repetition.
    pub(super) fn record_forward(&mut self, id: Option<&ForwardId>, reply: &[u8]) {
        let Some(id) = id else { return };
        let (member_id, boot) = (id.member_id, id.boot);
        let fresh = ForwardRow { member_id, boot, ..ForwardRow::default() };
        let mut session = match self.state.forwards.get(&member_id) {
            Some(row) if row.boot == boot => ForwardRow::clone(row),
            Some(_) => {
                self.forget_forwards(member_id, u32::MAX);
                fresh
            }
            None => fresh,
        };
        let row = ForwardedRow { serial: id.serial, reply: reply.to_vec().into(), member_id };
        self.state.forwarded.put((member_id, id.serial), Arc::new(row));
        session.kept = session.kept.saturating_add(1);
        let surplus = session.kept.saturating_sub(self.limits().forwards_kept.max(1));
        if let Some(last) = self.forget_forwards(member_id, surplus) {
            session.kept -= surplus;
            session.forgotten = session.forgotten.max(last);
        }
        self.state.forwards.put(member_id, Arc::new(session));
        self.changed(Change::Bookkeeping);
    }

    /// Forgets the `count` oldest answers of a member; the last serial of them.
    pub(super) fn forget_forwards(&mut self, member_id: u64, count: u32) -> Option<u64> {
        let rows = self.state.forwarded.range((member_id, 0)..=(member_id, u64::MAX));
        let serials: Vec<u64> = rows.take(count as usize).map(|((_, serial), _)| *serial).collect();
        for serial in &serials {
            self.state.forwarded.remove(&(member_id, *serial));
        }
        serials.last().copied()
    }
}

impl State {
    /// What a forwarded write answered before, if it is a repetition.
    pub fn answer_of_forward(&self, id: &ForwardId) -> Option<reply::Kind> {
        self.forwards.get(&id.member_id).filter(|session| session.boot == id.boot)?;
        let row = self.forwarded.get(&(id.member_id, id.serial))?;
        Reply::decode(row.reply.as_ref()).ok()?.kind
    }
}

fn unknown_outcome(why: &str) -> ApiError {
    ApiError::new(ErrorCode::Unknown, format!("The write may or may not have taken effect: {why}."))
}
