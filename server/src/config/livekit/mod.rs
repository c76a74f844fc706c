//! The configuration of a LiveKit server, put into Banter's own keys: from its YAML file, its environment variables and
//! its flags.

mod known;
mod translate;

use std::path::{Path, PathBuf};

pub use known::{Known, Meaning, SWITCHES, known};
pub use translate::{Translated, Translation};

use super::raw::Complaint;
use super::yaml::{self, Node};

/// Where a value was given. What comes first counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    Flag,
    Environment,
    File,
}

/// A value under its path in LiveKit's configuration, `rtc.tcp_port` for one.
#[derive(Clone, Debug)]
struct Entry {
    path: String,
    node: Node,
    source: Source,
    /// What the person who gave it called it.
    named: String,
}

/// Everything that was given in LiveKit's words.
#[derive(Clone, Debug, Default)]
pub struct LiveKit {
    entries: Vec<Entry>,
    complaints: Vec<Complaint>,
    /// Names that mean nothing, with what was probably meant.
    unknown: Vec<(String, Option<String>)>,
    body: Option<(Source, String)>,
}

/// Flags of LiveKit's whose names are not paths, with the paths that they stand for.
pub const FLAGS: [(&str, &str); 9] = [
    ("keys", "keys"),
    ("key-file", "key_file"),
    ("node-ip", "rtc.node_ip"),
    ("udp-port", "rtc.udp_port"),
    ("region", "region"),
    ("redis-host", "redis.address"),
    ("redis-password", "redis.password"),
    ("turn-cert", "turn.cert_file"),
    ("turn-key", "turn.key_file"),
];

/// The flag, and with another name the variable, that hold a whole configuration as text.
pub const BODY_FLAG: &str = "config-body";
const BODY_VARIABLE: &str = "LIVEKIT_CONFIG";

/// Variables of LiveKit's whose names are not made from paths.
const VARIABLES: [(&str, &str); 4] = [
    ("NODE_IP", "rtc.node_ip"),
    ("UDP_PORT", "rtc.udp_port"),
    ("LIVEKIT_TURN_CERT", "turn.cert_file"),
    ("LIVEKIT_TURN_KEY", "turn.key_file"),
];

/// Variables that LiveKit's clients read, and no server.
const OF_CLIENTS: [&str; 4] = ["LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "LIVEKIT_TOKEN"];

impl LiveKit {
    /// Takes flags by their names without the dashes.
    pub fn with_flags<'a>(mut self, flags: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        for (flag, text) in flags {
            if flag == BODY_FLAG {
                self.body = Some((Source::Flag, text));
                continue;
            }
            let path = FLAGS.iter().find(|(name, _)| *name == flag).map_or(flag, |(_, path)| path);
            self.give(path, &text, Source::Flag, format!("--{flag}"));
        }
        self
    }

    pub fn with_environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        for (variable, text) in variables {
            // Kubernetes and Docker describe a service called livekit in variables of these names.
            if text.is_empty() || text.starts_with("tcp://") || text.starts_with("udp://") {
                continue;
            }
            let special = VARIABLES.iter().find(|(name, _)| *name == variable).map(|(_, path)| *path);
            if let Some(path) = special.or_else(|| path_of(&variable)) {
                self.give(path, &text, Source::Environment, variable);
            } else if variable == BODY_VARIABLE {
                self.body.get_or_insert((Source::Environment, text));
            } else if variable.starts_with("LIVEKIT_") && !OF_CLIENTS.contains(&variable.as_str()) {
                self.slip_of_variable(variable);
            }
        }
        self
    }

    /// Reads the configuration itself: the text that a flag or a variable holds, or else the file.
    pub fn with_file(mut self, file: Option<&Path>) -> Self {
        let (named, text) = match (self.body.take(), file) {
            (Some((Source::Flag, text)), _) => (format!("--{BODY_FLAG}"), Ok(text)),
            (Some(_), file) if file.is_some() => {
                self.complain(format!(
                    "{BODY_VARIABLE} and a LiveKit configuration file are both given; give one"
                ));
                return self;
            }
            (Some((_, text)), _) => (BODY_VARIABLE.to_owned(), Ok(text)),
            (None, Some(file)) => (file.display().to_string(), std::fs::read_to_string(file)),
            (None, None) => return self,
        };
        let text = match text {
            Ok(text) => text,
            Err(error) => {
                self.complain(format!("the LiveKit configuration file {named} cannot be read: {error}"));
                return self;
            }
        };
        match yaml::parse(&text) {
            Ok(Node::Null) => {}
            Ok(Node::Map(entries)) => {
                for (name, node) in entries {
                    self.walk(name, node, &named);
                }
            }
            Ok(_) => {
                self.complain(format!("{named}: there have to be names with values, such as port: 7880"))
            }
            Err(error) => self.complain(format!("{named}: {error}")),
        }
        self
    }

    /// Goes down to the keys that are known; what is under one of them belongs to its value.
    fn walk(&mut self, path: String, node: Node, file: &str) {
        match node {
            Node::Map(entries) if is_group(&path) => {
                for (name, node) in entries {
                    self.walk(format!("{path}.{name}"), node, file);
                }
            }
            Node::Null if is_group(&path) => {}
            node if Known::at(&path).is_some() => {
                let named = format!("{path} in {file}");
                self.entries.push(Entry { path, node, source: Source::File, named });
            }
            _ => {
                let meant = Known::nearest(&path).map(str::to_owned);
                self.unknown.push((path, meant));
            }
        }
    }

    fn give(&mut self, path: &str, text: &str, source: Source, named: String) {
        // LiveKit reads these as it reads its file: keys come as YAML in a text.
        let node = match path {
            "keys" => yaml::parse(text).unwrap_or_else(|error| {
                self.complain(format!("{named}: {error}"));
                Node::Null
            }),
            _ => Node::Text(text.to_owned()),
        };
        self.entries.push(Entry { path: path.to_owned(), node, source, named });
    }

    fn slip_of_variable(&mut self, variable: String) {
        let path = variable.trim_start_matches("LIVEKIT_").to_lowercase();
        let names = known::ALL.iter().map(|known| known.path.trim_end_matches(".*").replace('.', "_"));
        let close = names.filter(|name| strsim::damerau_levenshtein(name, &path) <= (name.len() / 5).max(1));
        // One that resembles none of LiveKit's is somebody else's.
        if let Some(name) = close.min_by_key(|name| strsim::damerau_levenshtein(name, &path)) {
            self.unknown.push((variable, Some(format!("LIVEKIT_{}", name.to_uppercase()))));
        }
    }

    fn complain(&mut self, text: String) {
        self.complaints.push(Complaint(text));
    }

    /// The value at `path` that counts.
    fn entry(&self, path: &str) -> Option<&Entry> {
        self.entries.iter().filter(|entry| entry.path == path).min_by_key(|entry| entry.source)
    }
}

/// `config.yaml` is LiveKit's: Banter's own files are TOML.
pub fn is_livekit_file(path: &Path) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case("yaml") || end.eq_ignore_ascii_case("yml"))
}

/// Reads the file in which secrets may be kept beside the configuration: a map from key to secret.
fn read_key_file(path: &str) -> Result<Node, String> {
    let path = PathBuf::from(path);
    let failed = |error: std::io::Error| format!("the key file {} cannot be read: {error}", path.display());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&path).map_err(failed)?.permissions().mode();
        if mode & 0o007 != 0 {
            return Err(format!(
                "the key file {0} can be read by every user of this machine; run chmod o-rwx {0}",
                path.display()
            ));
        }
    }
    let text = std::fs::read_to_string(&path).map_err(failed)?;
    yaml::parse(&text).map_err(|error| format!("the key file {}: {error}", path.display()))
}

fn is_group(path: &str) -> bool {
    known::ALL
        .iter()
        .any(|known| known.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.') && rest != ".*"))
}

fn path_of(variable: &str) -> Option<&'static str> {
    known::ALL.iter().map(|known| known.path).find(|path| Known::variable(path) == variable)
}
