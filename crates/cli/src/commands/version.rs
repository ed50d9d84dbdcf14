//! `seawall version`: this program and the members.

use seawall_proto::v1::DescribeMembersRequest;

use crate::{
    args::Format,
    client::{Again, Connection},
    context::Context,
    failure::{Exit, Failure},
    output,
};

/// Shows versions; without a cluster only this program's.
pub async fn run(ctx: &Context) -> Result<(), Failure> {
    let own = env!("CARGO_PKG_VERSION");
    let ask = async |mut c: Connection, r| c.control.describe_members(r).await;
    let request = DescribeMembersRequest { stale: true };
    let members = match ctx.client().await?.call(Again::Safe, request, ask).await {
        Ok(found) => found.members,
        Err(failure) if failure.exit == Exit::NoConnection => Vec::new(),
        Err(failure) => return Err(failure),
    };
    if matches!(output::effective(&ctx.global), Format::Json | Format::Jsonl) {
        let members: Vec<_> =
            members.iter().map(|m| serde_json::json!({"name": m.name, "version": m.version})).collect();
        return output::document(&serde_json::json!({ "client": own, "members": members }));
    }
    output::say(&format!("client {own}"))?;
    for member in &members {
        let skew = if member.version.is_empty() || member.version == own { "" } else { "  (differs from this client)" };
        output::say(&format!("member {} {}{skew}", member.name, output::or_dash(Some(&member.version))))?;
    }
    if members.is_empty() {
        output::say("members: none answers")?;
    }
    Ok(())
}
