//! What is kept of decisions.

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use prost::Message;
use rand::{SeedableRng, rngs::StdRng};
use seawall_model::Id128;
use seawall_proto::{
    internal::v1::{Decision, InstanceStatus, PlaceTasks, Score, decision::Scored},
    v1::{PlacementConstraint, PlacementStrategy},
};
use seawall_scheduler::{
    BEST_MAX, Constraints, DECISION_BYTES_MAX, Fleet, Overlay, PLANNER_VERSION, PlaceRequest, Pool, Strategy, place,
    stamp,
};
use seawall_state::task_id_message;
use support::{CLUSTER, World, borg, request, size};

/// After a long life: the largest numbers of a record.
const LATE_INDEX: u64 = 1 << 40;

fn strategy(steps: &[(&str, &str)]) -> Strategy {
    let step = |(kind, field): &(&str, &str)| PlacementStrategy {
        r#type: Some((*kind).into()),
        field: (!field.is_empty()).then(|| (*field).into()),
    };
    Strategy::parse(&steps.iter().map(step).collect::<Vec<_>>(), 7).unwrap()
}

fn recorded(fleet: &Fleet, request: &PlaceRequest) -> (Decision, usize) {
    let plan = fleet.place(request);
    let mut decision = request.decision(&plan);
    stamp(&mut decision, LATE_INDEX, vec![1000, 4000, 1000]);
    (decision, plan.placements.len())
}

#[test]
fn a_record_is_under_200_bytes_whatever_is_asked() {
    let mut random = StdRng::seed_from_u64(3);
    let mut world = borg::machines(&mut random, 2_000);
    let definition = world.definition(size(1, 1));
    let state = world.state();
    let mut overlay = Overlay::default();
    let mut fleet = Fleet::new(&state, &overlay);
    let chains = [
        strategy(&[]),
        strategy(&[("binpack", "memory")]),
        strategy(&[("spread", "attribute:ecs.availability-zone"), ("binpack", "cpu")]),
        strategy(&[("spread", "attribute:disk"), ("random", "")]),
    ];
    let (mut longest, mut records) = (0, 0);
    for job in 0..1_500 {
        let asked = borg::request(&mut random, job);
        // Chains that look at every instance are slow here.
        let chain = if job % 50 == 0 { 3 } else { job % 3 };
        let asked = PlaceRequest { strategy: chains[chain].clone(), ..asked };
        let plan = fleet.place(&asked);
        let (decision, placed) = recorded(&fleet, &asked);
        assert_eq!((decision.planner, placed), (PLANNER_VERSION, plan.placements.len()));
        assert!(decision.best.len() <= BEST_MAX.min(decision.fitted as usize), "{decision:?}");
        if let Some(first) = plan.placements.first() {
            assert_eq!(decision.best[0].instance_id, first.instance.0, "the best is taken first");
        }
        longest = longest.max(decision.encoded_len());
        records += 1;
        let place = PlaceTasks {
            cluster_id: CLUSTER.0,
            task_definition_id: definition.0,
            base: Some(task_id_message(Id128((job as u128 + 1) << 32))),
            group: asked.group.clone(),
            placements: plan.placements.into_iter().map(Into::into).collect(),
            ..PlaceTasks::default()
        };
        overlay.add_sized(asked.requirement.size.clone(), &place);
        fleet.sync(&state, &overlay);
    }
    assert!(records == 1_500 && longest < 200, "the longest has {longest} bytes");
}

#[test]
fn one_that_would_be_longer_loses_the_last_of_its_best() {
    let best = Scored { instance_id: u64::MAX, scores: vec![u64::MAX; 6] };
    let mut decision = Decision { best: vec![best; 5], left_out: vec![9, 1000, 11, 5000], ..Decision::default() };
    let whole = decision.encoded_len();
    stamp(&mut decision, LATE_INDEX, vec![3]);
    assert!(whole > DECISION_BYTES_MAX && decision.encoded_len() <= DECISION_BYTES_MAX);
    assert_eq!((decision.best.len(), &decision.left_out[..]), (2, &[9, 1000, 11, 5000][..]));
    assert_eq!((decision.base_index, &decision.in_flight[..]), (LATE_INDEX, &[3][..]));
}

#[test]
fn it_says_what_was_looked_at_and_what_each_filter_left_out() {
    let mut world = World::default();
    for (zone, memory) in [("a", 100), ("a", 900), ("b", 1000), ("b", 100), ("c", 950)] {
        world.instance(zone, 1000, memory);
    }
    world.instance_mut(seawall_model::InstanceId(5)).set_status(InstanceStatus::Draining);
    let (state, none) = (world.state(), Overlay::default());
    let asked = request(size(100, 200), 2);
    let decision = asked.decision(&place(&state, &none, &asked));
    assert_eq!((decision.instances, decision.looked_at, decision.fitted), (5, 5, 2));
    // status and memory
    assert_eq!(decision.left_out, [1, 1, 11, 2]);
    let scores: Vec<Score> = decision.scores().collect();
    assert_eq!(scores, [Score::ZoneTasks, Score::InstanceTasks, Score::FreeShare]);
    let best: Vec<(u64, &[u64])> = decision.best.iter().map(|b| (b.instance_id, &b.scores[..])).collect();
    assert_eq!(best, [(2, &[0, 0, 65_536][..]), (3, &[0, 0, 65_536][..])]);

    let more = request(size(100, 200), 12);
    let plan = place(&state, &none, &more);
    assert_eq!(plan.obstacles(), [1, 1, 11, 4], "when nothing fits any more");
}

#[test]
fn equal_requests_are_of_one_class_for_ever() {
    let plain = request(size(256, 512), 1);
    let of = |change: fn(&mut PlaceRequest)| {
        let mut asked = request(size(256, 512), 1);
        change(&mut asked);
        asked.class()
    };
    // Records of every version are compared by it.
    assert_eq!(plain.class(), 2_041_293_045);
    assert_eq!(of(|asked| (asked.count, asked.strategy.seed, asked.group) = (9, 9, "other".into())), plain.class());
    let others = [
        of(|asked| asked.requirement.size.cpu = 255),
        of(|asked| asked.requirement.constraints.distinct_instance = true),
        of(|asked| asked.requirement.constraints.max_per_instance = Some(1)),
        of(|asked| asked.requirement.constraints = member_of("attribute:disk == ssd")),
        of(|asked| asked.requirement.constraints = member_of("attribute:disk == hdd")),
        of(|asked| asked.requirement.pool = Pool::Provider("p".into())),
        of(|asked| asked.strategy = strategy(&[("binpack", "cpu")])),
        of(|asked| asked.strategy = strategy(&[("spread", "attribute:disk")])),
        plain.class(),
    ];
    let distinct: std::collections::BTreeSet<u32> = others.into_iter().collect();
    assert_eq!(distinct.len(), others.len());
}

fn member_of(expression: &str) -> Constraints {
    let constraint = PlacementConstraint { r#type: Some("memberOf".into()), expression: Some(expression.into()) };
    Constraints::parse(&[], &[constraint]).unwrap()
}
