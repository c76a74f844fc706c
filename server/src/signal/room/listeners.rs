//! Whom a publisher allows to subscribe to its tracks.

use livekit_protocol::SubscriptionPermission;

/// Everyone, unless the publisher has named some.
#[derive(Debug, Default)]
pub(super) enum Listeners {
    #[default]
    Everyone,
    Named(Vec<Listener>),
}

#[derive(Debug)]
pub(super) struct Listener {
    name: Name,
    tracks: Tracks,
}

#[derive(Debug)]
enum Name {
    Identity(String),
    Sid(String),
}

#[derive(Debug)]
enum Tracks {
    All,
    /// Sids of tracks, published or not.
    Some(Vec<String>),
}

impl Listeners {
    /// Reads a publisher's wish. `None` when an entry names nobody, which leaves the earlier wish in place.
    pub(super) fn from_message(message: SubscriptionPermission) -> Option<Self> {
        if message.all_participants {
            return Some(Self::Everyone);
        }
        message
            .track_permissions
            .into_iter()
            .map(|entry| {
                let name = match (entry.participant_identity, entry.participant_sid) {
                    (identity, _) if !identity.is_empty() => Name::Identity(identity),
                    (_, sid) if !sid.is_empty() => Name::Sid(sid),
                    _ => return None,
                };
                let tracks = if entry.all_tracks { Tracks::All } else { Tracks::Some(entry.track_sids) };
                Some(Listener { name, tracks })
            })
            .collect::<Option<Vec<_>>>()
            .map(Self::Named)
    }

    pub(super) fn allow(&self, identity: &str, participant_sid: &str, track_sid: &str) -> bool {
        match self {
            Self::Everyone => true,
            Self::Named(listeners) => listeners.iter().any(|listener| {
                listener.name.is(identity, participant_sid) && listener.tracks.contain(track_sid)
            }),
        }
    }
}

impl Name {
    fn is(&self, identity: &str, participant_sid: &str) -> bool {
        match self {
            Self::Identity(name) => name == identity,
            Self::Sid(name) => name == participant_sid,
        }
    }
}

impl Tracks {
    fn contain(&self, track_sid: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some(sids) => sids.iter().any(|sid| sid == track_sid),
        }
    }
}

#[cfg(test)]
mod tests {
    use livekit_protocol::TrackPermission;

    use super::*;

    #[test]
    fn only_those_named_may_listen() {
        let listeners = Listeners::from_message(SubscriptionPermission {
            all_participants: false,
            track_permissions: vec![
                TrackPermission {
                    participant_identity: "bob".into(),
                    all_tracks: true,
                    ..TrackPermission::default()
                },
                TrackPermission {
                    participant_sid: "PA_carol".into(),
                    track_sids: vec!["TR_1".into()],
                    ..TrackPermission::default()
                },
            ],
        })
        .expect("every entry names somebody");
        assert!(listeners.allow("bob", "PA_bob", "TR_2"));
        assert!(listeners.allow("carol", "PA_carol", "TR_1"));
        assert!(!listeners.allow("carol", "PA_carol", "TR_2"));
        assert!(!listeners.allow("dave", "PA_dave", "TR_1"));
    }

    #[test]
    fn an_entry_without_a_name_is_an_error() {
        let nobody = SubscriptionPermission {
            all_participants: false,
            track_permissions: vec![TrackPermission::default()],
        };
        assert!(Listeners::from_message(nobody).is_none());
        let everyone = SubscriptionPermission { all_participants: true, track_permissions: Vec::new() };
        assert!(Listeners::from_message(everyone).is_some_and(|listeners| listeners.allow("a", "b", "c")));
    }
}
