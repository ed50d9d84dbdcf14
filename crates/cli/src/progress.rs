//! What a command waits for, on standard error: a spinner on a terminal, a line for each change elsewhere.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::output::visible;

/// Frames a second of the spinner.
const TICK: Duration = Duration::from_millis(100);

/// A wait that tells how far it is.
pub struct Progress {
    bar: Option<ProgressBar>,
    last: String,
    quiet: bool,
}

impl Progress {
    /// Starts telling, unless `quiet`.
    pub fn new(quiet: bool) -> Self {
        let bar = (!quiet && io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed:>3} {wide_msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(TICK);
            bar
        });
        Progress { bar, last: String::new(), quiet }
    }

    /// How it stands now.
    pub fn set(&mut self, message: &str) {
        if self.quiet || message == self.last {
            return;
        }
        self.last = message.to_owned();
        let message = visible(message);
        match &self.bar {
            Some(bar) => bar.set_message(message),
            // Nobody is left to tell when standard error is closed.
            None => drop(writeln!(io::stderr(), "{message}")),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
