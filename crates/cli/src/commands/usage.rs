//! `seawall usage`: what FARGATE tasks used, by the second.

use std::collections::BTreeMap;

use seawall_proto::{
    timestamp_of,
    v1::{ListUsageRequest, ListUsageResponse, UsageGroup},
};

use crate::{
    args::UsageArgs,
    client::{Again, Connection},
    context::Context,
    failure::Failure,
    output::{
        self, Listing,
        table::{Table, column},
    },
};

const NONE: &str = "no FARGATE task ran in this time";

/// Runs `seawall usage`.
pub async fn run(ctx: &Context, args: UsageArgs) -> Result<(), Failure> {
    let now_ms = ctx.env.wall_ms();
    let ago = |length: std::time::Duration| timestamp_of(now_ms - length.as_millis() as i64);
    if args.until.is_some_and(|until| until >= args.since) {
        return Err(Failure::usage("--until: must be later than --since").next("a time ago, such as --until 1h"));
    }
    let request = ListUsageRequest {
        cluster: Some(ctx.cluster(None)),
        since: Some(ago(args.since)),
        until: Some(args.until.map_or_else(|| timestamp_of(now_ms), ago)),
        next_token: None,
    };
    listing(&added(pages(ctx, request).await?)).print(&ctx.global)
}

async fn pages(ctx: &Context, mut request: ListUsageRequest) -> Result<Vec<ListUsageResponse>, Failure> {
    let client = ctx.client().await?;
    let mut pages = Vec::new();
    loop {
        let ask = async |mut c: Connection, r| c.control.list_usage(r).await;
        let page = client.call(Again::Safe, request.clone(), ask).await?;
        request.next_token.clone_from(&page.next_token);
        pages.push(page);
        if request.next_token.is_none() {
            return Ok(pages);
        }
    }
}

/// The sums of all pages, by what they are of.
fn added(pages: Vec<ListUsageResponse>) -> Vec<UsageGroup> {
    let mut sums: BTreeMap<[String; 4], UsageGroup> = BTreeMap::new();
    for group in pages.into_iter().flat_map(|page| page.groups) {
        let UsageGroup { family, service, capacity_provider, architecture, .. } = group.clone();
        match sums.get_mut(&[family.clone(), service.clone(), capacity_provider.clone(), architecture.clone()]) {
            None => drop(sums.insert([family, service, capacity_provider, architecture], group)),
            Some(sum) => {
                sum.tasks += group.tasks;
                sum.vcpu_seconds += group.vcpu_seconds;
                sum.mib_seconds += group.mib_seconds;
            }
        }
    }
    sums.into_values().collect()
}

fn listing(groups: &[UsageGroup]) -> Listing {
    let mut table = Table::new(&[
        column("FAMILY"),
        column("SERVICE"),
        column("PROVIDER"),
        column("ARCHITECTURE"),
        column("TASKS"),
        column("VCPU SECONDS"),
        column("MIB SECONDS"),
    ]);
    for group in groups {
        table.row([
            group.family.clone(),
            group.service.clone(),
            group.capacity_provider.clone(),
            group.architecture.clone(),
            group.tasks.to_string(),
            format!("{:.1}", group.vcpu_seconds),
            format!("{:.0}", group.mib_seconds),
        ]);
    }
    Listing {
        table,
        names: groups.iter().map(|group| group.family.clone()).collect(),
        json: serde_json::json!({ "groups": groups }),
        items: groups.iter().map(output::json).collect(),
        none: NONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_of_all_pages_are_added() {
        let page = |family: &str, tasks, vcpu_seconds| ListUsageResponse {
            groups: vec![UsageGroup { family: family.into(), tasks, vcpu_seconds, ..UsageGroup::default() }],
            next_token: None,
        };
        let sums = added(vec![page("web", 1, 2.0), page("db", 1, 1.0), page("web", 2, 3.5)]);
        let shown: Vec<_> = sums.iter().map(|sum| (sum.family.as_str(), sum.tasks, sum.vcpu_seconds)).collect();
        assert_eq!(shown, [("db", 1, 1.0), ("web", 3, 5.5)]);
    }
}
