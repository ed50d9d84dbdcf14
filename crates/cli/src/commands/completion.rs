//! `seawall completion`.

use std::io::{self, Write as _};

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::{args::Cli, failure::Failure};

/// Writes a shell's completions to standard output.
pub fn run(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "seawall", &mut script);
    Ok(io::stdout().lock().write_all(&script)?)
}
