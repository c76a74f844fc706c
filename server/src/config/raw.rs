//! What was given where, as text: flags before environment before file before settings before defaults.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::keys::{self, Key, Setting, VARIABLE_PREFIX};
use super::livekit::{self, Source, Translation};

/// Where a value comes from, what goes before others first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    Flag,
    Environment,
    File,
    /// A LiveKit server's configuration.
    LiveKitFile,
    /// Follows from `--dev`.
    Development,
    Settings,
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::Flag => "flag",
            Origin::Environment => "environment",
            Origin::File => "file",
            Origin::LiveKitFile => "LiveKit file",
            Origin::Development => "--dev",
            Origin::Settings => "settings",
            Origin::Default => "default",
        })
    }
}

/// A value as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    pub text: String,
    pub origin: Origin,
    /// What the person who gave it called it.
    pub named: String,
}

/// Something wrong with the configuration, said to the person who wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint(pub String);

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The layers, one over the other. A layer added later does not change what an earlier one said.
#[derive(Clone, Debug, Default)]
pub struct RawConfig {
    given_by_name: BTreeMap<&'static str, Given>,
    complaints: Vec<Complaint>,
    warnings: Vec<String>,
}

impl RawConfig {
    pub fn with_flags(mut self, flags: impl IntoIterator<Item = (&'static Key, String)>) -> Self {
        for (key, text) in flags {
            self.give(key, text, Origin::Flag, format!("--{}", key.flag()));
        }
        self
    }

    /// Takes `BANTER_…` out of the environment. A variable that resembles none of ours is somebody else's: Kubernetes,
    /// for one, sets a dozen for a service of this name.
    pub fn with_environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        for (variable, text) in variables {
            let Some(name) = variable.strip_prefix(VARIABLE_PREFIX) else { continue };
            match keys::ALL.iter().find(|key| key.variable() == variable) {
                Some(_) if text.is_empty() => {}
                Some(key) => self.give(key, text, Origin::Environment, variable),
                None => {
                    if let Some(key) = keys::nearest(name) {
                        let meant = key.variable();
                        self.complain(format!(
                            "the environment variable {variable} is not known; did you mean {meant}?"
                        ));
                    }
                }
            }
        }
        self
    }

    /// Takes what a LiveKit server's configuration says in `source`.
    pub fn with_livekit(mut self, translation: &Translation, source: Source) -> Self {
        let origin = match source {
            Source::Flag => Origin::Flag,
            Source::Environment => Origin::Environment,
            Source::File => Origin::LiveKitFile,
        };
        for value in translation.values.iter().filter(|value| value.source == source) {
            self.give(value.key, value.text.clone(), origin, value.named.clone());
        }
        self
    }

    /// Takes what is wrong with a LiveKit server's configuration, and what is merely to be said of it.
    pub fn with_remarks(mut self, translation: Translation) -> Self {
        self.complaints.extend(translation.complaints);
        self.warnings.extend(translation.warnings);
        self
    }

    /// The LiveKit server's configuration file that a flag, a variable or Banter's own file names.
    pub fn livekit_file(&self) -> Option<PathBuf> {
        let own = self.given(&keys::CONFIG).map(|given| PathBuf::from(&given.text));
        let named = self.given(&keys::LIVEKIT_CONFIG).map(|given| PathBuf::from(&given.text));
        named.or(own.filter(|path| livekit::is_livekit_file(path)))
    }

    /// Reads the file that a flag or a variable names, if one does.
    pub fn with_named_file(self) -> Self {
        let Some(given) = self.given(&keys::CONFIG).cloned() else { return self };
        if livekit::is_livekit_file(Path::new(&given.text)) {
            return self;
        }
        match std::fs::read_to_string(&given.text) {
            Ok(content) => self.with_file(Path::new(&given.text), &content),
            Err(error) => {
                let mut this = self;
                this.complain(format!("the configuration file {} cannot be read: {error}", given.text));
                this
            }
        }
    }

    fn with_file(mut self, path: &Path, content: &str) -> Self {
        let shown = path.display();
        let table = match content.parse::<toml::Table>() {
            Ok(table) => table,
            Err(error) => {
                self.complain(format!("{shown} is not valid TOML: {}", error.to_string().trim()));
                return self;
            }
        };
        for (name, value) in table {
            // As in flags, dashes are fine.
            let Some(key) = Key::named(&name.replace('-', "_")).filter(|key| **key != keys::CONFIG) else {
                let hint = keys::nearest(&name).map(|key| format!("; did you mean {:?}?", key.name));
                self.complain(format!("{shown}: the key {name:?} is not known{}", hint.unwrap_or_default()));
                continue;
            };
            match text(&value) {
                Some(text) => self.give(key, text, Origin::File, key.name.to_owned()),
                None => self.complain(format!(
                    "{shown}: {name:?} has to be a text, a number, a boolean or a list of texts"
                )),
            }
        }
        self
    }

    /// Under everything that was said so far, and over the settings.
    pub fn with_development(mut self) -> Self {
        for (key, text) in [
            (&keys::BIND, "127.0.0.1"),
            (&keys::API_KEY, "devkey"),
            (&keys::API_SECRET, "secret"),
            // On one machine nobody needs it, and the next server there finds its ports free.
            (&keys::TURN_PORT, "off"),
            (&keys::TURN_TLS_PORT, "off"),
            (&keys::STUN_SERVERS, "off"),
        ] {
            self.give(key, text.to_owned(), Origin::Development, key.name.to_owned());
        }
        self
    }

    pub fn with_settings(mut self, settings: &BTreeMap<String, String>) -> Self {
        for key in keys::ALL {
            let text = match key.setting {
                Setting::None => None,
                Setting::Key(name) => settings.get(name).cloned(),
                Setting::Range(first, last) => {
                    settings.get(first).zip(settings.get(last)).map(|(first, last)| format!("{first}-{last}"))
                }
            };
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                self.give(key, text, Origin::Settings, format!("{} (in the settings)", key.name));
            }
        }
        self
    }

    /// What was said, by whoever goes first.
    pub fn given(&self, key: &Key) -> Option<&Given> {
        self.given_by_name.get(key.name)
    }

    /// The port of everything, if there is but one.
    pub fn single_port(&self) -> Option<&Given> {
        self.given(&keys::SINGLE_PORT).filter(|given| !given.text.trim().is_empty())
    }

    /// The same, down to the default. A single port is the value of every port that it stands for.
    pub fn value(&self, key: &Key) -> Given {
        if let Some(single) = self.single_port().filter(|_| keys::OF_SINGLE_PORT.contains(&key)) {
            return single.clone();
        }
        self.given(key).cloned().unwrap_or_else(|| Given {
            text: key.default.to_owned(),
            origin: Origin::Default,
            named: key.name.to_owned(),
        })
    }

    /// What an operator should know, though the configuration is usable. One sentence each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    pub fn complaints(&self) -> &[Complaint] {
        &self.complaints
    }

    fn give(&mut self, key: &Key, text: String, origin: Origin, named: String) {
        let key = Key::named(key.name).expect("every key is in the table");
        self.given_by_name.entry(key.name).or_insert(Given { text, origin, named });
    }

    fn complain(&mut self, text: String) {
        self.complaints.push(Complaint(text));
    }
}

/// A value of the file as a flag would have it.
fn text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        toml::Value::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            Some(texts?.join(","))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_layer_goes_before_those_below_it() {
        let settings = BTreeMap::from([("livekit_port".to_owned(), "4".to_owned())]);
        let file = "port = 3\n";
        let variables = || [("BANTER_PORT".to_owned(), "2".to_owned())];
        let path = Path::new("banter.toml");

        let all =
            RawConfig::default().with_flags([(&keys::PORT, "1".to_owned())]).with_environment(variables());
        assert_eq!(port(&all.with_file(path, file).with_settings(&settings)), ("1".into(), Origin::Flag));
        let three = RawConfig::default().with_environment(variables()).with_file(path, file);
        assert_eq!(port(&three.with_settings(&settings)), ("2".into(), Origin::Environment));
        let two = RawConfig::default().with_file(path, file).with_settings(&settings);
        assert_eq!(port(&two), ("3".into(), Origin::File));
        assert_eq!(port(&RawConfig::default().with_settings(&settings)), ("4".into(), Origin::Settings));
        assert_eq!(port(&RawConfig::default()), ("7880".into(), Origin::Default));
    }

    #[test]
    fn development_goes_before_settings_only() {
        let settings = BTreeMap::from([("livekit_api_key".to_owned(), "api_1".to_owned())]);
        let raw = RawConfig::default()
            .with_flags([(&keys::BIND, "::".to_owned())])
            .with_development()
            .with_settings(&settings);
        assert_eq!(raw.value(&keys::API_KEY).text, "devkey");
        assert_eq!(raw.value(&keys::BIND).text, "::");
    }

    #[test]
    fn a_range_in_the_settings_is_put_together() {
        let settings = BTreeMap::from([
            ("livekit_rtc_port_range_start".to_owned(), "40000".to_owned()),
            ("livekit_rtc_port_range_end".to_owned(), "40010".to_owned()),
        ]);
        let raw = RawConfig::default().with_settings(&settings);
        assert_eq!(raw.value(&keys::RTC_PORT_RANGE).text, "40000-40010");
    }

    #[test]
    fn unknown_keys_are_named_with_what_was_meant() {
        let raw = RawConfig::default()
            .with_file(
                Path::new("b.toml"),
                "prot = 1\nrtc = { port = 2 }\nbind = { a = 1 }\npublic-url = \"x\"\n",
            )
            .with_environment([
                ("BANTER_DATADIR".to_owned(), "x".to_owned()),
                ("BANTER_PORT_7880_TCP_ADDR".to_owned(), "10.0.0.1".to_owned()),
                ("OTHER_PORT".to_owned(), "1".to_owned()),
            ]);
        assert_eq!(raw.value(&keys::PUBLIC_URL).text, "x", "dashes are fine");
        let texts: Vec<_> = raw.complaints().iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "b.toml: \"bind\" has to be a text, a number, a boolean or a list of texts",
                "b.toml: the key \"prot\" is not known; did you mean \"port\"?",
                "b.toml: the key \"rtc\" is not known",
                "the environment variable BANTER_DATADIR is not known; did you mean BANTER_DATA_DIR?",
            ]
        );
    }

    fn port(raw: &RawConfig) -> (String, Origin) {
        let given = raw.value(&keys::PORT);
        (given.text, given.origin)
    }
}
