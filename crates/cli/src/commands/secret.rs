//! `seawall secret new`.

use std::path::Path;

use crate::{args::SecretCommand, context::Context, failure::Failure, output};

/// A secret is this long; `crates/env` derives the rest from it.
const SECRET_BYTES: usize = 32;
/// Only the owner reads it.
const SECRET_MODE: u32 = 0o600;

/// Runs `seawall secret …`.
pub fn run(ctx: &Context, command: SecretCommand) -> Result<(), Failure> {
    let SecretCommand::New { file } = command;
    create(ctx, &file)?;
    output::say(&file.display().to_string())
}

/// Makes a secret where there is none.
pub fn create(ctx: &Context, file: &Path) -> Result<(), Failure> {
    let shown = file.display();
    let refuse = |why: String| Failure::refused(format!("{shown}: {why}"));
    if ctx.env.fs().mode(file).map_err(|e| refuse(e.to_string()))?.is_some() {
        return Err(refuse("exists already, and a cluster may depend on it".into()).next("give another name"));
    }
    let mut secret = [0; SECRET_BYTES];
    ctx.env.fill_random(&mut secret);
    ctx.env.fs().write_atomic(file, &secret, SECRET_MODE).map_err(|e| refuse(e.to_string()))
}
