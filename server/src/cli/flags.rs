//! Flags made from the table of configuration keys.

use std::collections::BTreeMap;

use clap::error::Error;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::config::keys::{self, Exposure, Key};
use crate::config::{Config, InvalidConfig, RawConfig};

/// Every key that may be a flag.
#[derive(Clone, Debug)]
pub struct AllFlags(Flags);

/// Where the data is, for commands that only need that.
#[derive(Clone, Debug)]
pub struct FolderFlags(Flags);

#[derive(Clone, Debug)]
struct Flags(Vec<(&'static Key, String)>);

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
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let raw = RawConfig::default().with_flags(self.0).with_environment(variables).with_named_file();
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
    [&keys::CONFIG, &keys::DATA_DIR].into_iter()
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
        arg.num_args(0..=1).require_equals(true).default_missing_value("true").hide_possible_values(true)
    } else {
        arg
    }
}

fn take(matches: &ArgMatches, keys: impl Iterator<Item = &'static Key>) -> Flags {
    let given = keys.filter(|key| matches.value_source(key.name) == Some(ValueSource::CommandLine));
    Flags(given.filter_map(|key| Some((key, matches.get_one::<String>(key.name)?.clone()))).collect())
}

impl Args for AllFlags {
    fn augment_args(command: Command) -> Command {
        command.args(all_keys().map(arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for AllFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Ok(Self(take(matches, all_keys())))
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
