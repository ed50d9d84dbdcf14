//! ListUsage: what FARGATE tasks used, by the second. Derived from the rows of tasks, those that are kept as history included.

use std::collections::BTreeMap;

use seawall_model::{ApiError, ClusterId, InstanceId, TaskDefinitionId};
use seawall_proto::{
    internal::v1::{ClusterRow, HistoryKind, HistoryRow, TaskRow},
    millis,
    v1::{ListUsageRequest, ListUsageResponse, UsageGroup},
};
use seawall_state::{ARCHITECTURE_ATTRIBUTE, HistoryKey, State};

use super::{
    ReadCtx,
    page::{self, Page},
    resolve,
};
use crate::{history::PageOf, render, validate::task_definition::fargate::FARGATE};

/// Records of history that one page sums up.
const RECORDS_A_PAGE: usize = 5000;
/// CPU units of a vCPU.
const UNITS_A_VCPU: f64 = 1024.0;
const MS_A_SECOND: f64 = 1000.0;
const SERVICE_GROUP: &str = "service:";

/// Family, service, capacity provider and architecture.
type Kind = (String, String, String, String);

/// What the tasks of one kind used.
#[derive(Default)]
struct Used {
    tasks: u64,
    cpu_unit_ms: u128,
    mib_ms: u128,
}

/// The sums of a page.
struct Sums {
    since_ms: i64,
    until_ms: i64,
    now_ms: i64,
    kinds: BTreeMap<Kind, Used>,
}

/// Answers ListUsage. What the state still holds is one page; what left it before that follows.
///
/// # Errors
/// What the client is told.
pub(crate) fn list_usage(ctx: &ReadCtx<'_>, request: &ListUsageRequest) -> Result<ListUsageResponse, ApiError> {
    let found = resolve::any_cluster(ctx.state, ctx.principal.account, request.cluster.as_deref())?;
    let cluster = found.ok_or_else(resolve::cluster_not_found)?;
    let since_ms = request.since.as_ref().map_or(i64::MIN, millis);
    let until_ms = request.until.as_ref().map_or(i64::MAX, millis);
    if until_ms <= since_ms {
        return Err(ApiError::invalid("until must be after since."));
    }
    let filters = ["ListUsage", &cluster.id.to_string(), &since_ms.to_string(), &until_ms.to_string()];
    let page = Page::new(&filters, request.next_token.as_deref(), None, page::PAGE)?;
    let mut sums = Sums { since_ms, until_ms, now_ms: ctx.now_ms, kinds: BTreeMap::new() };
    let next = match page.after().and_then(page::history_key) {
        Some(before) => sums.add_history(ctx, cluster, before)?,
        None => {
            sums.add_state(ctx.state, cluster);
            ctx.state.history_end_since(since_ms)
        }
    };
    let next_token = next.map(|end| page.token(&page::key_of_history(end)));
    Ok(ListUsageResponse { groups: sums.groups(&cluster.name), next_token })
}

impl Sums {
    fn add_state(&mut self, state: &State, cluster: &ClusterRow) {
        for row in state.tasks_of_cluster(ClusterId(cluster.id)) {
            let definition = state.task_definitions.get(&TaskDefinitionId(row.task_definition_id));
            let instance = state.instances.get(&InstanceId(row.instance_id));
            let architecture = instance.and_then(|i| i.attributes.iter().find(|a| a.name == ARCHITECTURE_ATTRIBUTE));
            let family = definition.map_or("", |definition| &definition.family);
            self.add(row, family, architecture.map_or("", |a| &a.value));
        }
    }

    fn add_history(
        &mut self,
        ctx: &ReadCtx<'_>,
        cluster: &ClusterRow,
        before: HistoryKey,
    ) -> Result<Option<HistoryKey>, ApiError> {
        let paged = ctx.history.page(PageOf {
            kind: HistoryKind::Task,
            cluster: ClusterId(cluster.id),
            service: None,
            since_ms: self.since_ms,
            before,
            limit: RECORDS_A_PAGE,
        });
        for record in &paged.rows {
            self.add_record(record)?;
        }
        Ok(paged.next)
    }

    fn add_record(&mut self, record: &HistoryRow) -> Result<(), ApiError> {
        let seen = record.task.clone().unwrap_or_default();
        let architecture = seen.instance.map_or_else(String::new, |instance| instance.architecture);
        self.add(&render::history::task_row(record)?, &seen.family, &architecture);
        Ok(())
    }

    fn add(&mut self, row: &TaskRow, family: &str, architecture: &str) {
        let used_ms = self.used_ms(row);
        if row.launch_type != FARGATE || used_ms == 0 {
            return;
        }
        let service = row.group.strip_prefix(SERVICE_GROUP).unwrap_or_default();
        let provider = if row.capacity_provider.is_empty() { FARGATE } else { &row.capacity_provider };
        let kind = (family.to_owned(), service.to_owned(), provider.to_owned(), architecture.to_owned());
        let used = self.kinds.entry(kind).or_default();
        used.tasks += 1;
        used.cpu_unit_ms += u128::from(row.cpu) * u128::from(used_ms);
        used.mib_ms += u128::from(row.memory) * u128::from(used_ms);
    }

    /// As ECS counts: from the pull of the image on. Of a task that needed none, or whose agent did not say, from its start on.
    fn used_ms(&self, row: &TaskRow) -> u64 {
        let begun_ms = if row.pull_started_at_ms == 0 { row.started_at_ms } else { row.pull_started_at_ms };
        if begun_ms == 0 {
            return 0;
        }
        let ended_ms = if row.stopped_at_ms == 0 { self.now_ms } else { row.stopped_at_ms };
        let (from_ms, to_ms) = (begun_ms.max(self.since_ms), ended_ms.min(self.until_ms));
        u64::try_from(to_ms.saturating_sub(from_ms)).unwrap_or(0)
    }

    fn groups(self, cluster: &str) -> Vec<UsageGroup> {
        let group = |((family, service, capacity_provider, architecture), used): (Kind, Used)| UsageGroup {
            cluster: cluster.to_owned(),
            family,
            service,
            capacity_provider,
            architecture,
            tasks: used.tasks,
            vcpu_seconds: used.cpu_unit_ms as f64 / UNITS_A_VCPU / MS_A_SECOND,
            mib_seconds: used.mib_ms as f64 / MS_A_SECOND,
        };
        self.kinds.into_iter().map(group).collect()
    }
}
