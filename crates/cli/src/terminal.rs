//! What standard output and input are: a terminal of some width, or a pipe.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use crate::{failure::Failure, output::visible};

/// Columns of the terminal that standard output is; `None` where it is none.
pub fn width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    let columns = rustix::termios::tcgetwinsize(io::stdout()).map(|size| usize::from(size.ws_col)).unwrap_or(0);
    (columns > 0).then_some(columns)
}

/// Whether to colour what goes to `stream`.
pub fn colours(no_color: bool, stream: &impl io::IsTerminal) -> bool {
    !no_color && std::env::var_os("NO_COLOR").is_none() && stream.is_terminal()
}

/// Asks before something is destroyed.
///
/// # Errors
/// The answer is no, or nobody is there to ask and `--yes` is not given.
pub fn confirm(yes: bool, what: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(
            Failure::usage(format!("refusing to {what} without asking: there is no terminal")).next("add --yes")
        );
    }
    write!(io::stderr(), "{}? [y/N] ", visible(what))?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::refused("nothing was changed")),
    }
}
