//! `seawall token …`.

use seawall_proto::v1::{CreateTokenRequest, ListTokensRequest, RevokeTokenRequest, Token};

use crate::{
    args::{Format, TokenCommand},
    client::{Again, Connection},
    context::Context,
    failure::Failure,
    names,
    output::{
        self, Listing,
        table::{Table, column},
    },
};

/// Runs `seawall token …`.
pub async fn run(ctx: &Context, command: TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Create { role, ttl, uses } => {
            create(ctx, CreateTokenRequest { role, ttl_s: ttl.map(|ttl| ttl.as_secs().max(1)), uses }).await
        }
        TokenCommand::Ls => list(ctx).await,
        TokenCommand::Rm { ids } => remove(ctx, ids).await,
    }
}

async fn create(ctx: &Context, request: CreateTokenRequest) -> Result<(), Failure> {
    let ask = async |mut c: Connection, r| c.control.create_token(r).await;
    let Some(made) = ctx.change(Again::Never, request, ask).await? else { return Ok(()) };
    // The secret alone, so that TOKEN=$(seawall token create) works: it is shown this once.
    match output::effective(&ctx.global) {
        Format::Json | Format::Jsonl => output::document(&made),
        _ => output::say(&made.secret),
    }
}

async fn all(ctx: &Context) -> Result<Vec<Token>, Failure> {
    let ask = async |mut c: Connection, r| c.control.list_tokens(r).await;
    Ok(ctx.client().await?.call(Again::Safe, ListTokensRequest {}, ask).await?.tokens)
}

async fn list(ctx: &Context) -> Result<(), Failure> {
    let tokens = all(ctx).await?;
    let mut table = Table::new(&[column("ID"), column("ROLE"), column("EXPIRES"), column("USES LEFT")]);
    for token in &tokens {
        let expires = token.expires_at.as_ref().map_or_else(|| "never".to_owned(), output::clock);
        let uses = token.uses_left.map_or_else(|| "any".to_owned(), |uses| uses.to_string());
        table.row([token.id.clone(), token.role.clone(), expires, uses]);
    }
    let listing = Listing {
        table,
        names: tokens.iter().map(|token| token.id.clone()).collect(),
        json: serde_json::json!({ "tokens": tokens }),
        items: tokens.iter().map(output::json).collect(),
        none: "no tokens. next: seawall token create",
    };
    listing.print(&ctx.global)
}

async fn remove(ctx: &Context, ids: Vec<String>) -> Result<(), Failure> {
    let known: Vec<String> = all(ctx).await?.into_iter().map(|token| token.id).collect();
    for id in &ids {
        if !known.contains(id) {
            let near = names::nearest_of(id, &known);
            return Err(Failure::refused(format!("token {id:?} not found ({near})")).next("seawall token ls"));
        }
    }
    ctx.confirm(&format!("revoke {}", ids.join(", ")))?;
    for id in ids {
        let ask = async |mut c: Connection, r| c.control.revoke_token(r).await;
        if ctx.change(Again::Safe, RevokeTokenRequest { id: id.clone() }, ask).await?.is_some() {
            output::say(&format!("token {id} revoked"))?;
        }
    }
    Ok(())
}
