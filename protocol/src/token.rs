//! LiveKit access tokens: JWTs signed with HS256, whose claims say who may do what in which room.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, dangerous, errors::ErrorKind};
use livekit_protocol::RoomConfiguration;
use serde::{Deserialize, Deserializer, Serialize};

use crate::rest::TestPath;

/// How far two clocks may disagree about `exp` and `nbf`.
pub const LEEWAY: Duration = Duration::from_secs(60);

/// API keys with their secrets, in the order of the configuration.
#[derive(Clone)]
pub struct ApiKeys(Vec<(String, String)>);

/// What a token says, apart from its signature.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Claims {
    /// The API key that signed the token.
    #[serde(rename = "iss")]
    pub issuer: String,
    /// The participant's identity; an old token may have it in `jti` only, see [`Claims::identity`].
    #[serde(rename = "sub", skip_serializing_if = "String::is_empty")]
    pub subject: String,
    #[serde(rename = "jti", skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Seconds since the Unix epoch.
    #[serde(rename = "exp", deserialize_with = "numeric_date", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// Seconds since the Unix epoch.
    #[serde(rename = "nbf", deserialize_with = "numeric_date", skip_serializing_if = "Option::is_none")]
    pub not_before: Option<u64>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub metadata: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// LiveKit's name of the participant's kind in lower case; empty means standard.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kind_details: Vec<String>,
    /// Digest of a webhook's body.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sha256: String,
    /// Settings for the room, should this join open it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_config: Option<RoomConfiguration>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub room_preset: String,
    /// The token gives access to rooms only with this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<VideoGrant>,
    /// Set in tokens that Banter itself issues: the room must be one of its channels.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub banter_channel: bool,
    /// In tokens that Banter itself issues: the generation of the person's account. A token of an earlier one is void.
    #[serde(skip_serializing_if = "is_first")]
    pub banter_generation: u64,
    /// Set in tokens for a connection test: the room is one of its own, and its sessions are connected by this path only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub banter_test: Option<TestPath>,
}

/// What the bearer may do. Absent permissions have the defaults of the methods below.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VideoGrant {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub room_create: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub room_list: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub room_record: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub room_admin: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub room_join: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub room: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_subscribe: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish_data: Option<bool>,
    /// When not empty, only these may be published.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub can_publish_sources: Vec<Source>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_update_own_metadata: Option<bool>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ingress_admin: bool,
    /// Others do not see the participant.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub recorder: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub agent: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_subscribe_metrics: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_manage_agent_session: Option<bool>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub destination_room: String,
}

/// Where a track's media comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    Camera,
    Microphone,
    ScreenShare,
    ScreenShareAudio,
    #[serde(other)]
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token is malformed")]
    Malformed,
    #[error("the token must be signed with HS256")]
    Algorithm,
    #[error("the token's API key is unknown")]
    UnknownKey,
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the token has no expiry")]
    NoExpiry,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
}

impl ApiKeys {
    /// Takes pairs of key and secret; `None` when there is none.
    pub fn new(pairs: Vec<(String, String)>) -> Option<Self> {
        (!pairs.is_empty()).then_some(Self(pairs))
    }

    /// Checks a token's signature and times and returns what it says.
    pub fn verify(&self, token: &str, now: SystemTime) -> Result<Claims, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
        if header.alg != Algorithm::HS256 {
            return Err(TokenError::Algorithm);
        }
        let Issuer { iss } = dangerous::insecure_decode_claims(token).map_err(|_| TokenError::Malformed)?;
        let secret = self.secret(&iss).ok_or(TokenError::UnknownKey)?;
        let key = DecodingKey::from_secret(secret.as_bytes());
        let token = jsonwebtoken::decode::<Claims>(token, &key, &signature_only()).map_err(|error| {
            match error.kind() {
                ErrorKind::InvalidSignature => TokenError::Signature,
                ErrorKind::InvalidAlgorithm => TokenError::Algorithm,
                _ => TokenError::Malformed,
            }
        })?;
        token.claims.check_times(now)?;
        Ok(token.claims)
    }

    /// Signs `claims` to be valid from `now` for `ttl`, with the key they name, or else with the first one.
    pub fn sign(&self, claims: &Claims, now: SystemTime, ttl: Duration) -> String {
        let (issuer, secret) = match self.secret(&claims.issuer) {
            Some(secret) => (claims.issuer.as_str(), secret),
            None => (self.0[0].0.as_str(), self.0[0].1.as_str()),
        };
        let now = unix_seconds(now);
        let claims = Claims {
            issuer: issuer.to_owned(),
            not_before: Some(now),
            expires_at: Some(now.saturating_add(ttl.as_secs())),
            ..claims.clone()
        };
        let key = EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)
            .expect("claims are plain JSON and HS256 takes any secret")
    }

    fn secret(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, secret)| secret.as_str())
    }
}

impl std::fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(key, _)| key)).finish()
    }
}

impl Claims {
    /// What it takes to enter `room`.
    pub fn for_room(identity: &str, name: &str, room: &str) -> Self {
        Self {
            subject: identity.to_owned(),
            name: name.to_owned(),
            video: Some(VideoGrant { room_join: true, room: room.to_owned(), ..VideoGrant::default() }),
            ..Self::default()
        }
    }

    pub fn identity(&self) -> &str {
        if self.subject.is_empty() { &self.id } else { &self.subject }
    }

    fn check_times(&self, now: SystemTime) -> Result<(), TokenError> {
        let now = unix_seconds(now);
        let expires_at = self.expires_at.ok_or(TokenError::NoExpiry)?;
        if now > expires_at.saturating_add(LEEWAY.as_secs()) {
            return Err(TokenError::Expired);
        }
        let not_before = self.not_before.unwrap_or(0);
        if now.saturating_add(LEEWAY.as_secs()) < not_before {
            return Err(TokenError::NotYetValid);
        }
        Ok(())
    }
}

impl VideoGrant {
    pub fn may_publish(&self) -> bool {
        self.can_publish.unwrap_or(true)
    }

    pub fn may_publish_source(&self, source: Source) -> bool {
        self.may_publish()
            && (self.can_publish_sources.is_empty() || self.can_publish_sources.contains(&source))
    }

    pub fn may_subscribe(&self) -> bool {
        self.can_subscribe.unwrap_or(true)
    }

    pub fn may_publish_data(&self) -> bool {
        self.can_publish_data.unwrap_or_else(|| self.may_publish())
    }

    pub fn may_update_own_metadata(&self) -> bool {
        self.can_update_own_metadata.unwrap_or(false)
    }
}

/// Accounts begin with generation 0, and tokens from before there were any count as such.
fn is_first(generation: &u64) -> bool {
    *generation == 0
}

/// The one claim that must be read before the signature can be checked.
#[derive(Deserialize)]
struct Issuer {
    #[serde(default)]
    iss: String,
}

/// The times are checked here, where the clock is an argument.
fn signature_only() -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A NumericDate may have a fraction (RFC 7519 §2).
fn numeric_date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "such casts saturate")]
    Ok(Option::<f64>::deserialize(deserializer)?.map(|seconds| seconds as u64))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: u64 = 1_800_000_000;
    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_signed_token_verifies_and_says_the_same() {
        let claims = Claims {
            metadata: "m".into(),
            attributes: BTreeMap::from([("k".into(), "v".into())]),
            banter_channel: true,
            ..Claims::for_room("alice", "Alice", "lobby")
        };
        let token = keys().sign(&claims, at(NOW), HOUR);
        let read = keys().verify(&token, at(NOW)).expect("it was just signed");
        assert_eq!(read.issuer, "key1");
        assert_eq!(read.expires_at, Some(NOW + 3600));
        assert_eq!((read.identity(), read.name.as_str()), ("alice", "Alice"));
        assert_eq!(read.video, claims.video);
        assert_eq!(read.attributes, claims.attributes);
        assert!(read.banter_channel);
    }

    #[test]
    fn the_key_is_found_by_the_issuer() {
        let claims = Claims { issuer: "key2".into(), ..Claims::for_room("a", "A", "r") };
        let token = keys().sign(&claims, at(NOW), HOUR);
        assert_eq!(keys().verify(&token, at(NOW)).map(|claims| claims.issuer), Ok("key2".into()));
        let only_first = ApiKeys::new(vec![("key1".into(), "secret1".into())]).expect("one key");
        assert_eq!(only_first.verify(&token, at(NOW)), Err(TokenError::UnknownKey));
    }

    #[test]
    fn another_secret_or_a_changed_claim_is_refused() {
        let token = signed(&json!({"iss": "key1", "sub": "a", "exp": NOW}), Algorithm::HS256, "wrong");
        assert_eq!(keys().verify(&token, at(NOW)), Err(TokenError::Signature));

        let good = signed(&json!({"iss": "key1", "sub": "a", "exp": NOW}), Algorithm::HS256, "secret1");
        let other = signed(&json!({"iss": "key1", "sub": "b", "exp": NOW}), Algorithm::HS256, "secret1");
        let (head, rest) = good.split_once('.').expect("three parts");
        let (_, signature) = rest.split_once('.').expect("three parts");
        let claims = other.split('.').nth(1).expect("three parts");
        let forged = format!("{head}.{claims}.{signature}");
        assert_eq!(keys().verify(&forged, at(NOW)), Err(TokenError::Signature));
    }

    #[test]
    fn only_hs256_is_accepted() {
        let claims = json!({"iss": "key1", "sub": "a", "exp": NOW});
        let hs512 = signed(&claims, Algorithm::HS512, "secret1");
        assert_eq!(keys().verify(&hs512, at(NOW)), Err(TokenError::Algorithm));

        let hs256 = signed(&claims, Algorithm::HS256, "secret1");
        let claims = hs256.split('.').nth(1).expect("three parts");
        // {"alg":"none","typ":"JWT"}
        let none = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.");
        assert!(keys().verify(&none, at(NOW)).is_err());
    }

    #[test]
    fn expiry_is_required_and_has_a_minute_of_leeway() {
        let token = |exp: Option<u64>| {
            signed(&json!({"iss": "key1", "sub": "a", "exp": exp}), Algorithm::HS256, "secret1")
        };
        assert_eq!(keys().verify(&token(None), at(NOW)), Err(TokenError::NoExpiry));
        assert!(keys().verify(&token(Some(NOW - 60)), at(NOW)).is_ok());
        assert_eq!(keys().verify(&token(Some(NOW - 61)), at(NOW)), Err(TokenError::Expired));
    }

    #[test]
    fn not_before_is_honoured_with_a_minute_of_leeway() {
        let token = |nbf: u64| {
            let claims = json!({"iss": "key1", "sub": "a", "exp": NOW + 999, "nbf": nbf});
            signed(&claims, Algorithm::HS256, "secret1")
        };
        assert!(keys().verify(&token(NOW + 60), at(NOW)).is_ok());
        assert_eq!(keys().verify(&token(NOW + 61), at(NOW)), Err(TokenError::NotYetValid));
    }

    #[test]
    fn every_grant_is_read_and_absent_ones_have_their_defaults() {
        let claims = json!({
            "iss": "key1", "jti": "from-jti", "exp": NOW as f64 + 0.5, "kind": "agent",
            "roomConfig": {"maxParticipants": 3, "emptyTimeout": 7},
            "video": {
                "roomJoin": true, "room": "r", "canPublishSources": ["microphone", "hologram"],
                "canUpdateOwnMetadata": true, "hidden": true, "somethingNew": 1,
            },
        });
        let token = signed(&claims, Algorithm::HS256, "secret1");
        let claims = keys().verify(&token, at(NOW)).expect("it is valid");
        assert_eq!(claims.identity(), "from-jti");
        assert_eq!(claims.expires_at, Some(NOW));
        assert_eq!(claims.room_config.map(|config| config.max_participants), Some(3));
        let grant = claims.video.expect("it was given");
        assert!(grant.may_publish() && grant.may_subscribe() && grant.may_publish_data() && grant.hidden);
        assert!(grant.may_update_own_metadata());
        assert!(grant.may_publish_source(Source::Microphone));
        assert!(!grant.may_publish_source(Source::Camera));
        let silent = VideoGrant { can_publish: Some(false), ..VideoGrant::default() };
        assert!(!silent.may_publish_data() && !silent.may_publish_source(Source::Microphone));
    }

    #[test]
    fn nonsense_is_malformed() {
        for token in ["", "a", "a.b", "a.b.c", "....", "eyJhbGciOiJIUzI1NiJ9.e30."] {
            assert!(keys().verify(token, at(NOW)).is_err(), "{token}");
        }
        let odd = signed(&json!({"iss": "key1", "exp": "soon"}), Algorithm::HS256, "secret1");
        assert_eq!(keys().verify(&odd, at(NOW)), Err(TokenError::Malformed));
    }

    fn keys() -> ApiKeys {
        let pairs = vec![("key1".into(), "secret1".into()), ("key2".into(), "secret2".into())];
        ApiKeys::new(pairs).expect("two keys")
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn signed(claims: &Value, algorithm: Algorithm, secret: &str) -> String {
        jsonwebtoken::encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes()))
            .expect("claims are JSON")
    }
}
