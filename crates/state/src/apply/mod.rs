//! The commands. Each checks everything first and then changes: none is ever half applied.
//!
//! To add one: a number in command.proto, a file here, a line in [`Apply::run_kind`] and one in `target.rs`.

mod access_keys;
mod account_settings;
mod attributes;
mod capacity_providers;
mod client_tokens;
mod clusters;
mod connect_instance;
mod cordon;
mod create_service;
mod delete_service;
mod deregister_instance;
mod disconnect_instances;
mod end_guarded_tasks;
mod formation;
mod forwards;
mod history;
mod invocations;
mod jobs;
mod loss_policy;
mod members;
mod place_tasks;
mod place_waiting;
mod protect_tasks;
mod reclaim_instance;
mod refusal;
mod report_tasks;
mod schedules;
mod service_deployments;
mod service_step;
mod set_instances_status;
mod stop_tasks;
mod tags;
mod target;
mod task_definitions;
mod tasks;
mod tokens;
mod update_service;
mod zones;

use std::sync::Arc;

use prost::Message;
use seawall_model::{ApiError, ErrorCode};
use seawall_proto::internal::v1::{Command, Done, Limits, MetaRow, Principal, Reply, Stale, command, reply};

pub use capacity_providers::{FARGATE_SPOT, PREDEFINED as PREDEFINED_CAPACITY_PROVIDERS, check_strategy};
pub use jobs::{holds_place, places};

use crate::{Change, Effects, State, refusal_of};

/// Why a command changed nothing.
#[derive(Debug, PartialEq)]
enum Rejection {
    /// What the client is told.
    Refused(ApiError),
    /// An assumption no longer holds: whoever planned it looks again.
    Stale(String),
}

impl From<ApiError> for Rejection {
    fn from(error: ApiError) -> Self {
        Rejection::Refused(error)
    }
}

type Outcome = Result<reply::Kind, Rejection>;

/// One command on its way through the state.
struct Apply<'a> {
    state: &'a mut State,
    /// Of the entry: the version of every row that the command touches.
    index: u64,
    /// Cluster time.
    now_ms: i64,
    principal: &'a Principal,
    effects: Effects,
    stopped: tasks::StoppedCounts,
}

impl State {
    /// Applies one command of the entry at `index`. Refusals change nothing but the cluster's time and what expired by it.
    pub fn apply(&mut self, index: u64, command: &Command) -> (Reply, Effects) {
        let nobody = Principal::default();
        let principal = command.principal.as_ref().unwrap_or(&nobody);
        let (effects, stopped) = (Effects::default(), tasks::StoppedCounts::default());
        let mut apply = Apply { state: self, index, now_ms: 0, principal, effects, stopped };
        let kind = match apply.run(command) {
            Ok(kind) => kind,
            Err(Rejection::Refused(error)) => reply::Kind::Refusal(refusal_of(error)),
            Err(Rejection::Stale(what)) => reply::Kind::Stale(Stale { what }),
        };
        (Reply { kind: Some(kind) }, apply.effects)
    }
}

impl Apply<'_> {
    fn run(&mut self, command: &Command) -> Outcome {
        self.advance_time(command.cluster_time_ms);
        self.expire_client_tokens();
        self.expire_invocations();
        if let Some(recorded) = self.forward_seen(command.forward.as_ref())? {
            return Ok(recorded);
        }
        if let Some(recorded) = self.client_token_seen(command.client_token.as_ref())? {
            return Ok(recorded);
        }
        if let Some(recorded) = self.invocation_seen(command.invocation.as_ref()) {
            return Ok(recorded);
        }
        let kind = command.kind.as_ref().ok_or_else(unknown_command)?;
        self.check_version(kind, command.expected_version)?;
        let answer = self.run_kind(kind)?;
        self.retire_surplus();
        if !is_nothing(&answer) {
            let bytes = Reply { kind: Some(answer.clone()) }.encode_to_vec();
            self.record_forward(command.forward.as_ref(), &bytes);
            self.record_client_token(command.client_token.as_ref(), &bytes);
            self.record_invocation(command.invocation.as_ref(), &bytes);
        }
        Ok(answer)
    }

    fn run_kind(&mut self, kind: &command::Kind) -> Outcome {
        use command::Kind;
        match kind {
            Kind::InitCluster(it) => self.init_cluster(it),
            Kind::PutMember(it) => self.put_member(it),
            Kind::DropMember(it) => self.drop_member(it),
            Kind::PutToken(it) => self.put_token(it),
            Kind::UseToken(it) => self.use_token(it),
            Kind::DropToken(it) => self.drop_token(it),
            Kind::RaiseClusterVersion(it) => self.raise_cluster_version(it),
            Kind::ConnectInstance(it) => self.connect_instance(it),
            Kind::DisconnectInstances(it) => self.disconnect_instances(it),
            Kind::ReportTasks(it) => self.report_tasks(it),
            Kind::SetInstancesStatus(it) => self.set_instances_status(it),
            Kind::DeregisterInstance(it) => self.deregister_instance(it),
            Kind::PutAttributes(it) => self.put_attributes(it),
            Kind::DeleteAttributes(it) => self.delete_attributes(it),
            Kind::CreateCluster(it) => self.create_cluster(it),
            Kind::DeleteCluster(it) => self.delete_cluster(it),
            Kind::UpdateCluster(it) => self.update_cluster(it),
            Kind::PutClusterCapacityProviders(it) => self.put_cluster_capacity_providers(it),
            Kind::CreateCapacityProvider(it) => self.create_capacity_provider(it),
            Kind::UpdateCapacityProvider(it) => self.update_capacity_provider(it),
            Kind::DeleteCapacityProvider(it) => self.delete_capacity_provider(it),
            Kind::RegisterTaskDefinition(it) => self.register_task_definition(it),
            Kind::DeregisterTaskDefinition(it) => self.deregister_task_definition(it),
            Kind::DeleteTaskDefinitions(it) => self.delete_task_definitions(it),
            Kind::PlaceTasks(it) => self.place_tasks(it),
            Kind::StopTasks(it) => self.stop_tasks(it),
            Kind::ProtectTasks(it) => self.protect_tasks(it),
            Kind::CreateService(it) => self.create_service(it),
            Kind::UpdateService(it) => self.update_service(it),
            Kind::DeleteService(it) => self.delete_service(it),
            Kind::ServiceStep(it) => self.service_step(it),
            Kind::StopServiceDeployment(it) => self.stop_service_deployment(it),
            Kind::TagResource(it) => self.tag_resource(it),
            Kind::UntagResource(it) => self.untag_resource(it),
            Kind::PutAccountSetting(it) => self.put_account_setting(it),
            Kind::DeleteAccountSetting(it) => self.delete_account_setting(it),
            Kind::PutAccessKey(it) => self.put_access_key(it),
            Kind::SetAccessKeyStatus(it) => self.set_access_key_status(it),
            Kind::DropAccessKey(it) => self.drop_access_key(it),
            Kind::SealHistory(it) => self.seal_history(it),
            Kind::DropHistory(it) => self.drop_history(it),
            Kind::SetZone(it) => self.set_zone(it),
            Kind::CordonInstance(it) => self.cordon_instance(it),
            Kind::CreateSchedule(it) => self.create_schedule(it),
            Kind::UpdateSchedule(it) => self.update_schedule(it),
            Kind::DeleteSchedule(it) => self.delete_schedule(it),
            Kind::FireSchedule(it) => self.fire_schedule(it),
            Kind::CreateJob(it) => self.create_job(it),
            Kind::StopJob(it) => self.stop_job(it),
            Kind::JobStep(it) => self.job_step(it),
            Kind::EndGuardedTasks(it) => self.end_guarded_tasks(it),
            Kind::PlaceWaiting(it) => self.place_waiting(it),
            Kind::ReclaimInstance(it) => self.reclaim_instance(it),
        }
    }

    fn advance_time(&mut self, stamped_ms: i64) {
        if stamped_ms > self.state.meta.cluster_time_ms {
            self.meta().cluster_time_ms = stamped_ms;
        }
        self.now_ms = self.state.meta.cluster_time_ms;
    }

    fn meta(&mut self) -> &mut MetaRow {
        Arc::make_mut(&mut self.state.meta)
    }

    fn limits(&self) -> Limits {
        self.state.meta.limits.unwrap_or(DEFAULT_LIMITS)
    }

    /// The next id of the one sequence.
    fn next_id(&mut self) -> u64 {
        let meta = self.meta();
        let id = meta.next_id.max(1);
        meta.next_id = id.saturating_add(1);
        id
    }

    fn changed(&mut self, change: Change) {
        self.effects.changes.push(change);
    }
}

/// Limits of a cluster that was formed without any.
pub const DEFAULT_LIMITS: Limits = Limits {
    stopped_tasks_kept: 20_000,
    service_events_kept: 100,
    client_tokens: 100_000,
    client_token_ttl_ms: 24 * 60 * 60 * 1000,
    forwards_kept: 1024,
    invocations: 100_000,
    // As history.rs has them: what a state of the first release says stays as it was.
    history_seal_bytes: 0,
    history_bytes: 0,
    history_age_ms: 0,
    deleted_services_kept: 0,
};

fn done(id: u64) -> reply::Kind {
    reply::Kind::Done(Done { id, ..Done::default() })
}

/// A placement of which nothing fitted is planned again under the same serial and token: recording it would answer the
/// second plan with the first one's failure.
fn is_nothing(answer: &reply::Kind) -> bool {
    matches!(answer, reply::Kind::Placed(placed) if placed.tasks.is_empty())
}

fn unknown_command() -> ApiError {
    ApiError::new(ErrorCode::Server, "This version does not know the command.")
}
