//! Agents' leases ran out, or their streams closed.

use seawall_model::InstanceId;
use seawall_proto::internal::v1::{DisconnectInstances, InstanceRow, TaskRow};

use super::{Apply, Outcome, done};
use crate::Change;

impl Apply<'_> {
    /// Each item counts only while the session is still the instance's: an agent that came back meanwhile is not lost.
    pub(super) fn disconnect_instances(&mut self, it: &DisconnectInstances) -> Outcome {
        for item in &it.items {
            let row = self.state.instances.get(&InstanceId(item.instance_id));
            let Some(row) = row.filter(|row| row.session == item.session) else { continue };
            let row = InstanceRow::clone(row);
            if it.lost && row.connected {
                self.lose(row);
            } else if row.member_id != 0 {
                self.state.put_instance(InstanceRow { member_id: 0, changed: self.index, ..row });
                self.changed(Change::Instance(InstanceId(item.instance_id)));
            }
        }
        Ok(done(0))
    }

    fn lose(&mut self, row: InstanceRow) {
        let id = InstanceId(row.id);
        // 0 says "not lost", so that a cluster without a clock yet loses nothing silently.
        let at = self.now_ms.max(1);
        self.state.put_instance(InstanceRow {
            connected: false,
            disconnected_at_ms: at,
            member_id: 0,
            changed: self.index,
            ..row
        });
        self.changed(Change::Instance(id));
        let tasks: Vec<TaskRow> = self.state.tasks_of_instance(id).map(|task| TaskRow::clone(task)).collect();
        for task in tasks.into_iter().filter(|task| task.unreachable_since_ms == 0) {
            self.put_task(TaskRow { unreachable_since_ms: at, ..task });
        }
    }
}
