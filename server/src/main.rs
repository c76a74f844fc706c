//! The program. Everything is in the library, so that the desktop app can host a server as well.

fn main() -> std::process::ExitCode {
    banter_server::cli::run()
}
