//! `seawall tag`: what is tagged how, and changes of it. Tags that begin with `seawall:` steer Seawall (docs/tags.md).

use seawall_proto::v1::{ListTagsForResourceRequest, Tag, TagResourceRequest, UntagResourceRequest};

use super::{changes::Changes, why};
use crate::{
    client::{Again, Connection},
    context::Context,
    failure::Failure,
    output::{
        self, Listing,
        table::{Table, column, text},
    },
};

/// Sets and removes tags; without changes, lists them.
pub async fn run(ctx: &Context, resource: &str, changes: &[String]) -> Result<(), Failure> {
    let Changes { set, removed } = Changes::parse(changes)?;
    let arn = arn(ctx, resource).await?;
    if changes.is_empty() {
        return list(ctx, arn).await;
    }
    if !set.is_empty() {
        let tags = set.into_iter().map(|(key, value)| Tag { key: Some(key), value: Some(value) }).collect();
        let request = TagResourceRequest { resource_arn: Some(arn.clone()), tags, ..Default::default() };
        ctx.change(Again::Safe, request, async |mut c: Connection, r| c.ecs.tag_resource(r).await).await?;
    }
    if !removed.is_empty() {
        let request = UntagResourceRequest { resource_arn: Some(arn), tag_keys: removed, ..Default::default() };
        ctx.change(Again::Safe, request, async |mut c: Connection, r| c.ecs.untag_resource(r).await).await?;
    }
    match ctx.global.dry_run {
        true => Ok(()),
        false => output::say(&format!("{resource} has its tags")),
    }
}

/// Services, tasks and instances have names; anything else that can be tagged is named by its ARN.
async fn arn(ctx: &Context, resource: &str) -> Result<String, Failure> {
    if resource.starts_with("arn:") {
        return Ok(resource.to_owned());
    }
    let (_, arn) = why::find_any(ctx, resource).await?.cluster_and_arn();
    Ok(arn)
}

async fn list(ctx: &Context, arn: String) -> Result<(), Failure> {
    let request = ListTagsForResourceRequest { resource_arn: Some(arn) };
    let ask = async |mut c: Connection, r| c.ecs.list_tags_for_resource(r).await;
    let answer = ctx.client().await?.call(Again::Safe, request, ask).await?;
    let mut table = Table::new(&[column("KEY"), text("VALUE")]);
    for tag in &answer.tags {
        table.row([tag.key().to_owned(), tag.value().to_owned()]);
    }
    Listing {
        table,
        names: answer.tags.iter().map(|tag| tag.key().to_owned()).collect(),
        json: output::json(&answer),
        items: answer.tags.iter().map(output::json).collect(),
        none: "no tags",
    }
    .print(&ctx.global)
}
