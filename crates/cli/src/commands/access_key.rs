//! `seawall access-key …`.

use seawall_proto::v1::{
    AccessKey, CreateAccessKeyRequest, DeleteAccessKeyRequest, ListAccessKeysRequest, SetAccessKeyStatusRequest,
};

use crate::{
    args::{AccessKeyCommand, Format},
    client::{Again, Connection},
    context::Context,
    failure::Failure,
    names,
    output::{
        self, Listing,
        table::{Table, column, text, wide},
    },
};

/// What it means that no key is left.
const NONE_LEFT: &str = "no access key is left: any signature is accepted on loopback and with --insecure, and no client \
                         at other addresses";

/// Runs `seawall access-key …`.
pub async fn run(ctx: &Context, command: AccessKeyCommand) -> Result<(), Failure> {
    match command {
        AccessKeyCommand::Create { description, ttl } => {
            create(ctx, CreateAccessKeyRequest { description, ttl_s: ttl.map(|ttl| ttl.as_secs().max(1)) }).await
        }
        AccessKeyCommand::Ls => list(ctx).await,
        AccessKeyCommand::Off { ids } => set(ctx, ids, false).await,
        AccessKeyCommand::On { ids } => set(ctx, ids, true).await,
        AccessKeyCommand::Rm { ids } => remove(ctx, ids).await,
    }
}

async fn create(ctx: &Context, request: CreateAccessKeyRequest) -> Result<(), Failure> {
    let ask = async |mut c: Connection, r| c.control.create_access_key(r).await;
    let Some(made) = ctx.change(Again::Never, request, ask).await? else { return Ok(()) };
    // The secret is shown this once, in a form for eval "$(seawall access-key create)".
    match output::effective(&ctx.global) {
        Format::Json | Format::Jsonl => output::document(&made),
        _ => {
            let id = made.key.map(|key| key.id).unwrap_or_default();
            output::say(&format!("export AWS_ACCESS_KEY_ID={id}"))?;
            output::say(&format!("export AWS_SECRET_ACCESS_KEY={}", made.secret))
        }
    }
}

async fn all(ctx: &Context) -> Result<Vec<AccessKey>, Failure> {
    let ask = async |mut c: Connection, r| c.control.list_access_keys(r).await;
    Ok(ctx.client().await?.call(Again::Safe, ListAccessKeysRequest {}, ask).await?.keys)
}

/// Whether any key exists: without one, any signature is accepted.
pub async fn exist(ctx: &Context) -> Result<bool, Failure> {
    Ok(!all(ctx).await?.is_empty())
}

async fn list(ctx: &Context) -> Result<(), Failure> {
    let keys = all(ctx).await?;
    let mut table = Table::new(&[
        column("ID"),
        column("STATUS"),
        column("EXPIRES"),
        column("CREATED"),
        text("DESCRIPTION"),
        wide("CREATED BY"),
        wide("CHANGED"),
        wide("CHANGED BY"),
    ]);
    for key in &keys {
        let time = |time: Option<&prost_types::Timestamp>, none: &str| time.map_or_else(|| none.into(), output::clock);
        table.row([
            key.id.clone(),
            if key.active { "on" } else { "off" }.to_owned(),
            time(key.expires_at.as_ref(), "never"),
            time(key.created_at.as_ref(), "-"),
            key.description.clone(),
            key.created_by.clone(),
            time(key.changed_at.as_ref(), "-"),
            key.changed_by.clone(),
        ]);
    }
    let listing = Listing {
        table,
        names: keys.iter().map(|key| key.id.clone()).collect(),
        json: serde_json::json!({ "keys": keys }),
        items: keys.iter().map(output::json).collect(),
        none: "no access keys: any signature is accepted on loopback and with --insecure. next: seawall access-key create",
    };
    listing.print(&ctx.global)
}

/// The keys that there are; a dry run asks nobody.
async fn known(ctx: &Context, ids: &[String]) -> Result<Vec<String>, Failure> {
    if ctx.global.dry_run {
        return Ok(ids.to_vec());
    }
    let known: Vec<String> = all(ctx).await?.into_iter().map(|key| key.id).collect();
    match ids.iter().find(|id| !known.contains(id)) {
        Some(id) => {
            let near = names::nearest_of(id, &known);
            Err(Failure::refused(format!("access key {id:?} not found ({near})")).next("seawall access-key ls"))
        }
        None => Ok(known),
    }
}

async fn set(ctx: &Context, ids: Vec<String>, active: bool) -> Result<(), Failure> {
    known(ctx, &ids).await?;
    let word = if active { "on" } else { "off" };
    for id in ids {
        let ask = async |mut c: Connection, r| c.control.set_access_key_status(r).await;
        let request = SetAccessKeyStatusRequest { id: id.clone(), active };
        if ctx.change(Again::Safe, request, ask).await?.is_some() {
            output::say(&format!("access key {id} is {word}"))?;
        }
    }
    Ok(())
}

async fn remove(ctx: &Context, ids: Vec<String>) -> Result<(), Failure> {
    let known = known(ctx, &ids).await?;
    let none_left = known.iter().all(|id| ids.contains(id));
    let after = if none_left { format!(" ({NONE_LEFT})") } else { String::new() };
    ctx.confirm(&format!("delete {}{after}", ids.join(", ")))?;
    for id in ids {
        let ask = async |mut c: Connection, r| c.control.delete_access_key(r).await;
        if ctx.change(Again::Safe, DeleteAccessKeyRequest { id: id.clone() }, ask).await?.is_some() {
            output::say(&format!("access key {id} deleted"))?;
        }
    }
    if none_left && !ctx.global.dry_run { output::say(NONE_LEFT) } else { Ok(()) }
}
