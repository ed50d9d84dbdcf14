//! An agent connected.

use seawall_model::{
    ApiError, ClusterId, DEFAULT_CLUSTER, ErrorCode, Id128, InstanceId, is_ecs_name, is_instance_id, is_zone, nearest,
};
use seawall_proto::internal::v1::{
    AgentIdentity, ConnectInstance, Connected, InstanceAttribute, InstanceRow, InstanceStatus, Resources, TaskRow,
    reply,
};

use super::{Apply, Outcome};
use crate::Change;

/// Names that a refusal suggests, and those it chooses them from.
const SUGGESTIONS: usize = 3;
const SUGGESTED_FROM: usize = 1000;

impl Apply<'_> {
    /// Registers the instance if it is new, adopts it if it is known, and mints its session either way.
    ///
    /// An instance is known by its `ec2InstanceId`: an agent that lost its folder finds its old ARN by it, and one whose
    /// folder was deregistered or copied from another machine gets an ARN of its own.
    pub(super) fn connect_instance(&mut self, it: &ConnectInstance) -> Outcome {
        let identity = it.identity.as_ref().ok_or_else(|| ApiError::invalid("The agent did not say who it is."))?;
        check_identity(identity)?;
        let cluster = self.cluster_of(identity)?;
        let known = self.state.instance_by_ec2_id(&identity.ec2_instance_id).map(|row| InstanceRow::clone(row));
        let mut row = match known {
            Some(row) if row.cluster_id == cluster.0 => row,
            Some(row) => return Err(self.in_another_cluster(&row, cluster).into()),
            None => self.new_instance(it, cluster)?,
        };
        if identity.run != 0 && row.run == identity.run && identity.attempt <= row.attempt {
            return Err(given_up().into());
        }
        if row.id == 0 {
            row.id = self.next_id();
        }
        row.session = self.next_id();
        row.member_id = it.member_id;
        row.changed = self.index;
        update(&mut row, identity);
        let answer = Connected { instance_id: row.id, session: row.session, arn_hi: row.arn_hi, arn_lo: row.arn_lo };
        let id = InstanceId(row.id);
        self.state.put_instance(row);
        self.changed(Change::Instance(id));
        self.reach_tasks(id);
        Ok(reply::Kind::Connected(answer))
    }

    fn cluster_of(&self, identity: &AgentIdentity) -> Result<ClusterId, ApiError> {
        let name = if identity.cluster.is_empty() { DEFAULT_CLUSTER } else { &identity.cluster };
        match self.state.cluster_by_name(self.principal.account, name) {
            Some(row) if row.active => Ok(ClusterId(row.id)),
            Some(_) => Err(no_cluster(format!("the cluster {name:?} was deleted; create it again first"))),
            None => {
                let rows = self.state.clusters.iter().map(|(_, row)| row).filter(|row| row.active);
                let names = rows.map(|row| row.name.as_str()).take(SUGGESTED_FROM);
                let near = nearest(name, names, SUGGESTIONS).join(", ");
                Err(no_cluster(format!("there is no cluster {name:?}; the nearest names are {near}")))
            }
        }
    }

    fn in_another_cluster(&self, row: &InstanceRow, asked: ClusterId) -> ApiError {
        let name = |id| self.state.clusters.get(&id).map_or("", |row| row.name.as_str());
        ApiError::invalid(format!(
            "The instance {} is registered in the cluster {:?} and belongs to one cluster only: deregister it there before it joins {:?}.",
            row.ec2_instance_id,
            name(ClusterId(row.cluster_id)),
            name(asked),
        ))
    }

    fn new_instance(&self, it: &ConnectInstance, cluster: ClusterId) -> Result<InstanceRow, ApiError> {
        let arn = Id128::from_halves(it.new_arn_hi, it.new_arn_lo);
        if arn == Id128::default() || self.state.instance_by_arn_id(arn).is_some() {
            return Err(ApiError::new(ErrorCode::Server, format!("The instance id {arn} cannot be given out.")));
        }
        Ok(InstanceRow {
            arn_hi: it.new_arn_hi,
            arn_lo: it.new_arn_lo,
            cluster_id: cluster.0,
            status: InstanceStatus::Active.into(),
            registered_at_ms: self.now_ms,
            ..InstanceRow::default()
        })
    }

    /// Its tasks can be reached again. Those that were replaced meanwhile keep their desired status STOPPED.
    fn reach_tasks(&mut self, id: InstanceId) {
        let lost = self.state.tasks_of_instance(id).filter(|task| task.unreachable_since_ms != 0);
        let lost: Vec<TaskRow> = lost.map(|task| TaskRow::clone(task)).collect();
        for task in lost {
            self.put_task(TaskRow { unreachable_since_ms: 0, ..task });
        }
    }
}

fn check_identity(identity: &AgentIdentity) -> Result<(), ApiError> {
    let id = &identity.ec2_instance_id;
    if !is_instance_id(id) {
        return Err(ApiError::invalid(format!(
            "Invalid instance id {id:?}: up to 128 letters, digits, hyphens, underscores and dots."
        )));
    }
    if !is_zone(&identity.zone) {
        return Err(ApiError::invalid(format!(
            "Invalid zone {:?}: up to 64 lower-case letters, digits and hyphens.",
            identity.zone
        )));
    }
    let provider = &identity.capacity_provider;
    if !provider.is_empty() && !is_ecs_name(provider) {
        return Err(ApiError::invalid(format!(
            "Invalid capacity provider {provider:?}: it must have 1 to 255 letters, digits, hyphens and underscores."
        )));
    }
    Ok(())
}

/// What the agent says of its machine. What the API set stays.
fn update(row: &mut InstanceRow, identity: &AgentIdentity) {
    row.ec2_instance_id = identity.ec2_instance_id.clone();
    row.zone = identity.zone.clone();
    row.capacity_provider = identity.capacity_provider.clone();
    row.registered = Some(registered(identity.total.as_ref()));
    row.attributes = attributes(&identity.attributes, &row.attributes);
    row.connected = true;
    row.disconnected_at_ms = 0;
    row.sequence = 0;
    row.boot_id = identity.boot_id.clone();
    row.host_ip = identity.host_ip.clone();
    row.agent_version = identity.agent_version.clone();
    row.docker_version = identity.docker_version.clone();
    row.runtime = identity.runtime.clone();
    row.run = identity.run;
    row.attempt = identity.attempt;
}

fn registered(total: Option<&Resources>) -> Resources {
    let mut total = total.cloned().unwrap_or_default();
    for ports in [&mut total.ports_tcp, &mut total.ports_udp] {
        ports.retain(|port| u16::try_from(*port).is_ok());
        ports.sort_unstable();
        ports.dedup();
    }
    total
}

/// The agent's attributes, then the custom ones that it does not contradict.
fn attributes(of_agent: &[InstanceAttribute], old: &[InstanceAttribute]) -> Vec<InstanceAttribute> {
    let mut all: Vec<InstanceAttribute> =
        of_agent.iter().map(|a| InstanceAttribute { custom: false, ..a.clone() }).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all.dedup_by(|a, b| a.name == b.name);
    let custom = old.iter().filter(|a| a.custom && all.binary_search_by(|b| b.name.cmp(&a.name)).is_err());
    let custom: Vec<InstanceAttribute> = custom.cloned().collect();
    all.extend(custom);
    all
}

/// The agent asked elsewhere meanwhile, and was connected there.
fn given_up() -> ApiError {
    ApiError::new(ErrorCode::Conflict, "This agent has connected by a later attempt.")
}

fn no_cluster(why: String) -> ApiError {
    ApiError::new(ErrorCode::ClusterNotFound, format!("Cluster not found: {why}."))
}
