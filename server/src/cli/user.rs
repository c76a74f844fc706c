//! `banter user`: accounts, from the machine itself. Works beside a running server: SQLite keeps the two apart.

use std::io::Read;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, bail};
use banter_protocol::rest::{Ban, CreateBan, Role, User};
use clap::{Args, Subcommand};

use super::flags::FolderFlags;
use super::{folder, print};
use crate::ambient;
use crate::service::accounts;
use crate::service::moderation;
use crate::service::passwords::Passwords;
use crate::store;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make an account
    Add {
        /// Name to sign in with: 1 to 32 characters
        name: String,
        /// What the account may do: owner, admin, moderator or member
        #[arg(long, default_value = "member")]
        role: Role,
        #[command(flatten)]
        password: PasswordSource,
        #[command(flatten)]
        folder: FolderFlags,
    },
    /// Set somebody's password; all their sessions end
    Passwd {
        name: String,
        #[command(flatten)]
        password: PasswordSource,
        #[command(flatten)]
        folder: FolderFlags,
    },
    /// Give somebody a role; the last owner stays owner
    Role {
        name: String,
        /// owner, admin, moderator or member
        role: Role,
        #[command(flatten)]
        folder: FolderFlags,
    },
    /// End a membership: sessions and calls end, and the account cannot sign in until it is invited again
    Kick {
        name: String,
        /// Why; the person is told
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        folder: FolderFlags,
    },
    /// Keep a person out, or a network, or both; sessions and calls end
    Ban {
        /// Whom; may be left out with --address
        #[arg(required_unless_present = "address")]
        name: Option<String>,
        /// An address or a network, like 203.0.113.7 or 203.0.113.0/24
        #[arg(long)]
        address: Option<String>,
        /// Why; the person is told
        #[arg(long)]
        reason: Option<String>,
        /// How long; for good if it is left out
        #[arg(long, value_name = "SECONDS")]
        seconds: Option<i64>,
        #[command(flatten)]
        folder: FolderFlags,
    },
    /// Lift the ban of a person or of a network
    Unban {
        /// A name, or a network as `banter user bans` shows it
        whom: String,
        #[command(flatten)]
        folder: FolderFlags,
    },
    /// List the bans in force, newest first
    Bans {
        #[command(flatten)]
        folder: FolderFlags,
    },
    /// List all members, oldest account first
    List {
        #[command(flatten)]
        folder: FolderFlags,
    },
}

#[derive(Debug, Args)]
pub struct PasswordSource {
    /// Read the password from the first line of the standard input, and do not ask for it
    #[arg(long)]
    password_stdin: bool,
}

pub fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Add { name, role, password, folder } => {
            let password = password.read()?;
            with_database(folder, async |database| {
                let (now, passwords) = (ambient::now().wall, Passwords::new(1)?);
                let mut rng = ambient::rng();
                let user = accounts::add(database, &passwords, &name, &password, role, now, &mut rng).await?;
                print(&format!("{} is now {}\n", user.username, user.role))
            })
        }
        Command::Passwd { name, password, folder } => {
            let password = password.read()?;
            with_database(folder, async |database| {
                let (now, passwords) = (ambient::now().wall, Passwords::new(1)?);
                let mut rng = ambient::rng();
                let user =
                    accounts::set_password(database, &passwords, &name, &password, now, &mut rng).await?;
                print(&format!(
                    "The password of {} is changed and their sessions have ended\n",
                    user.username
                ))
            })
        }
        Command::Role { name, role, folder } => with_database(folder, async |database| {
            let user = accounts::set_role(database, &name, role).await?;
            print(&format!("{} is now {}\n", user.username, user.role))
        }),
        Command::Kick { name, reason, folder } => with_database(folder, async |database| {
            let user = moderation::kick(database, &name, reason.as_deref(), ambient::now().wall).await?;
            print(&format!("{} is no member any more; a new invite brings the account back\n", user.username))
        }),
        Command::Ban { name, address, reason, seconds, folder } => with_database(folder, async |database| {
            let request = CreateBan { address, reason, expires_in_seconds: seconds, ..CreateBan::default() };
            let (now, mut rng) = (ambient::now().wall, ambient::rng());
            let ban = moderation::ban(database, name.as_deref(), request, now, &mut rng).await?;
            print(&format!("banned: {}\n", whom(&ban)))
        }),
        Command::Unban { whom: name, folder } => with_database(folder, async |database| {
            let lifted = moderation::unban(database, &name, ambient::now().wall).await?;
            print(&lifted.iter().map(|ban| format!("may come in again: {}\n", whom(ban))).collect::<String>())
        }),
        Command::Bans { folder } => with_database(folder, async |database| {
            let now = ambient::now().wall;
            let bans = database.read(move |tx| store::bans::all(tx, now)).await?;
            print(&bans.iter().map(ban_line).collect::<String>())
        }),
        Command::List { folder } => with_database(folder, async |database| {
            let users = database.read(|tx| store::users::all(tx)).await?;
            print(&table(&users))
        }),
    }
}

fn with_database(
    flags: FolderFlags,
    work: impl AsyncFnOnce(&store::Database) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (_, database) = folder::open(&flags.raw_config())?;
    let outcome = folder::block_on(work(&database))?;
    database.close();
    outcome
}

impl PasswordSource {
    fn read(&self) -> anyhow::Result<String> {
        if self.password_stdin { from_stdin() } else { ask() }
    }
}

fn from_stdin() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .context("the password could not be read from the standard input")?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn ask() -> anyhow::Result<String> {
    let read = |prompt| {
        rpassword::prompt_password(prompt)
            .context("the password could not be asked for; pass it with --password-stdin")
    };
    let password = read("Password: ")?;
    if password != read("The same again: ")? {
        bail!("the two passwords differ; try again");
    }
    Ok(password)
}

fn whom(ban: &Ban) -> String {
    let both = [ban.username.as_deref(), ban.network.as_deref()];
    both.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn ban_line(ban: &Ban) -> String {
    let until = ban.expires_at.map_or_else(
        || "for good".to_owned(),
        |at| {
            let at = UNIX_EPOCH + Duration::from_millis(at.0.unsigned_abs());
            format!("until {}", httpdate::fmt_http_date(at))
        },
    );
    format!("{}  {until}  {}\n", whom(ban), ban.reason.as_deref().unwrap_or_default())
}

fn table(users: &[User]) -> String {
    let names = users.iter().map(|user| user.username.chars().count()).max().unwrap_or(0);
    users
        .iter()
        .map(|user| format!("{:names$}  {:9}  {}\n", user.username, user.role.as_str(), user.id))
        .collect()
}
