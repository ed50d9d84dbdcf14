//! What leaves the state is kept: first as rows of the state, then, once most members have them on disk, in the files of
//! sealed segments.
//!
//! The open rows are bounded: where no segment can be sealed for a long time the oldest are lost, rather than the state growing.

use seawall_model::{ApiError, ClusterId, InstanceId, TaskDefinitionId};
use seawall_proto::{
    internal::v1::{
        DecisionRow, DropHistory, HistoryInstance, HistoryKind, HistoryPlace, HistoryRow, HistoryTask, SealHistory,
        ServiceEventRow, ServiceRow, TaskId, TaskRow,
    },
    v1::ContainerDefinition,
};

use prost::Message;

use super::{Apply, Outcome, Rejection, done};
use crate::{ARCHITECTURE_ATTRIBUTE, HISTORY_OPEN_BYTES_MAX, HistoryKey, history_key, task_id_of};

/// The cluster version that brought history. Before it what leaves the state is lost: members of the first release would have
/// another state.
const SINCE_VERSION: u32 = 2;

impl Apply<'_> {
    /// Keeps a stopped task that leaves the state.
    pub(super) fn keep_task(&mut self, row: &TaskRow) {
        if !self.keeps_history() {
            return;
        }
        let record = HistoryRow {
            kind: HistoryKind::Task.into(),
            id: row.id,
            task: Some(self.seen_of_task(row)),
            ..self.record(row.cluster_id, row.service_id, row)
        };
        self.keep(record);
    }

    /// Keeps a deleted service that leaves the state.
    pub(super) fn keep_service(&mut self, row: &ServiceRow) {
        if !self.keeps_history() {
            return;
        }
        let record = HistoryRow {
            kind: HistoryKind::Service.into(),
            service_name: row.name.clone(),
            ..self.record(row.cluster_id, row.id, row)
        };
        self.keep(record);
    }

    /// Keeps an event that leaves its service's row.
    pub(super) fn keep_event(&mut self, service: &ServiceRow, event: &ServiceEventRow) {
        if !self.keeps_history() {
            return;
        }
        let record = HistoryRow {
            kind: HistoryKind::ServiceEvent.into(),
            service_name: service.name.clone(),
            id: Some(TaskId { hi: event.id_hi, lo: event.id_lo }),
            ..self.record(service.cluster_id, service.id, event)
        };
        self.keep(record);
    }

    /// Hands the oldest open records over to a segment.
    pub(super) fn seal_history(&mut self, it: &SealHistory) -> Outcome {
        let mut segment = it.segment.clone().ok_or_else(|| ApiError::invalid("A seal names a segment."))?;
        let (first, last) = (history_key(segment.first), history_key(segment.last));
        let state = &mut self.state;
        let stale = || Rejection::Stale("other records of history are the oldest".into());
        if state.history_open.first().is_none_or(|(key, _)| *key != first) {
            return Err(stale());
        }
        let newest = state.history_open.get(&last).ok_or_else(stale)?;
        segment.retired_at_ms = newest.retired_at_ms;
        let keys: Vec<HistoryKey> = state.history_open.range(first..=last).map(|(key, _)| *key).collect();
        if keys.len() as u64 != segment.records {
            return Err(stale());
        }
        for key in keys {
            state.remove_history(&key);
        }
        state.put_segment(segment);
        Ok(done(0))
    }

    /// Forgets the oldest segments.
    pub(super) fn drop_history(&mut self, it: &DropHistory) -> Outcome {
        let last = history_key(it.last);
        let old: Vec<HistoryKey> = self
            .state
            .history_segments
            .iter()
            .take_while(|(_, row)| history_key(row.last) <= last)
            .map(|(key, _)| *key)
            .collect();
        for key in old {
            self.state.remove_segment(&key);
        }
        Ok(done(0))
    }

    fn keeps_history(&self) -> bool {
        self.state.meta.cluster_version >= SINCE_VERSION
    }

    fn record(&self, cluster_id: u64, service_id: u64, row: &impl Message) -> HistoryRow {
        let cluster = self.state.clusters.get(&ClusterId(cluster_id));
        HistoryRow {
            retired_at_ms: self.now_ms,
            cluster_id,
            cluster_name: cluster.map_or_else(String::new, |row| row.name.clone()),
            service_id,
            row: row.encode_to_vec().into(),
            ..HistoryRow::default()
        }
    }

    /// What other rows say of the task now; they may be gone when it is shown.
    fn seen_of_task(&self, row: &TaskRow) -> HistoryTask {
        let definition = self.state.task_definitions.get(&TaskDefinitionId(row.task_definition_id));
        let containers = definition.and_then(|row| row.definition.as_ref());
        let instance = self.state.instances.get(&InstanceId(row.instance_id)).map(|row| {
            let architecture = row.attributes.iter().find(|a| a.name == ARCHITECTURE_ATTRIBUTE);
            HistoryInstance {
                arn_hi: row.arn_hi,
                arn_lo: row.arn_lo,
                zone: row.zone.clone(),
                architecture: architecture.map_or_else(String::new, |a| a.value.clone()),
            }
        });
        HistoryTask {
            family: definition.map_or_else(String::new, |row| row.family.clone()),
            revision: definition.map_or(0, |row| row.revision),
            decision: self.state.decision_of(task_id_of(row)).map(|row| DecisionRow::clone(row)),
            containers: containers.map_or(&[][..], |d| &d.container_definitions).iter().map(shown).collect(),
            instance,
        }
    }

    /// Records come in the order of their places: an entry's commands are applied one after the other.
    fn keep(&mut self, record: HistoryRow) {
        let last = self.state.history_open.last().map(|(key, _)| *key);
        let ordinal = last.filter(|(index, _)| *index == self.index).map_or(0, |(_, ordinal)| ordinal + 1);
        let place = HistoryPlace { index: self.index, ordinal };
        self.state.put_history(HistoryRow { place: Some(place), ..record });
        while self.state.index.history_open_bytes > HISTORY_OPEN_BYTES_MAX
            && let Some((oldest, _)) = self.state.history_open.first()
        {
            let oldest = *oldest;
            self.state.remove_history(&oldest);
        }
    }
}

/// What a task shows of its container's definition.
fn shown(container: &ContainerDefinition) -> ContainerDefinition {
    ContainerDefinition {
        name: container.name.clone(),
        image: container.image.clone(),
        cpu: container.cpu,
        memory: container.memory,
        memory_reservation: container.memory_reservation,
        ..ContainerDefinition::default()
    }
}
