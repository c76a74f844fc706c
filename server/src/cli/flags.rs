//! Flags made from the table of configuration keys.

use std::collections::BTreeMap;

use clap::error::Error;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::config::keys::{self, Exposure, Key};
use crate::config::livekit::{self, Known, LiveKit, Meaning, Source};
use crate::config::{Config, InvalidConfig, RawConfig};

/// Every key that may be a flag.
#[derive(Clone, Debug)]
pub struct AllFlags(Flags);

/// Where the data is, for commands that only need that.
#[derive(Clone, Debug)]
pub struct FolderFlags(Flags);

#[derive(Clone, Debug)]
struct Flags {
    own: Vec<(&'static Key, String)>,
    /// Those of a LiveKit server, by name.
    livekit: Vec<(&'static str, String)>,
}

impl AllFlags {
    /// Flags, environment and file. The settings are in the data folder, which this says where to find.
    pub fn raw_config(self) -> RawConfig {
        self.0.raw_config()
    }
}

impl FolderFlags {
    pub fn raw_config(self) -> RawConfig {
        self.0.raw_config()
    }
}

impl Flags {
    fn raw_config(self) -> RawConfig {
        let variables: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let own = RawConfig::default().with_flags(self.own.clone()).with_environment(variables.clone());
        let livekit = LiveKit::default()
            .with_flags(self.livekit)
            .with_environment(variables.clone())
            .with_file(own.with_named_file().livekit_file().as_deref())
            .translate();
        let raw = RawConfig::default()
            .with_flags(self.own)
            .with_livekit(&livekit, Source::Flag)
            .with_environment(variables)
            .with_livekit(&livekit, Source::Environment)
            .with_named_file()
            .with_livekit(&livekit, Source::File)
            .with_remarks(livekit);
        if raw.is_development() { raw.with_development() } else { raw }
    }
}

/// Puts the settings under what was given otherwise, and checks all of it.
pub fn resolve(raw: &RawConfig, settings: &BTreeMap<String, String>) -> Result<Config, InvalidConfig> {
    Config::try_from(&raw.clone().with_settings(settings))
}

fn all_keys() -> impl Iterator<Item = &'static Key> {
    keys::ALL.iter().copied().filter(|key| key.exposure == Exposure::Everywhere)
}

fn folder_keys() -> impl Iterator<Item = &'static Key> {
    [&keys::CONFIG, &keys::LIVEKIT_CONFIG, &keys::DATA_DIR].into_iter()
}

fn arg(key: &'static Key) -> Arg {
    let default = if key.default.is_empty() || *key == keys::DEV {
        String::new()
    } else {
        format!(" [default: {}]", key.default)
    };
    let arg = Arg::new(key.name)
        .long(key.flag())
        .value_name(key.value_name)
        .help(format!("{}{default} [env: {}]", key.help, key.variable()))
        .action(ArgAction::Set);
    if *key == keys::DEV {
        switch(arg)
    } else if *key == keys::BIND {
        arg.action(ArgAction::Append)
    } else {
        arg
    }
}

fn switch(arg: Arg) -> Arg {
    arg.num_args(0..=1).require_equals(true).default_missing_value("true").hide_possible_values(true)
}

/// The flags of a LiveKit server that are not Banter's as well. They work, and the help does not mention them.
fn livekit_flags() -> impl Iterator<Item = &'static str> {
    let named = livekit::FLAGS.iter().map(|(flag, _)| *flag);
    let paths = livekit::known().filter(|known| known.meaning != Meaning::Moot && !known.is_group());
    let paths = paths.map(|known: &Known| known.path);
    let own = |flag: &&str| !keys::ALL.iter().any(|key| key.flag() == *flag);
    let twice = |flag: &&str| livekit::FLAGS.iter().all(|(named, _)| named != flag);
    named.chain([livekit::BODY_FLAG]).chain(paths.filter(twice)).filter(own)
}

/// No key of Banter's has such a name.
fn livekit_id(flag: &str) -> String {
    format!("livekit {flag}")
}

fn livekit_arg(flag: &'static str) -> Arg {
    let arg = Arg::new(livekit_id(flag)).long(flag).hide(true).action(ArgAction::Set);
    if livekit::SWITCHES.contains(&flag) { switch(arg) } else { arg }
}

fn take(matches: &ArgMatches, keys: impl Iterator<Item = &'static Key>) -> Flags {
    let given = keys.filter(|key| matches.value_source(key.name) == Some(ValueSource::CommandLine));
    let text = |key: &Key| {
        let texts: Vec<&str> = matches.get_many::<String>(key.name)?.map(String::as_str).collect();
        Some(texts.join(","))
    };
    Flags { own: given.filter_map(|key| Some((key, text(key)?))).collect(), livekit: Vec::new() }
}

fn take_livekit(matches: &ArgMatches) -> Vec<(&'static str, String)> {
    livekit_flags()
        .filter_map(|flag| Some((flag, matches.get_one::<String>(&livekit_id(flag))?.clone())))
        .collect()
}

impl Args for AllFlags {
    fn augment_args(command: Command) -> Command {
        command.args(all_keys().map(arg)).args(livekit_flags().map(livekit_arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for AllFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Ok(Self(Flags { livekit: take_livekit(matches), ..take(matches, all_keys()) }))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for FolderFlags {
    fn augment_args(command: Command) -> Command {
        command.args(folder_keys().map(arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for FolderFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Ok(Self(take(matches, folder_keys())))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
