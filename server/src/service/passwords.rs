//! Password hashing: Argon2id on blocking threads, a bounded number at a time.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use rand::CryptoRng;
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization;

/// A password that may be set: 8 to 128 characters, in NFC, so that every keyboard's way of typing it is the same.
#[derive(Clone)]
pub struct Password(String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    #[error("the password is shorter than 8 characters; choose a longer one")]
    TooShort,
    #[error("the password is longer than 128 characters; choose a shorter one")]
    TooLong,
}

impl Password {
    pub fn parse(raw: &str) -> Result<Self, PasswordError> {
        match raw.chars().count() {
            0..8 => Err(PasswordError::TooShort),
            8..=128 => Ok(Self::given(raw)),
            _ => Err(PasswordError::TooLong),
        }
    }

    /// A password offered as proof: only compared, so nothing about it is judged. Cut where no accepted one reaches,
    /// so that its length costs nothing.
    pub fn given(raw: &str) -> Self {
        Self(raw.chars().take(129).nfc().collect())
    }
}

/// So many people are signing in that the queue is full; trying again in a moment helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    #[error("too many people are signing in at the moment; try again in a few seconds")]
    Busy,
    #[error("password hashing failed: {0}")]
    Failed(argon2::password_hash::Error),
}

/// The hashing of this process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Passwords {
    /// One hash keeps a core busy for tens of milliseconds: without a bound, a login storm would starve the audio.
    running: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    /// Stands in for the hash of a person who does not exist, so that they take as long as one who does.
    decoy: Arc<str>,
}

/// At one hash in about 30 ms, the last in the queue waits two seconds.
const QUEUE: usize = 64;

impl Passwords {
    /// `at_once` hashes run at the same time.
    pub fn new(at_once: usize) -> Result<Self, HashError> {
        let decoy = hash_with(&Password::given("decoy"), &[0; 16])?;
        Ok(Self {
            running: Arc::new(Semaphore::new(at_once)),
            queue: Arc::new(Semaphore::new(at_once + QUEUE)),
            decoy: decoy.into(),
        })
    }

    /// A PHC string (Argon2id, 19 MiB, 2 passes, 1 lane).
    pub async fn hash(&self, password: Password, rng: &mut impl CryptoRng) -> Result<String, HashError> {
        let mut salt = [0; 16];
        rng.fill_bytes(&mut salt);
        self.run(move || hash_with(&password, &salt)).await?
    }

    /// Whether the password fits. Without a hash it takes the same time and does not fit.
    pub async fn verify(&self, password: Password, hash: Option<String>) -> Result<bool, HashError> {
        let exists = hash.is_some();
        let decoy = Arc::clone(&self.decoy);
        let fits = self.run(move || fits(&password, hash.as_deref().unwrap_or(&decoy))).await?;
        Ok(fits && exists)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashError> {
        let queued = Arc::clone(&self.queue).try_acquire_owned().map_err(|_| HashError::Busy)?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(|_| HashError::Busy)?;
        // The permits move along: a caller that goes away must not let another hash start beside this one.
        let task = tokio::task::spawn_blocking(move || {
            let _permits = (queued, running);
            work()
        });
        task.await.map_err(|_| HashError::Busy)
    }
}

fn hash_with(password: &Password, salt: &[u8]) -> Result<String, HashError> {
    let hash: PasswordHash =
        Argon2::default().hash_password_with_salt(password.0.as_bytes(), salt).map_err(HashError::Failed)?;
    Ok(hash.to_string())
}

fn fits(password: &Password, hash: &str) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(password.0.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[tokio::test]
    async fn only_the_right_password_fits() {
        let passwords = Passwords::new(1).expect("hashing works");
        let right = Password::parse("correct horse").expect("long enough");
        let hash = passwords.hash(right.clone(), &mut StdRng::seed_from_u64(1)).await.expect("a hash");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_eq!(passwords.verify(right, Some(hash.clone())).await, Ok(true));
        assert_eq!(passwords.verify(Password::given("wrong"), Some(hash)).await, Ok(false));
    }

    #[tokio::test]
    async fn nobody_has_the_decoy_as_password() {
        let passwords = Passwords::new(1).expect("hashing works");
        assert_eq!(passwords.verify(Password::given("decoy"), None).await, Ok(false));
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once() {
        let passwords = Passwords::new(1).expect("hashing works");
        let _all = passwords.queue.acquire_many(1 + QUEUE as u32).await.expect("the queue");
        assert_eq!(passwords.verify(Password::given("x"), None).await, Err(HashError::Busy));
    }

    #[test]
    fn length_is_judged_in_characters() {
        assert_eq!(Password::parse("äöüäöüä").err(), Some(PasswordError::TooShort));
        assert!(Password::parse("äöüäöüäö").is_ok());
        assert_eq!(Password::parse(&"x".repeat(129)).err(), Some(PasswordError::TooLong));
    }
}
