//! Whose instances a task may stand on, and how tasks are shared out among capacity providers.

use seawall_model::ClusterId;
use seawall_proto::v1::CapacityProviderStrategyItem;
use seawall_state::{PREDEFINED_CAPACITY_PROVIDERS, State};

/// Whose instances a task may stand on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Pool {
    /// Everybody's but those of FARGATE and FARGATE_SPOT, which take no tasks but their own.
    #[default]
    Open,
    /// Those that joined the capacity provider of this name.
    Provider(String),
}

/// What serves tasks for FARGATE and FARGATE_SPOT. The operator's word (`--fargate`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fargate {
    /// The pool of that name; until an instance has joined it, every instance.
    #[default]
    Instances,
    /// The pool of that name alone.
    Pool,
    /// Nothing: such tasks and services are refused.
    Refuse,
}

/// Whether the instances of a provider take no tasks but its own, as AWS's own machines do.
pub fn is_fargate(provider: &str) -> bool {
    PREDEFINED_CAPACITY_PROVIDERS.contains(&provider)
}

impl Pool {
    /// The pool that serves a launch type: FARGATE is a capacity provider of that name, the others mean everybody's instances.
    pub fn of_launch_type(state: &State, cluster: ClusterId, launch_type: &str, fargate: Fargate) -> Self {
        Pool::of(state, cluster, if is_fargate(launch_type) { launch_type } else { "" }, fargate)
    }

    /// The pool that serves a capacity provider. Empty: none was asked for.
    ///
    /// Until an instance has joined a provider, everybody's instances serve it: a cluster that was described for AWS runs as it
    /// is. For FARGATE the operator may say otherwise.
    pub fn of(state: &State, cluster: ClusterId, provider: &str, fargate: Fargate) -> Self {
        let is_alone = is_fargate(provider) && fargate != Fargate::Instances;
        match provider {
            "" => Pool::Open,
            name if is_alone || state.has_instances_of_provider(cluster, name) => Pool::Provider(name.to_owned()),
            _ => Pool::Open,
        }
    }
}

/// One item of a capacity provider strategy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Its name.
    pub provider: String,
    /// Whose instances serve it.
    pub pool: Pool,
    /// Tasks that it gets before any other.
    pub base: u32,
    /// Its part of the rest.
    pub weight: u32,
    /// Tasks that it has already.
    pub tasks: u32,
    /// It has managed scaling: what finds no room waits.
    pub waits: bool,
}

impl Share {
    /// The shares of a strategy. `tasks` says how many a provider has already.
    pub fn of(
        state: &State,
        cluster: ClusterId,
        strategy: &[CapacityProviderStrategyItem],
        fargate: Fargate,
        tasks: impl Fn(&str) -> u32,
    ) -> Vec<Self> {
        let share = |item: &CapacityProviderStrategyItem| Share {
            provider: item.capacity_provider().to_owned(),
            pool: Pool::of(state, cluster, item.capacity_provider(), fargate),
            base: item.base().unsigned_abs(),
            weight: item.weight().unsigned_abs(),
            tasks: tasks(item.capacity_provider()),
            waits: state.has_managed_scaling(cluster, item.capacity_provider()),
        };
        strategy.iter().map(share).collect()
    }

    /// How far it is from its part: the smallest gets the next task. `None`: it gets no more.
    fn next(&self) -> Option<(bool, u64)> {
        if self.tasks < self.base {
            return Some((false, 0));
        }
        let beyond = u64::from(self.tasks - self.base) + 1;
        (self.weight > 0).then(|| (true, (beyond << 32) / u64::from(self.weight)))
    }
}

/// How many of `count` tasks each share gets: bases first, the rest by weight, what runs already counted.
pub fn split(shares: &[Share], count: u32) -> Vec<u32> {
    let mut now = shares.to_vec();
    let mut given = vec![0; shares.len()];
    for _ in 0..count {
        let key = |at: &usize| now[*at].next().map(|next| (next, *at));
        let Some((_, at)) = (0..now.len()).filter_map(|at| key(&at)).min() else { break };
        now[at].tasks += 1;
        given[at] += 1;
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(base: u32, weight: u32, tasks: u32) -> Share {
        Share { provider: String::new(), pool: Pool::Open, base, weight, tasks, waits: false }
    }

    #[test]
    fn bases_come_first_then_weights() {
        assert_eq!(split(&[share(2, 1, 0), share(0, 4, 0)], 12), [4, 8]);
        assert_eq!(split(&[share(0, 1, 0), share(0, 1, 0), share(0, 1, 0)], 4), [2, 1, 1]);
        assert_eq!(split(&[share(3, 0, 0), share(0, 1, 0)], 5), [3, 2]);
    }

    #[test]
    fn what_runs_already_counts() {
        assert_eq!(split(&[share(1, 1, 5), share(0, 1, 0)], 4), [0, 4]);
        assert_eq!(split(&[share(2, 1, 0), share(0, 1, 9)], 3), [3, 0]);
    }

    #[test]
    fn without_weight_nothing_goes_beyond_the_base() {
        assert_eq!(split(&[share(1, 0, 0)], 3), [1]);
    }
}
