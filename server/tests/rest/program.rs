//! The program as a command.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The program with nothing configured but what a test says.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_banter"));
    for (name, _) in std::env::vars_os() {
        if ["BANTER_", "LIVEKIT_"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command.args(arguments);
    command
}

/// Runs a command to its end.
pub fn run(arguments: &[&str]) -> Finished {
    run_with_input(arguments, "")
}

pub fn run_with_input(arguments: &[&str], input: &str) -> Finished {
    let mut child = command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // A command that fails early does not read its input.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    Finished::from(child.wait_with_output().expect("the program ends"))
}

/// Makes an account as an operator would.
pub fn add_user(data: &Path, name: &str, role: &str, password: &str) {
    let data = data.to_str().expect("temporary folders are UTF-8");
    let arguments = ["user", "add", name, "--role", role, "--password-stdin", "--data-dir", data];
    run_with_input(&arguments, &format!("{password}\n")).succeeded();
}

/// What a command left behind.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    pub fn succeeded(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }

    pub fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        self.stderr
    }
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the program speaks UTF-8");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}
