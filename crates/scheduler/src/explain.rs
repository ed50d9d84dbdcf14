//! Why a task would or would not go to each instance.

use std::{collections::BTreeMap, fmt};

use seawall_model::InstanceId;
use seawall_state::State;

use crate::{FilterCount, Overlay, PlaceRequest, filters, place, skew::Skew};

/// One instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceExplanation {
    /// Which.
    pub instance: InstanceId,
    /// Its zone.
    pub zone: String,
    /// Tasks of the service or group in its zone.
    pub zone_tasks: u32,
    /// Tasks of the service or group on it.
    pub instance_tasks: u32,
    /// ECS's reason and the figures of the first filter that left it out; `None` where it fits.
    pub left_out: Option<(&'static str, String)>,
}

/// Every instance of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// By id.
    pub instances: Vec<InstanceExplanation>,
    /// Instances left out, by filter.
    pub counts: Vec<FilterCount>,
    /// By filter, what the closest of those that it left out lacks.
    pub lacking: BTreeMap<&'static str, String>,
    /// What ECS's event says after "… met all of its requirements."; `None` where some instance fits.
    pub closest: Option<String>,
}

/// Says for each instance whether it takes one more task of the request.
pub fn explain(state: &State, overlay: &Overlay, request: &PlaceRequest) -> Explanation {
    let mut candidates = place::candidates(state, overlay, request);
    if let Some(skew) = Skew::of(&request.requirement, &candidates) {
        skew.mark(&mut candidates);
    }
    let zone_tasks = place::zone_tasks(&candidates);
    let (fitting, counts) = place::fitting(&request.requirement, &candidates);
    let failing = |c| filters::first_failing(&filters::PIPELINE, &request.requirement, c);
    let instances = candidates.iter().map(|c| InstanceExplanation {
        instance: c.id(),
        zone: c.row.zone.clone(),
        zone_tasks: zone_tasks.get(c.row.zone.as_str()).copied().unwrap_or(0),
        instance_tasks: c.tasks,
        left_out: failing(c).map(|(_, filter)| (filter.reason(), filter.explain(&request.requirement, c))),
    });
    let mut lacking = BTreeMap::new();
    for (candidate, filter) in place::failing(&request.requirement, &candidates) {
        lacking.entry(filter.name()).or_insert_with(|| filter.explain(&request.requirement, candidate));
    }
    let closest = fitting.is_empty().then(|| place::closest(&request.requirement, &candidates));
    Explanation { instances: instances.collect(), counts, lacking, closest }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for i in &self.instances {
            write!(f, "{} (zone {}: {}, instance: {}) ", i.instance, i.zone, i.zone_tasks, i.instance_tasks)?;
            match &i.left_out {
                None => writeln!(f, "fits")?,
                Some((reason, detail)) => writeln!(f, "{reason}: {detail}")?,
            }
        }
        for count in &self.counts {
            writeln!(f, "left out: {count}")?;
        }
        if let Some(closest) = &self.closest {
            writeln!(f, "{closest}")?;
        }
        Ok(())
    }
}
