//! One instance, as a planner sees it.

use seawall_model::{InstanceId, TaskDefinitionId};
use seawall_proto::internal::v1::{InstanceRow, Resources, TaskRow, TaskSize, ZoneState};
use seawall_query::Subject;
use seawall_state::{State, Usage, fixed_ports, size_of};

use crate::{Held, InstanceSubject, Overlay, PlaceRequest, subject::attribute};

/// Full share of a resource: 16 bits after the point.
const SHARE_ONE: u64 = 1 << 16;

/// An instance with what is left of it: the state's view less what proposals and this plan took.
#[derive(Clone)]
pub struct Candidate<'a> {
    /// Its row.
    pub row: &'a InstanceRow,
    /// CPU units left: negative on a machine that came back smaller than what its tasks hold.
    pub cpu_free: i64,
    /// MiB left, or lacking.
    pub memory_free: i64,
    /// Tasks there that count for the spread.
    pub tasks: u32,
    /// Of those, tasks that a rollout replaces.
    outgoing: u32,
    /// Tasks that this plan put there: with a fixed port there is room for one.
    pub placed: u32,
    /// A daemon's task is about to be placed here: services come after it.
    pub awaits_daemon: bool,
    /// Its zone has as many tasks more than another as it may have.
    pub zone_is_ahead: bool,
    /// The class that what is free here is kept for, beyond the request's own.
    pub kept_for: Option<u32>,
    /// CPU units that are kept for daemons' tasks: not in what is free.
    pub cpu_kept: u32,
    /// MiB that are.
    pub memory_kept: u32,
    kept_ports: Vec<(u16, bool)>,
    given_back: Vec<(u16, bool)>,
    /// Of the tasks that are placed.
    group: &'a str,
    state: &'a State,
    overlay: &'a Overlay,
    usage: Option<&'a Usage>,
    held: Option<&'a Held>,
}

impl<'a> Candidate<'a> {
    /// The instance as the state and the overlay have it.
    pub fn new(state: &'a State, overlay: &'a Overlay, row: &'a InstanceRow) -> Self {
        let usage = state.usage(InstanceId(row.id)).map(AsRef::as_ref);
        Candidate::known(state, overlay, row, usage, overlay.held(InstanceId(row.id)))
    }

    /// The same where it is known already what its tasks and the proposals take of it.
    pub(crate) fn known(
        state: &'a State,
        overlay: &'a Overlay,
        row: &'a InstanceRow,
        usage: Option<&'a Usage>,
        held: Option<&'a Held>,
    ) -> Self {
        let (cpu, memory) = row.registered.as_ref().map_or((0, 0), |r| (r.cpu, r.memory));
        let used = usage.map_or((0, 0), |u| (u.cpu, u.memory));
        let held_now = held.map_or((0, 0), |h| (h.cpu, h.memory));
        Candidate {
            row,
            cpu_free: i64::from(cpu) - i64::from(used.0) - i64::from(held_now.0),
            memory_free: i64::from(memory) - i64::from(used.1) - i64::from(held_now.1),
            tasks: 0,
            outgoing: 0,
            placed: 0,
            awaits_daemon: false,
            zone_is_ahead: false,
            kept_for: None,
            cpu_kept: 0,
            memory_kept: 0,
            kept_ports: Vec::new(),
            given_back: Vec::new(),
            group: "",
            state,
            overlay,
            usage,
            held,
        }
    }

    /// The same for the tasks of a request: how many of those that count for its spread it has.
    pub(crate) fn with_tasks(self, tasks: u32, request: &'a PlaceRequest) -> Self {
        let outgoing = request.outgoing.get(&self.id()).copied().unwrap_or(0);
        Candidate { tasks, outgoing, group: &request.group, ..self }
    }

    /// Of its tasks that count for the spread, those that no rollout replaces.
    pub(crate) fn staying(&self) -> u32 {
        self.tasks.saturating_sub(self.outgoing)
    }

    /// Its id.
    pub fn id(&self) -> InstanceId {
        InstanceId(self.row.id)
    }

    /// The value of an attribute, for spreading.
    pub(crate) fn attribute(&self, name: &str) -> Option<&'a str> {
        attribute(self.row, name)
    }

    /// What the operator says of its zone.
    pub(crate) fn zone_state(&self) -> ZoneState {
        self.state.zone_state(&self.row.zone)
    }

    /// Takes what one task needs.
    pub fn take(&mut self, size: &TaskSize) {
        self.cpu_free -= i64::from(size.cpu);
        self.memory_free -= i64::from(size.memory);
        self.tasks += 1;
        self.placed += 1;
    }

    /// Keeps what a daemon's task needs that belongs here and is not here yet.
    pub fn keep(&mut self, size: &TaskSize) {
        self.cpu_free -= i64::from(size.cpu);
        self.memory_free -= i64::from(size.memory);
        self.cpu_kept = self.cpu_kept.saturating_add(size.cpu);
        self.memory_kept = self.memory_kept.saturating_add(size.memory);
        self.kept_ports.extend(fixed_ports(size));
    }

    /// Whether a task of this size fits here at all, were nothing else here.
    pub fn could_take(&self, size: &TaskSize) -> bool {
        self.row.registered.as_ref().is_some_and(|has| size.cpu <= has.cpu && size.memory <= has.memory)
    }

    /// Takes back what a task holds that is to stop.
    pub fn give_back(&mut self, cpu: u32, memory: u32, ports: impl IntoIterator<Item = (u16, bool)>) {
        self.cpu_free += i64::from(cpu);
        self.memory_free += i64::from(memory);
        self.given_back.extend(ports);
    }

    /// The same for a task as its row has it.
    pub fn give_back_task(&mut self, task: &TaskRow) {
        let definition = self.state.task_definitions.get(&TaskDefinitionId(task.task_definition_id));
        let ports = size_of(task, definition.map(AsRef::as_ref)).into_iter().flat_map(fixed_ports);
        self.give_back(task.cpu, task.memory, ports);
    }

    /// The scarcer of the free shares of CPU and memory, for choosing the emptiest.
    pub fn free_share(&self) -> u32 {
        let registered = self.row.registered.as_ref();
        let share = |free: i64, of: u32| {
            let free = u64::try_from(free).unwrap_or(0).min(of.into());
            (free * SHARE_ONE).checked_div(of.into()).unwrap_or(0) as u32
        };
        registered.map_or(0, |r| share(self.cpu_free, r.cpu).min(share(self.memory_free, r.memory)))
    }

    /// The first fixed host port of the task that is taken here.
    pub fn port_in_use(&self, size: &TaskSize) -> Option<(u16, bool)> {
        fixed_ports(size).find(|&(port, udp)| self.placed > 0 || self.holds_port(port, udp))
    }

    fn applied(&self) -> InstanceSubject<'a> {
        InstanceSubject::new(self.state, self.row)
    }

    /// Groups of tasks that are proposed, or put there by this plan.
    fn not_applied(&self) -> impl Iterator<Item = &str> {
        self.overlay.groups_on(self.id()).chain((self.placed > 0).then_some(self.group))
    }

    fn holds_port(&self, port: u16, udp: bool) -> bool {
        let reserved = |r: &Resources| if udp { &r.ports_udp } else { &r.ports_tcp }.contains(&u32::from(port));
        let given_back = self.given_back.contains(&(port, udp));
        let used = |u: &Usage| !given_back && if udp { &u.ports_udp } else { &u.ports_tcp }.contains(&port);
        let held = |h: &Held| if udp { &h.ports_udp } else { &h.ports_tcp }.contains(&port);
        self.row.registered.as_ref().is_some_and(reserved)
            || self.usage.is_some_and(used)
            || self.held.is_some_and(held)
            || self.kept_ports.contains(&(port, udp))
    }
}

/// As the cluster query language sees it, with what is proposed for it and what this plan put there.
impl Subject for Candidate<'_> {
    fn attribute(&self, name: &str) -> Option<&str> {
        attribute(self.row, name)
    }

    fn runs_group(&self, group: &str) -> bool {
        self.applied().runs_group(group) || self.not_applied().any(|g| g == group)
    }

    fn groups(&self) -> impl Iterator<Item = &str> {
        self.state.groups_on_instance(self.id()).chain(self.not_applied())
    }

    fn agent_connected(&self) -> bool {
        self.row.connected
    }

    fn agent_version(&self) -> &str {
        &self.row.agent_version
    }

    fn ec2_instance_id(&self) -> &str {
        &self.row.ec2_instance_id
    }

    fn registered_at_ms(&self) -> i64 {
        self.row.registered_at_ms
    }

    fn running_tasks_count(&self) -> u32 {
        self.applied().running_tasks_count()
    }
}
