//! Accounts: how they come to be, prove themselves, and change.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use banter_protocol::rest::{
    InviteId, LoginRequest, PasswordRequest, RegisterRequest, Role, Session, SetupRequest, UnixMillis, User,
    UserId,
};
use rand::CryptoRng;
use rusqlite::Transaction;

use super::exclusion::{self, Exclusion};
use super::names::{NameError, Username};
use super::passwords::{HashError, Password, PasswordError, Passwords};
use super::sessions::{self, Caller, Sessions};
use super::setup::SetupCode;
use super::throttle::{Source, Throttle, Throttled};
use super::{Now, secrets};
use crate::store::{self, Database, OnConstraint, StoreError};

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Accounts {
    database: Database,
    sessions: Sessions,
    passwords: Passwords,
    setup: SetupCode,
    limits: Arc<Limits>,
}

/// Attempts that prove nothing. Those that succeed are given back.
#[derive(Debug)]
struct Limits {
    /// By the hash of the name's key: names that nobody has can be of any length.
    by_account: Throttle<[u8; 32]>,
    by_source: Throttle<Source>,
}

impl Limits {
    fn new() -> Self {
        Self {
            by_account: Throttle::new(10, Duration::from_secs(15)),
            // A household or a LAN party behind one address has more people than one.
            by_source: Throttle::new(40, Duration::from_secs(5)),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("this server is set up already; sign in, or ask its owner for an invite")]
    Done,
    #[error("the set-up code is not right; use the link that the server printed when it last started")]
    CodeInvalid,
    #[error(transparent)]
    Throttled(#[from] Throttled),
    #[error(transparent)]
    Account(#[from] AccountError),
}

#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    #[error("the invite has expired, is used up or was withdrawn; ask for a new one")]
    InviteInvalid,
    #[error(transparent)]
    Excluded(#[from] Exclusion),
    #[error(transparent)]
    Throttled(#[from] Throttled),
    #[error(transparent)]
    Account(#[from] AccountError),
}

/// Why an account cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error("somebody already has this name; choose another")]
    NameTaken,
    #[error(transparent)]
    Hash(#[from] HashError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    #[error("the name or the password is wrong; check both and try again")]
    InvalidCredentials,
    #[error(transparent)]
    Excluded(#[from] Exclusion),
    #[error(transparent)]
    Throttled(#[from] Throttled),
    #[error(transparent)]
    Hash(#[from] HashError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug, thiserror::Error)]
pub enum ChangePasswordError {
    #[error("the current password is wrong; type it again")]
    InvalidCredentials,
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Throttled(#[from] Throttled),
    #[error(transparent)]
    Hash(#[from] HashError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an operator's change to an account fails.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    #[error("there is no account with the name {0:?}; `banter user list` shows all")]
    Unknown(String),
    #[error("{0:?} is the only owner, and a server needs one; make somebody else owner first")]
    LastOwner(String),
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl From<StoreError> for SetupError {
    fn from(error: StoreError) -> Self {
        AccountError::from(error).into()
    }
}

impl From<StoreError> for RegisterError {
    fn from(error: StoreError) -> Self {
        AccountError::from(error).into()
    }
}

impl From<StoreError> for OperatorError {
    fn from(error: StoreError) -> Self {
        AccountError::from(error).into()
    }
}

impl Accounts {
    pub fn new(database: Database, sessions: Sessions, passwords: Passwords, setup: SetupCode) -> Self {
        Self { database, sessions, passwords, setup, limits: Arc::new(Limits::new()) }
    }

    pub async fn setup_needed(&self) -> Result<bool, StoreError> {
        Ok(!self.database.read(|tx| store::users::owner_exists(tx)).await?)
    }

    /// Makes the first owner and signs them in.
    pub async fn set_up(
        &self,
        request: SetupRequest,
        from: IpAddr,
        now: Now,
        rng: &mut (impl CryptoRng + Send),
    ) -> Result<Session, SetupError> {
        self.limits.by_source.take(from.into(), now.monotonic)?;
        if !self.setup_needed().await? {
            return Err(SetupError::Done);
        }
        if !self.setup.fits(&request.code) {
            return Err(SetupError::CodeInvalid);
        }
        let new = self.new_account(&request.username, &request.password, rng).await?;
        let token = secrets::token(rng);
        let session = self
            .database
            .write(move |tx| {
                if store::users::owner_exists(tx)? {
                    return Err(SetupError::Done);
                }
                let user = new.insert(tx, Role::Owner, now.wall)?;
                Ok(sessions::begin(tx, token, user, from, now.wall)?)
            })
            .await?;
        self.limits.by_source.give_back(&from.into());
        Ok(session)
    }

    /// Makes a member out of who holds an invite, and signs them in. Somebody who was kicked takes up the old account again
    /// by its name and password.
    pub async fn register(
        &self,
        request: RegisterRequest,
        from: IpAddr,
        now: Now,
        rng: &mut (impl CryptoRng + Send),
    ) -> Result<Session, RegisterError> {
        self.limits.by_source.take(from.into(), now.monotonic)?;
        let code = secrets::hash(&request.invite);
        let key = Username::key_of(&request.username);
        // Before the hash, so that strangers cannot keep the processor busy; it is the write below that counts.
        let former = self
            .database
            .read(move |tx| {
                store::invites::usable(tx, &code, now.wall)?.ok_or(RegisterError::InviteInvalid)?;
                refuse(exclusion::of_address(tx, from, now.wall)?)?;
                Ok::<_, RegisterError>(former_member(tx, &key)?)
            })
            .await?;
        let session = match former {
            Some((user, hash)) => self.take_up(user, hash, &request, from, now, rng).await?,
            None => {
                let new = self.new_account(&request.username, &request.password, rng).await?;
                let token = secrets::token(rng);
                self.database
                    .write(move |tx| {
                        let invite = use_invite(tx, &code, from, now.wall)?;
                        let user = new.insert(tx, Role::Member, now.wall)?;
                        store::invites::record_use(tx, &invite, &user.id, now.wall)?;
                        Ok::<_, RegisterError>(sessions::begin(tx, token, user, from, now.wall)?)
                    })
                    .await?
            }
        };
        self.limits.by_source.give_back(&from.into());
        Ok(session)
    }

    async fn take_up(
        &self,
        former: User,
        hash: Option<String>,
        request: &RegisterRequest,
        from: IpAddr,
        now: Now,
        rng: &mut (impl CryptoRng + Send),
    ) -> Result<Session, RegisterError> {
        let account = secrets::hash(&Username::key_of(&former.username));
        self.limits.by_account.take(account, now.monotonic)?;
        let proved = self.passwords.verify(Password::given(&request.password), hash).await;
        if !proved.map_err(AccountError::from)? {
            return Err(AccountError::NameTaken.into());
        }
        let (code, token) = (secrets::hash(&request.invite), secrets::token(rng));
        let session = self
            .database
            .write(move |tx| {
                let invite = use_invite(tx, &code, from, now.wall)?;
                store::standing::restore(tx, &former.id)?;
                let standing = store::standing::of(tx, &former.id)?.ok_or(AccountError::NameTaken)?;
                refuse(exclusion::of_person(tx, &standing, Some(from), now.wall)?)?;
                store::invites::record_use(tx, &invite, &former.id, now.wall)?;
                Ok::<_, RegisterError>(sessions::begin(tx, token, standing.member.user, from, now.wall)?)
            })
            .await?;
        self.limits.by_account.give_back(&account);
        Ok(session)
    }

    /// Signs in. Unknown names take as long as wrong passwords.
    pub async fn log_in(
        &self,
        request: LoginRequest,
        from: IpAddr,
        now: Now,
        rng: &mut (impl CryptoRng + Send),
    ) -> Result<Session, LoginError> {
        let key = Username::key_of(&request.username);
        self.limits.by_source.take(from.into(), now.monotonic)?;
        let account = secrets::hash(&key);
        self.limits.by_account.take(account, now.monotonic)?;
        let found = self.database.read(move |tx| with_hash(tx, &key)).await?;
        let (user, hash) = found.unzip();
        if !self.passwords.verify(Password::given(&request.password), hash.flatten()).await? {
            return Err(LoginError::InvalidCredentials);
        }
        let user: User = user.ok_or(LoginError::InvalidCredentials)?;
        let token = secrets::token(rng);
        let session = self
            .database
            .write(move |tx| {
                let standing = store::standing::of(tx, &user.id)?.ok_or(LoginError::InvalidCredentials)?;
                refuse(exclusion::of_person(tx, &standing, Some(from), now.wall)?)?;
                Ok::<_, LoginError>(sessions::begin(tx, token, user, from, now.wall)?)
            })
            .await?;
        self.limits.by_account.give_back(&account);
        self.limits.by_source.give_back(&from.into());
        Ok(session)
    }

    /// Changes the caller's own password and ends their other sessions.
    pub async fn change_password(
        &self,
        caller: &Caller,
        request: PasswordRequest,
        now: Now,
        rng: &mut (impl CryptoRng + Send),
    ) -> Result<(), ChangePasswordError> {
        let new = Password::parse(&request.new_password)?;
        let account = secrets::hash(&Username::key_of(&caller.user.username));
        self.limits.by_account.take(account, now.monotonic)?;
        let id = caller.user.id.clone();
        let hash = self.database.read(move |tx| store::users::password_hash(tx, &id)).await?;
        if !self.passwords.verify(Password::given(&request.current_password), hash).await? {
            return Err(ChangePasswordError::InvalidCredentials);
        }
        self.limits.by_account.give_back(&account);
        let hash = self.passwords.hash(new, rng).await?;
        let Caller { user, session } = caller.clone();
        self.database
            .write(move |tx| {
                store::users::set_password_hash(tx, &user.id, &hash, now.wall)?;
                sessions::end_others(tx, &user.id, Some(session))
            })
            .await?;
        self.sessions.announce_end();
        Ok(())
    }

    /// Everyone, oldest account first.
    pub async fn list(&self) -> Result<Vec<User>, StoreError> {
        self.database.read(|tx| store::users::all(tx)).await
    }

    async fn new_account(
        &self,
        username: &str,
        password: &str,
        rng: &mut (impl CryptoRng + Send),
    ) -> Result<NewAccount, AccountError> {
        NewAccount::prepare(&self.passwords, username, password, rng).await
    }
}

/// Makes an account at the command line.
pub async fn add(
    database: &Database,
    passwords: &Passwords,
    username: &str,
    password: &str,
    role: Role,
    now: UnixMillis,
    rng: &mut (impl CryptoRng + Send),
) -> Result<User, OperatorError> {
    let new = NewAccount::prepare(passwords, username, password, rng).await?;
    Ok(database.write(move |tx| new.insert(tx, role, now)).await?)
}

/// Sets somebody's password at the command line and ends all their sessions.
pub async fn set_password(
    database: &Database,
    passwords: &Passwords,
    username: &str,
    password: &str,
    now: UnixMillis,
    rng: &mut (impl CryptoRng + Send),
) -> Result<User, OperatorError> {
    let password = Password::parse(password).map_err(AccountError::from)?;
    let hash = passwords.hash(password, rng).await.map_err(AccountError::from)?;
    let username = username.to_owned();
    database
        .write(move |tx| {
            let user = named(tx, username)?;
            store::users::set_password_hash(tx, &user.id, &hash, now)?;
            sessions::end_others(tx, &user.id, None)?;
            Ok(user)
        })
        .await
}

/// Gives somebody a role at the command line. The last owner stays owner.
pub async fn set_role(database: &Database, username: &str, role: Role) -> Result<User, OperatorError> {
    let username = username.to_owned();
    database
        .write(move |tx| {
            let user = named(tx, username)?;
            store::users::set_role(tx, &user.id, role)
                .on_abort("last owner", || OperatorError::LastOwner(user.username.clone()))?;
            Ok(User { role, ..user })
        })
        .await
}

fn named(tx: &Transaction<'_>, username: String) -> Result<User, OperatorError> {
    store::users::by_name_key(tx, &Username::key_of(&username))?.ok_or(OperatorError::Unknown(username))
}

/// The account of this name whose membership has ended.
fn former_member(tx: &Transaction<'_>, name_key: &str) -> Result<Option<(User, Option<String>)>, StoreError> {
    let Some((user, hash)) = with_hash(tx, name_key)? else { return Ok(None) };
    let removed = store::standing::of(tx, &user.id)?.is_some_and(|standing| standing.removed);
    Ok(removed.then_some((user, hash)))
}

fn use_invite(
    tx: &Transaction<'_>,
    code: &[u8; 32],
    from: IpAddr,
    now: UnixMillis,
) -> Result<InviteId, RegisterError> {
    refuse(exclusion::of_address(tx, from, now)?)?;
    store::invites::take_use(tx, code, now)?.ok_or(RegisterError::InviteInvalid)
}

fn refuse(exclusion: Option<Exclusion>) -> Result<(), Exclusion> {
    exclusion.map_or(Ok(()), Err)
}

fn with_hash(tx: &Transaction<'_>, name_key: &str) -> Result<Option<(User, Option<String>)>, StoreError> {
    let Some(user) = store::users::by_name_key(tx, name_key)? else { return Ok(None) };
    let hash = store::users::password_hash(tx, &user.id)?;
    Ok(Some((user, hash)))
}

/// An account that is fit to be written, but for its name being free.
struct NewAccount {
    id: UserId,
    username: Username,
    hash: String,
}

impl NewAccount {
    async fn prepare(
        passwords: &Passwords,
        username: &str,
        password: &str,
        rng: &mut (impl CryptoRng + Send),
    ) -> Result<Self, AccountError> {
        let username = Username::parse(username)?;
        let password = Password::parse(password)?;
        let hash = passwords.hash(password, rng).await?;
        Ok(Self { id: UserId::new(secrets::id(rng)), username, hash })
    }

    fn insert(self, tx: &Transaction<'_>, role: Role, now: UnixMillis) -> Result<User, AccountError> {
        let user = User { id: self.id, username: self.username.as_str().to_owned(), role, created_at: now };
        store::users::insert(tx, &user, self.username.key())
            .on_unique("users.name_key", || AccountError::NameTaken)?;
        store::users::set_password_hash(tx, &user.id, &self.hash, now)?;
        Ok(user)
    }
}
