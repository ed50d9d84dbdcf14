//! The instances of every cluster in the orders that plans ask for, kept up as they change.
//!
//! [`place`](crate::place()) looks at every instance for each request: at 10,000 of them that is milliseconds for one task. A
//! fleet takes what changed since it was last asked (persistent maps say so at the cost of the changes), keeps the instances
//! of each zone sorted, and looks only at those that come first. It decides the same, which a property test holds it to.

use std::{
    cell::RefCell,
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque, btree_set},
    sync::Arc,
};

use seawall_model::{ClusterId, InstanceId, ServiceId};
use seawall_proto::internal::v1::{InstanceRow, InstanceStatus, ZoneState};
use seawall_state::{State, Usage};

use crate::{
    BEST_MAX, Best, Candidate, Held, Overlay, PlaceRequest, Placement, Plan, PreemptionPlan, Requirement, Reserved,
    Room, Seen, Spread, Strategy, ZONE_ATTRIBUTE,
    filters::{self, LeftOut},
    key::{self, Key},
    nowhere::{KINDS_MAX, Nowhere},
    skew::{self, Skew},
    spread,
    strategy::{Packed, Step},
};

/// Instances without tasks of a request that [`Fleet::place_near`] looks at.
pub const NEAR_MAX: u32 = 64;
/// Instances of one list that a plan looks at only for its record of the best: it finds those that it places by itself.
const BEST_LOOKS_MAX: u32 = 16;

/// The first is taken first.
type Sorted = BTreeSet<(u64, InstanceId)>;

/// Every instance that may take tasks, of every cluster.
#[derive(Default)]
pub struct Fleet {
    state: State,
    overlay: Overlay,
    clusters: BTreeMap<ClusterId, Yard>,
    stands: BTreeMap<InstanceId, Stand>,
    nowhere: Nowhere,
    /// For whose tasks nobody was found who makes room, and when.
    in_vain: RefCell<Vec<(Spread, i64)>>,
}

/// The instances of one cluster, by zone.
#[derive(Default)]
struct Yard {
    zones: BTreeMap<String, Zone>,
    instances: usize,
}

/// The instances of one zone, once in each order.
#[derive(Default)]
struct Zone {
    emptiest: Sorted,
    least_cpu: Sorted,
    least_memory: Sorted,
}

/// An instance, and where it stands in these.
struct Stand {
    row: Arc<InstanceRow>,
    usage: Option<Arc<Usage>>,
    held: Option<Held>,
    emptiest: u64,
    cpu: u64,
    memory: u64,
}

/// In which order a strategy looks at instances without tasks of the request.
#[derive(Clone, Copy)]
enum Order {
    Emptiest,
    Least(Packed),
}

impl Fleet {
    /// The fleet of a state and of what is proposed.
    pub fn new(state: &State, overlay: &Overlay) -> Self {
        let mut fleet = Fleet::default();
        fleet.sync(state, overlay);
        fleet
    }

    /// What it plans on.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What it takes for proposed.
    pub fn overlay(&self) -> &Overlay {
        &self.overlay
    }

    /// Takes over what changed. Costs what changed.
    pub fn sync(&mut self, state: &State, overlay: &Overlay) {
        let mut changed: BTreeSet<InstanceId> = state.instances_changed_since(&self.state).collect();
        changed.extend(overlay.held_changed_since(&self.overlay));
        let before = std::mem::replace(&mut self.state, state.clone());
        let before_overlay = std::mem::replace(&mut self.overlay, overlay.clone());
        let has_changed = !changed.is_empty();
        let knows_some = !self.nowhere.is_empty();
        let mut gains = knows_some && fewer_come_first((&before, &before_overlay), (state, overlay));
        for id in changed {
            let stood = self.remove(id);
            if let Some(row) = state.instances.get(&id) {
                self.insert(row);
            }
            gains |= knows_some
                && (has_gained(stood.as_ref(), self.stands.get(&id))
                    || daemon_came(id, (&before, &before_overlay), (state, overlay)));
        }
        match (gains, has_changed) {
            (true, _) => self.nowhere.forget(),
            (false, true) => self.nowhere.forget_constrained(),
            (false, false) => {}
        }
    }

    /// As [`Fleet::place`], but what asks for the same again, after it found no place, is told so without a look at the
    /// instances until something is gained.
    pub fn place_again(&self, request: &PlaceRequest) -> Plan {
        if let Some(plan) = self.nowhere.recall(request) {
            return plan;
        }
        let plan = self.place(request);
        if plan.placements.is_empty() && plan.closest.is_some() {
            let room_is_made =
                self.state.victims_in(request.cluster).next().is_some() || self.overlay.victims().next().is_some();
            self.nowhere.note(request, room_is_made, &plan);
        }
        plan
    }

    /// As [`preempt`](crate::preempt()). `None`: for the same service nobody was found less than `again_ms` ago, and the look at
    /// every task is not worth another one yet.
    pub fn preempt(&self, request: &PlaceRequest, room: Room, again_ms: i64) -> Option<PreemptionPlan> {
        let mut in_vain = self.in_vain.borrow_mut();
        in_vain.retain(|(_, at_ms)| room.now_ms < at_ms.saturating_add(again_ms));
        if in_vain.iter().any(|(spread, _)| *spread == request.spread) || in_vain.len() >= KINDS_MAX {
            return None;
        }
        let plan = crate::preempt(&self.state, &self.overlay, request, room);
        if plan.chosen.is_empty() && plan.lower > 0 {
            in_vain.push((request.spread.clone(), room.now_ms));
        }
        Some(plan)
    }

    /// Forgets what found no place: from time to time everything is looked at, whatever is believed.
    pub fn look_again(&self) {
        self.nowhere.forget();
    }

    /// As [`place`](crate::place()).
    pub fn place(&self, request: &PlaceRequest) -> Plan {
        let sorted = order_of(&request.strategy).filter(|_| request.only.is_none() && request.shares.is_empty());
        let plan = sorted.and_then(|order| Search::new(self, request, order, None)?.place());
        plan.unwrap_or_else(|| crate::place(&self.state, &self.overlay, request))
    }

    /// Where one task of the request would go, of the instances of a zone or of all that stand first. For who can do without: it
    /// looks at no more than [`NEAR_MAX`] without tasks of the request, and at none where several capacity providers share them.
    pub fn place_near(&self, request: &PlaceRequest, zone: Option<&str>) -> Option<Plan> {
        let (pool, provider) = match &request.shares[..] {
            [] => (&request.requirement.pool, ""),
            [share] => (&share.pool, share.provider.as_str()),
            _ => return None,
        };
        let requirement = Requirement { pool: pool.clone(), ..request.requirement.clone() };
        let one = PlaceRequest { requirement, count: 1, shares: Vec::new(), ..request.clone() };
        let mut search = Search::new(self, &one, order_of(&one.strategy)?, zone)?;
        search.near_max = NEAR_MAX;
        let placement = Placement { provider: provider.to_owned(), ..search.take()? };
        let best = vec![Best { instance: placement.instance, key: None }];
        Some(search.planned(vec![placement], best))
    }

    /// The plan for one task of the request, if it has a place now: as [`Fleet::place`], without saying why not.
    pub fn find(&self, request: &PlaceRequest) -> Option<Plan> {
        let plan = match order_of(&request.strategy) {
            Some(order) => Search::new(self, request, order, None)?.place()?,
            None => crate::place(&self.state, &self.overlay, request),
        };
        (!plan.placements.is_empty()).then_some(plan)
    }

    /// Takes an instance out; as what it stood here.
    fn remove(&mut self, id: InstanceId) -> Option<Stand> {
        let stand = self.stands.remove(&id)?;
        let Some(yard) = self.clusters.get_mut(&ClusterId(stand.row.cluster_id)) else { return Some(stand) };
        yard.instances -= 1;
        let Some(zone) = yard.zones.get_mut(&stand.row.zone) else { return Some(stand) };
        zone.emptiest.remove(&(stand.emptiest, id));
        zone.least_cpu.remove(&(stand.cpu, id));
        zone.least_memory.remove(&(stand.memory, id));
        if zone.emptiest.is_empty() {
            yard.zones.remove(&stand.row.zone);
        }
        Some(stand)
    }

    /// One that takes no tasks now stands nowhere.
    fn insert(&mut self, row: &Arc<InstanceRow>) {
        if row.status() != InstanceStatus::Active || !row.connected {
            return;
        }
        let candidate = Candidate::new(&self.state, &self.overlay, row);
        let id = candidate.id();
        let stand = Stand {
            row: row.clone(),
            usage: self.state.usage(id).cloned(),
            held: self.overlay.held(id).cloned(),
            emptiest: key::fullness(&candidate),
            cpu: key::left(&candidate, Packed::Cpu),
            memory: key::left(&candidate, Packed::Memory),
        };
        let yard = self.clusters.entry(ClusterId(row.cluster_id)).or_default();
        yard.instances += 1;
        let zone = yard.zones.entry(row.zone.clone()).or_default();
        zone.emptiest.insert((stand.emptiest, id));
        zone.least_cpu.insert((stand.cpu, id));
        zone.least_memory.insert((stand.memory, id));
        self.stands.insert(id, stand);
    }
}

/// Whether an instance may take something now that it did not take before.
fn has_gained(before: Option<&Stand>, after: Option<&Stand>) -> bool {
    match (before, after) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(before), Some(after)) => {
            let (was, is) = (before.taken(), after.taken());
            !is_same_place(&before.row, &after.row)
                || is.cpu < was.cpu
                || is.memory < was.memory
                || !was.ports_tcp.is_subset(&is.ports_tcp)
                || !was.ports_udp.is_subset(&is.ports_udp)
        }
    }
}

/// Whether filters see the same in two rows: reports change others of their fields.
fn is_same_place(before: &InstanceRow, after: &InstanceRow) -> bool {
    before.registered == after.registered
        && before.attributes == after.attributes
        && before.zone == after.zone
        && before.capacity_provider == after.capacity_provider
        && before.cordoned_until_ms == after.cordoned_until_ms
        && before.agent_version == after.agent_version
}

/// Whether others need to wait no more for a daemon's task there.
fn daemon_came(id: InstanceId, (before, proposed): (&State, &Overlay), (after, proposing): (&State, &Overlay)) -> bool {
    let Some(row) = after.instances.get(&id) else { return false };
    let is_there = |state: &State, overlay: &Overlay, daemon: ServiceId| {
        state.service_tasks_on_instance(daemon, id) > 0 || overlay.has_task_of(daemon, id)
    };
    let mut daemons = after.daemons_of(ClusterId(row.cluster_id)).map(|row| ServiceId(row.id));
    daemons.any(|daemon| is_there(before, proposed, daemon) != is_there(after, proposing, daemon))
}

/// Whether somebody who came before others does so no more, or a zone is another.
fn fewer_come_first((before, proposed): (&State, &Overlay), (after, proposing): (&State, &Overlay)) -> bool {
    let row = |state: &State, id| state.services.get(&id).cloned();
    let daemon_changed = before.daemons().any(|id| match (row(before, id), row(after, id)) {
        (Some(before), Some(after)) => !Arc::ptr_eq(&before, &after),
        _ => true,
    });
    daemon_changed
        || after.waits_no_more(before)
        || after.zones.changed_since(&before.zones).next().is_some()
        || proposing.comes_first_no_more(proposed)
}

/// `None` for strategies that look at every instance.
fn order_of(strategy: &Strategy) -> Option<Order> {
    let mut order = None;
    for step in &strategy.steps {
        match step {
            Step::SpreadAttribute(name) if name == ZONE_ATTRIBUTE && order.is_none() => {}
            Step::SpreadInstance if order.is_none() => {}
            Step::Binpack(packed) if order.is_none() => order = Some(Order::Least(*packed)),
            _ => return None,
        }
    }
    Some(order.unwrap_or(Order::Emptiest))
}

/// One request, looked for in the orders of the fleet.
struct Search<'f> {
    fleet: &'f Fleet,
    request: &'f PlaceRequest,
    /// What is kept for daemons. The orders do not know of it: while a daemon's task is missing somewhere, an instance may be
    /// taken that is not the very emptiest.
    reserved: Reserved<'f>,
    groups: Vec<Group<'f>>,
    /// Instances that have tasks of the request, before or by this plan.
    touched: BTreeMap<InstanceId, Candidate<'f>>,
    skew: Option<Skew<'f>>,
    looked_at: u32,
    fitted: u32,
    left_out: LeftOut,
    /// Instances without tasks of the request that are looked at.
    near_max: u32,
    instances: usize,
}

/// The instances of a zone where zones are spread over or may not get ahead, else all of them.
struct Group<'f> {
    name: &'f str,
    tasks: u32,
    /// Of those, tasks that nothing replaces.
    staying: u32,
    /// Those without tasks of the request, in order; one list a zone.
    untouched: Vec<Untouched<'f>>,
    touched: BinaryHeap<Reverse<(Key, InstanceId)>>,
}

struct Untouched<'f> {
    rest: btree_set::Range<'f, (u64, InstanceId)>,
    /// Those before the rest that fit, and are not taken.
    ahead: VecDeque<(Key, InstanceId)>,
}

/// Where the best of a group come from: those with tasks of the request, or one list of those without.
struct Head {
    at: usize,
    list: Option<usize>,
    those: Vec<(Key, InstanceId)>,
    used: usize,
}

impl<'f> Search<'f> {
    /// `None` where the cluster has no instance that takes tasks.
    fn new(fleet: &'f Fleet, request: &'f PlaceRequest, order: Order, zone: Option<&str>) -> Option<Self> {
        let yard = fleet.clusters.get(&request.cluster)?;
        let max_zone_skew = request.requirement.constraints.max_zone_skew;
        let by_zone = request.strategy.steps.iter().any(|step| step.attribute().is_some()) || max_zone_skew.is_some();
        let mut groups: Vec<Group<'f>> = Vec::new();
        let is_asked = |name: &str| zone.is_none_or(|zone| zone == name);
        let is_open = |name: &str| fleet.state.zone_state(name) == ZoneState::Open && is_asked(name);
        for (name, zone) in yard.zones.iter().filter(|(name, _)| is_open(name)) {
            if by_zone || groups.is_empty() {
                groups.push(Group { name, tasks: 0, staying: 0, untouched: Vec::new(), touched: BinaryHeap::new() });
            }
            let rest = zone.from(order, request);
            groups.last_mut()?.untouched.push(Untouched { rest, ahead: VecDeque::new() });
        }
        let instances = yard.instances;
        let reserved = Reserved::from(&fleet.state, &fleet.overlay, request);
        let touched = BTreeMap::new();
        let mut search = Search {
            fleet,
            request,
            reserved,
            groups,
            touched,
            skew: None,
            looked_at: 0,
            fitted: 0,
            left_out: LeftOut::default(),
            near_max: u32::MAX,
            instances,
        };
        search.count(by_zone);
        search.skew = max_zone_skew.map(|max| {
            let zones = search.groups.iter().filter(|group| search.belongs(&yard.zones[group.name]));
            Skew::new(max, zones.map(|group| (group.name, group.staying)))
        });
        Some(search)
    }

    /// Whether some instance of the zone is one where the tasks belong.
    fn belongs(&self, zone: &Zone) -> bool {
        let stands = zone.emptiest.iter().filter_map(|(_, id)| self.fleet.stands.get(id));
        let mut candidates = stands.map(|stand| stand.candidate(self.fleet, &self.reserved, self.request));
        candidates.any(|candidate| skew::belongs(&self.request.requirement, &candidate))
    }

    /// Takes in the instances that have tasks of the request.
    fn count(&mut self, by_zone: bool) {
        let Fleet { state, overlay, .. } = self.fleet;
        for (id, tasks) in spread::counts(state, overlay, self.request.cluster, &self.request.spread) {
            let Some(row) = state.instances.get(&id) else { continue };
            self.looked_at += 1;
            let group = self.groups.iter_mut().find(|group| !by_zone || group.name == row.zone);
            let Some(group) = group else { continue };
            group.tasks += tasks;
            let candidate = self.reserved.left_to(Candidate::new(state, overlay, row), tasks, self.request);
            group.staying += candidate.staying();
            match filters::first_failing(&filters::PIPELINE, &self.request.requirement, &candidate) {
                None => {
                    self.fitted += 1;
                    group.touched.push(Reverse((key::own(&self.request.strategy, &candidate), id)));
                }
                Some((at, _)) => self.left_out.add(at),
            }
            self.touched.insert(id, candidate);
        }
    }

    /// `None` where not all find a place: why is for a look at every instance to say.
    fn place(mut self) -> Option<Plan> {
        let best = self.best();
        let mut placements = Vec::with_capacity(self.request.count as usize);
        while placements.len() < self.request.count as usize {
            placements.push(self.take()?);
        }
        Some(self.planned(placements, best))
    }

    fn planned(self, placements: Vec<Placement>, best: Vec<Best>) -> Plan {
        let Search { looked_at, fitted, instances, left_out, .. } = self;
        let seen = Seen { instances: instances as u32, looked_at, fitted, best };
        Plan { placements, counts: left_out.counts(), seen, ..Plan::default() }
    }

    /// The best instances, before anything is placed: of what each list has next the first, again and again.
    fn best(&mut self) -> Vec<Best> {
        let groups: Vec<usize> = (0..self.groups.len()).filter(|at| self.may_grow(*at)).collect();
        let mut heads: Vec<Head> = Vec::new();
        for at in groups {
            let group = &mut self.groups[at];
            let touched: Vec<_> = (0..BEST_MAX).map_while(|_| group.touched.pop()).collect();
            let those = touched.iter().map(|Reverse(first)| *first).collect();
            group.touched.extend(touched);
            heads.push(Head { at, list: None, those, used: 0 });
            let lists = 0..group.untouched.len();
            heads.extend(lists.map(|list| Head { at, list: Some(list), those: Vec::new(), used: 0 }));
        }
        let mut best = Vec::with_capacity(BEST_MAX);
        while best.len() < BEST_MAX {
            let next = (0..heads.len()).filter_map(|nth| Some((self.next_of(&heads[nth])?, nth))).min();
            let Some(((key, instance), nth)) = next else { break };
            heads[nth].used += 1;
            best.push(Best { instance, key: Some(key) });
        }
        best
    }

    /// What comes next there, with what is counted of its zone.
    fn next_of(&mut self, head: &Head) -> Option<(Key, InstanceId)> {
        let own = match head.list {
            None => head.those.get(head.used).copied(),
            Some(list) => {
                self.look(head.at, list, head.used + 1, if head.used == 0 { u32::MAX } else { BEST_LOOKS_MAX });
                self.groups[head.at].untouched[list].ahead.get(head.used).copied()
            }
        };
        let counts = std::iter::repeat(self.groups[head.at].tasks);
        own.map(|(own, id)| (key::with_counts(&self.request.strategy, own, counts), id))
    }

    fn take(&mut self) -> Option<Placement> {
        let mut best: Option<(Key, InstanceId, usize)> = None;
        for at in 0..self.groups.len() {
            if !self.may_grow(at) {
                continue;
            }
            for list in 0..self.groups[at].untouched.len() {
                self.look(at, list, 1, u32::MAX);
            }
            let group = &self.groups[at];
            let counts = std::iter::repeat(group.tasks);
            let untouched = group.untouched.iter().filter_map(|list| list.ahead.front().copied());
            let first = group.touched.peek().map(|Reverse(first)| *first).into_iter().chain(untouched).min();
            let with_counts = first.map(|(own, id)| (key::with_counts(&self.request.strategy, own, counts), id, at));
            best = best.into_iter().chain(with_counts).min();
        }
        let (key, id, at) = best?;
        let note = self.note(&key, at);
        self.put(id, at);
        Some(Placement { instance: id, note, provider: String::new() })
    }

    /// Whether the tasks of the group's zone may become more.
    fn may_grow(&self, at: usize) -> bool {
        self.skew.as_ref().is_none_or(|skew| skew.may_grow(self.groups[at].name))
    }

    /// Finds untouched instances of a list that fit until so many are ahead, and looks at no more than `looks` for it.
    fn look(&mut self, at: usize, list: usize, wanted: usize, mut looks: u32) {
        let Search { fleet, request, reserved, groups, touched, looked_at, fitted, left_out, near_max, .. } = self;
        let list = &mut groups[at].untouched[list];
        while list.ahead.len() < wanted && looks > 0 && *near_max > 0 {
            let Some((_, id)) = list.rest.next() else { break };
            let Some(stand) = fleet.stands.get(id).filter(|_| !touched.contains_key(id)) else { continue };
            looks -= 1;
            *near_max -= 1;
            *looked_at += 1;
            let candidate = stand.candidate(fleet, reserved, request);
            match filters::first_failing(&filters::PIPELINE, &request.requirement, &candidate) {
                None => {
                    *fitted += 1;
                    list.ahead.push_back((key::own(&request.strategy, &candidate), *id));
                }
                Some((at, _)) => left_out.add(at),
            }
        }
    }

    /// Puts a task on the instance and returns it to its group while it still fits.
    fn put(&mut self, id: InstanceId, at: usize) {
        let Search { fleet, request, reserved, groups, touched, skew, .. } = self;
        let group = &mut groups[at];
        group.tasks += 1;
        if let Some(skew) = skew {
            skew.add(group.name);
        }
        match group.untouched.iter_mut().find(|list| list.ahead.front().is_some_and(|(_, next)| *next == id)) {
            Some(list) => drop(list.ahead.pop_front()),
            None => drop(group.touched.pop()),
        }
        let Some(stand) = fleet.stands.get(&id) else { return };
        let candidate = touched.entry(id).or_insert_with(|| stand.candidate(fleet, reserved, request));
        candidate.take(&request.requirement.size);
        if filters::first_failing(&filters::PIPELINE, &request.requirement, candidate).is_none() {
            group.touched.push(Reverse((key::own(&request.strategy, candidate), id)));
        }
    }

    fn note(&self, key: &Key, at: usize) -> String {
        let why = key::why(&self.request.strategy, key, std::iter::repeat(self.groups[at].name));
        format!("{why}; {} of {} looked at", self.looked_at, self.instances)
    }
}

impl Stand {
    /// What tasks and proposals take of it together.
    fn taken(&self) -> Held {
        let mut taken = self.held.clone().unwrap_or_default();
        if let Some(usage) = &self.usage {
            taken.cpu = taken.cpu.saturating_add(usage.cpu);
            taken.memory = taken.memory.saturating_add(usage.memory);
            taken.ports_tcp = taken.ports_tcp.union(usage.ports_tcp.clone());
            taken.ports_udp = taken.ports_udp.union(usage.ports_udp.clone());
        }
        taken
    }

    /// The instance without tasks of the request.
    fn candidate<'f>(&'f self, fleet: &'f Fleet, reserved: &Reserved<'_>, request: &'f PlaceRequest) -> Candidate<'f> {
        let Fleet { state, overlay, .. } = fleet;
        let known = Candidate::known(state, overlay, &self.row, self.usage.as_deref(), self.held.as_ref());
        reserved.left_to(known, 0, request)
    }
}

impl Zone {
    /// From the first that may have room.
    fn from(&self, order: Order, request: &PlaceRequest) -> btree_set::Range<'_, (u64, InstanceId)> {
        let first = |least: u32| (u64::from(least), InstanceId(0))..;
        match order {
            Order::Emptiest => self.emptiest.range(..),
            Order::Least(Packed::Cpu) => self.least_cpu.range(first(request.requirement.size.cpu)),
            Order::Least(Packed::Memory) => self.least_memory.range(first(request.requirement.size.memory)),
        }
    }
}
