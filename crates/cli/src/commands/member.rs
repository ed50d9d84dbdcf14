//! `seawall member …`: the schedulers.

use seawall_proto::v1::{
    AddMemberRequest, DescribeMembersRequest, DescribeMembersResponse, Member, MemberRole, RemoveMemberRequest,
    ReplaceMemberRequest, TransferLeadershipRequest,
};

use crate::{
    args::MemberCommand,
    client::{Again, Connection},
    context::Context,
    failure::Failure,
    names,
    output::{
        self, Listing,
        table::{Table, column, text, wide},
    },
};

/// A change of members that was done and is sent again is refused ("no such member"), which would read as if it had failed.
const ONCE: Again = Again::Never;

/// Runs `seawall member …`.
pub async fn run(ctx: &Context, command: MemberCommand) -> Result<(), Failure> {
    match command {
        MemberCommand::Ls => list(ctx).await,
        MemberCommand::Add { peer_address } => add(ctx, peer_address).await,
        MemberCommand::Rm { name, force } => remove(ctx, name, force).await,
        MemberCommand::Replace { name, peer_address } => replace(ctx, name, peer_address).await,
        MemberCommand::Transfer { to } => transfer(ctx, to).await,
    }
}

/// All members as one of them knows them.
pub async fn describe(ctx: &Context) -> Result<DescribeMembersResponse, Failure> {
    let request = DescribeMembersRequest { stale: ctx.global.stale };
    let ask = async |mut c: Connection, r| c.control.describe_members(r).await;
    ctx.client().await?.call(Again::Safe, request, ask).await
}

/// The word for a member's part.
pub fn role(member: &Member) -> &'static str {
    match member.role() {
        MemberRole::Leader => "leader",
        MemberRole::Voter => "voter",
        MemberRole::Learner => "learner",
        MemberRole::Unspecified => "-",
    }
}

async fn list(ctx: &Context) -> Result<(), Failure> {
    let found = describe(ctx).await?;
    listing(&found, ctx.env.wall_ms()).print(&ctx.global)
}

fn listing(found: &DescribeMembersResponse, now_ms: i64) -> Listing {
    let mut table = Table::new(&[
        column("NAME"),
        column("ZONE"),
        column("ROLE"),
        column("STATE"),
        column("CLIENTS"),
        column("PEERS"),
        column("APPLIED"),
        wide("LOG"),
        wide("CLOCK"),
        wide("VERSION"),
        text("SEEN"),
    ]);
    for member in &found.members {
        table.row([
            member.name.clone(),
            member.zone.clone(),
            role(member).to_owned(),
            if member.alive { "up".to_owned() } else { "down".to_owned() },
            member.client_address.clone(),
            member.peer_address.clone(),
            member.applied_index.to_string(),
            output::bytes(member.log_bytes),
            format!("{:+} ms", member.clock_offset_ms),
            member.version.clone(),
            output::age(member.last_seen.as_ref(), now_ms),
        ]);
    }
    Listing {
        table,
        names: found.members.iter().map(|m| m.name.clone()).collect(),
        json: output::json(found),
        items: found.members.iter().map(output::json).collect(),
        none: "no members",
    }
}

/// Refuses a name that no member has before anything is asked to change.
async fn known(ctx: &Context, name: &str) -> Result<(), Failure> {
    let members: Vec<String> = describe(ctx).await?.members.into_iter().map(|m| m.name).collect();
    if members.iter().any(|member| member == name) {
        return Ok(());
    }
    let near = names::nearest_of(name, &members);
    Err(Failure::refused(format!("member {name:?} not found ({near})")).next("seawall member ls"))
}

async fn add(ctx: &Context, peer_address: String) -> Result<(), Failure> {
    let ask = async |mut c: Connection, r| c.control.add_member(r).await;
    let request = AddMemberRequest { peer_address: peer_address.clone() };
    let Some(added) = ctx.change(ONCE, request, ask).await? else { return Ok(()) };
    let added = added.member.unwrap_or_default();
    output::done(&ctx.global, &added.name, &format!("member {} in {} added", added.name, added.zone), &added)
}

async fn remove(ctx: &Context, name: String, force: bool) -> Result<(), Failure> {
    known(ctx, &name).await?;
    ctx.confirm(&format!("remove member {name}"))?;
    let ask = async |mut c: Connection, r| c.control.remove_member(r).await;
    match ctx.change(ONCE, RemoveMemberRequest { name: name.clone(), force }, ask).await? {
        Some(_) => output::say(&format!("member {name} removed")),
        None => Ok(()),
    }
}

async fn replace(ctx: &Context, name: String, peer_address: String) -> Result<(), Failure> {
    known(ctx, &name).await?;
    ctx.confirm(&format!("replace member {name} by the server at {peer_address}"))?;
    let ask = async |mut c: Connection, r| c.control.replace_member(r).await;
    let request = ReplaceMemberRequest { name: name.clone(), peer_address };
    let Some(replaced) = ctx.change(ONCE, request, ask).await? else { return Ok(()) };
    let member = replaced.member.unwrap_or_default();
    output::done(&ctx.global, &member.name, &format!("member {name} replaced by {}", member.name), &member)
}

async fn transfer(ctx: &Context, to: Option<String>) -> Result<(), Failure> {
    if let Some(to) = &to {
        known(ctx, to).await?;
    }
    let ask = async |mut c: Connection, r| c.control.transfer_leadership(r).await;
    let Some(led) = ctx.change(ONCE, TransferLeadershipRequest { to }, ask).await? else { return Ok(()) };
    output::done(&ctx.global, &led.leader, &format!("{} leads", led.leader), &led)
}
