//! What a run is about, while it lasts: one line that changes on a terminal, elsewhere a line every ten seconds.
#![expect(clippy::disallowed_methods, reason = "lines are so long apart")]

use std::cell::Cell;
use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

const APART: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Progress {
    about: String,
    is_terminal: bool,
    shown: Cell<Option<Instant>>,
}

impl Progress {
    /// `about` begins each line.
    pub fn new(about: &str) -> Self {
        Self { about: about.to_owned(), is_terminal: stderr().is_terminal(), shown: Cell::new(None) }
    }

    /// Shows a line in place of the one before, or leaves it out if one was shown just now.
    pub fn show(&self, text: &str) {
        // Who cannot be shown anything misses nothing else.
        if self.is_terminal {
            let _ = write!(stderr(), "\r\x1b[K{}: {text}", self.about);
        } else if self.shown.get().is_none_or(|shown| shown.elapsed() >= APART) {
            self.shown.set(Some(Instant::now()));
            let _ = writeln!(stderr(), "{}: {text}", self.about);
        }
    }

    /// Makes room for what is printed next.
    pub fn end(&self) {
        if self.is_terminal {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
