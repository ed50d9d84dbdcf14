//! A state as bounded chunks of rows, and back.
//!
//! Chunks hold rows only. Whoever restores builds the indexes again and gets the hash of the state that was saved. Numbers of
//! tables are for ever, as the commands' are; an unknown one ends the restore, since the rows in it would be lost.

use std::sync::Arc;

use prost::Message;
use seawall_model::{ClusterId, Id128, InstanceId, JobId, ScheduleId, ServiceId, TaskDefinitionId};
use seawall_proto::internal::v1::{
    AccessKeyRow, AccountSettingRow, CapacityProviderRow, ClientTokenRow, ClusterRow, DecisionRow, FamilyRow,
    ForwardRow, ForwardedRow, HistoryRow, HistorySegmentRow, InstanceRow, InvocationRow, JobRow, MemberRow,
    ScheduleRow, ServiceDeploymentRow, ServiceRevisionRow, ServiceRow, TaskDefinitionRow, TaskRow, TokenRow, ZoneRow,
};

use crate::{
    AccountSettingKey, ClientTokenKey, HistoryKey, InvocationKey, State, Table, decision::first_of, history_key,
    task_id_of,
};

/// Bytes of one chunk; a row that is larger has a chunk of its own.
pub const CHUNK_BYTES: usize = 256 << 10;
/// The table number of the meta row.
const META: u8 = 0;

/// Some rows of one table, one after the other, each with its length before it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chunk {
    /// [`Table::number`]; 0 is the meta row.
    pub table: u8,
    /// The rows.
    pub rows: Vec<u8>,
}

/// Why chunks do not make a state.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum RestoreError {
    /// Rows of a later version.
    #[error("table {0} is not known to this version")]
    UnknownTable(u8),
    /// Damaged, or not written by this function.
    #[error("a row of table {table} does not decode: {source}")]
    Row {
        /// Where.
        table: u8,
        /// Why.
        source: prost::DecodeError,
    },
    /// There was no meta row.
    #[error("the meta row is missing")]
    Incomplete,
}

impl State {
    /// The rows of the state in chunks of at most [`CHUNK_BYTES`].
    pub fn chunks(&self) -> impl Iterator<Item = Chunk> {
        let meta = Chunk { table: META, rows: self.meta.encode_length_delimited_to_vec() };
        std::iter::once(meta)
            .chain(chunks_of(&self.members))
            .chain(chunks_of(&self.tokens))
            .chain(chunks_of(&self.clusters))
            .chain(chunks_of(&self.instances))
            .chain(chunks_of(&self.task_definitions))
            .chain(chunks_of(&self.families))
            .chain(chunks_of(&self.services))
            .chain(chunks_of(&self.tasks))
            .chain(chunks_of(&self.forwards))
            .chain(chunks_of(&self.client_tokens))
            .chain(chunks_of(&self.forwarded))
            .chain(chunks_of(&self.invocations))
            .chain(chunks_of(&self.capacity_providers))
            .chain(chunks_of(&self.account_settings))
            .chain(chunks_of(&self.access_keys))
            .chain(chunks_of(&self.history_segments))
            .chain(chunks_of(&self.history_open))
            .chain(chunks_of(&self.zones))
            .chain(chunks_of(&self.service_deployments))
            .chain(chunks_of(&self.service_revisions))
            .chain(chunks_of(&self.schedules))
            .chain(chunks_of(&self.jobs))
            .chain(chunks_of(&self.decisions))
    }
}

fn chunks_of<K: Ord + Clone, V: Message + Default>(table: &Table<K, V>) -> impl Iterator<Item = Chunk> {
    let mut rows = table.iter().map(|(_, row)| row).peekable();
    std::iter::from_fn(move || {
        let first = rows.next()?;
        let mut bytes = first.encode_length_delimited_to_vec();
        while let Some(row) = rows.next_if(|row| bytes.len() + encoded_len(&***row) <= CHUNK_BYTES) {
            row.encode_length_delimited(&mut bytes).expect("a Vec takes any length");
        }
        Some(Chunk { table: table.number(), rows: bytes })
    })
}

fn encoded_len(row: &impl Message) -> usize {
    let len = row.encoded_len();
    len + prost::length_delimiter_len(len)
}

/// Takes chunks and becomes a state.
#[derive(Default)]
pub struct Restore {
    state: State,
    has_meta: bool,
}

impl Restore {
    /// Takes one chunk.
    ///
    /// # Errors
    /// The chunk is damaged or of a later version. What was restored so far is worth nothing then.
    pub fn add(&mut self, chunk: &Chunk) -> Result<(), RestoreError> {
        let state = &mut self.state;
        match chunk.table {
            META => {
                for row in rows(chunk) {
                    state.meta = Arc::new(row?);
                    self.has_meta = true;
                }
                Ok(())
            }
            1 => fill(&mut state.members, chunk),
            2 => fill(&mut state.tokens, chunk),
            3 => fill(&mut state.clusters, chunk),
            4 => fill(&mut state.instances, chunk),
            5 => fill(&mut state.task_definitions, chunk),
            6 => fill(&mut state.families, chunk),
            7 => fill(&mut state.services, chunk),
            8 => fill(&mut state.tasks, chunk),
            9 => fill(&mut state.forwards, chunk),
            10 => fill(&mut state.client_tokens, chunk),
            11 => fill(&mut state.forwarded, chunk),
            16 => fill(&mut state.invocations, chunk),
            17 => fill(&mut state.capacity_providers, chunk),
            19 => fill(&mut state.account_settings, chunk),
            12 => fill(&mut state.access_keys, chunk),
            13 => fill(&mut state.history_segments, chunk),
            18 => fill(&mut state.history_open, chunk),
            23 => fill(&mut state.zones, chunk),
            14 => fill(&mut state.service_deployments, chunk),
            15 => fill(&mut state.service_revisions, chunk),
            20 => fill(&mut state.schedules, chunk),
            21 => fill(&mut state.jobs, chunk),
            65 => fill(&mut state.decisions, chunk),
            other => Err(RestoreError::UnknownTable(other)),
        }
    }

    /// The state, once every chunk was taken.
    ///
    /// # Errors
    /// There was no meta row: chunks are missing.
    pub fn finish(mut self) -> Result<State, RestoreError> {
        if !self.has_meta {
            return Err(RestoreError::Incomplete);
        }
        self.state.index = self.state.rebuilt_indexes();
        Ok(self.state)
    }
}

fn fill<V: Row>(table: &mut Table<V::Key, V>, chunk: &Chunk) -> Result<(), RestoreError> {
    for row in rows::<V>(chunk) {
        let row = row?;
        table.put(row.key(), Arc::new(row));
    }
    Ok(())
}

fn rows<V: Message + Default>(chunk: &Chunk) -> impl Iterator<Item = Result<V, RestoreError>> {
    let mut rest = chunk.rows.as_slice();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let row = V::decode_length_delimited(&mut rest);
        if row.is_err() {
            rest = &[];
        }
        Some(row.map_err(|source| RestoreError::Row { table: chunk.table, source }))
    })
}

/// A row knows its key.
trait Row: Message + Default {
    type Key: Ord + Clone;
    fn key(&self) -> Self::Key;
}

macro_rules! rows {
    ($($row:ident: $key:ty = |$it:ident| $of:expr;)*) => {$(
        impl Row for $row {
            type Key = $key;
            fn key(&self) -> $key {
                let $it = self;
                $of
            }
        }
    )*};
}

rows! {
    MemberRow: u64 = |it| it.id;
    TokenRow: String = |it| it.id.clone();
    ClusterRow: ClusterId = |it| ClusterId(it.id);
    InstanceRow: InstanceId = |it| InstanceId(it.id);
    TaskDefinitionRow: TaskDefinitionId = |it| TaskDefinitionId(it.id);
    FamilyRow: (u32, String) = |it| (it.account, it.family.clone());
    ServiceRow: ServiceId = |it| ServiceId(it.id);
    TaskRow: Id128 = |it| task_id_of(it);
    ForwardRow: u64 = |it| it.member_id;
    ClientTokenRow: ClientTokenKey = |it| (it.account, it.cluster_id, it.operation.clone(), it.token.clone());
    ForwardedRow: (u64, u64) = |it| (it.member_id, it.serial);
    CapacityProviderRow: (u32, String) = |it| (it.account, it.name.clone());
    AccountSettingRow: AccountSettingKey = |it| (it.account, it.principal_arn.clone(), it.name.clone());
    InvocationRow: InvocationKey = |it| (it.id.clone(), it.ordinal);
    AccessKeyRow: String = |it| it.id.clone();
    HistorySegmentRow: HistoryKey = |it| history_key(it.first);
    HistoryRow: HistoryKey = |it| history_key(it.place);
    ZoneRow: String = |it| it.name.clone();
    ServiceDeploymentRow: (ServiceId, String) = |it| (ServiceId(it.service_id), it.id.clone());
    ServiceRevisionRow: (ServiceId, u64) = |it| (ServiceId(it.service_id), it.id);
    ScheduleRow: ScheduleId = |it| ScheduleId(it.id);
    JobRow: JobId = |it| JobId(it.id);
    DecisionRow: Id128 = |it| first_of(it);
}
