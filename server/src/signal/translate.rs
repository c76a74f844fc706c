//! The border between what clients say and what the room and the media plane know: ids to keys and back, and LiveKit's
//! enumerations to ours. Nothing else in the server turns one into the other.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use banter_protocol::rest::{MediaPath, MediaTransport};
use banter_protocol::sid::{AudioSource, TrackSid};
use banter_protocol::token::{Source, VideoGrant};
use banter_sfu::net::{self, ConnectionMode, ConnectionQuality, PathKind, PeerConnection, TrackFormat};
use banter_sfu::turn::stun::Family;
use banter_sfu::{Mid, ParticipantKey, TrackKey};
use livekit_protocol::client_info::Capability;
use livekit_protocol::participant_info::{Kind, KindDetail};
use livekit_protocol::{
    ClientInfo, ParticipantPermission, SessionDescription, SignalTarget, TrackSource, encryption,
};

/// Whose track it is, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TrackOwner {
    pub(super) track: TrackKey,
    pub(super) owner: ParticipantKey,
}

/// The ids of tracks in use in one room.
#[derive(Debug, Default)]
pub(super) struct Names {
    track_by_sid: BTreeMap<TrackSid, TrackOwner>,
    sid_by_track: BTreeMap<TrackKey, TrackSid>,
}

impl Names {
    pub(super) fn add_track(&mut self, sid: TrackSid, track: TrackOwner) {
        self.sid_by_track.insert(track.track, sid.clone());
        self.track_by_sid.insert(sid, track);
    }

    pub(super) fn remove_track(&mut self, track: TrackKey) {
        if let Some(sid) = self.sid_by_track.remove(&track) {
            self.track_by_sid.remove(&sid);
        }
    }

    /// The track that a client means, if it is in the room.
    pub(super) fn track(&self, sid: &str) -> Option<TrackOwner> {
        self.track_by_sid.get(&sid.parse().ok()?).copied()
    }

    /// Every track, in the order in which they were announced.
    pub(super) fn tracks(&self) -> Vec<TrackOwner> {
        self.sid_by_track.values().filter_map(|sid| self.track_by_sid.get(sid).copied()).collect()
    }

    /// Which track each section carries, as clients want to read it.
    pub(super) fn mid_to_track_id(
        &self,
        sending: &[(Mid, TrackKey)],
    ) -> impl Iterator<Item = (String, String)> {
        sending
            .iter()
            .filter_map(|(mid, track)| Some((mid.0.clone(), self.sid_by_track.get(track)?.to_string())))
    }

    /// A description for the client, with the complete map of what we send in it.
    pub(super) fn description(
        &self,
        kind: &str,
        id: u32,
        sdp: String,
        sending: &[(Mid, TrackKey)],
    ) -> SessionDescription {
        let mid_to_track_id = self.mid_to_track_id(sending).collect();
        SessionDescription { r#type: kind.to_owned(), sdp, id, mid_to_track_id }
    }
}

/// Which connection a candidate is for. With one connection there is no choice.
pub(super) fn connection(target: i32, mode: ConnectionMode) -> PeerConnection {
    match (mode, SignalTarget::try_from(target)) {
        (ConnectionMode::Dual, Ok(SignalTarget::Subscriber)) => PeerConnection::Subscriber,
        _ => PeerConnection::Publisher,
    }
}

pub(super) fn source(source: i32) -> Source {
    match TrackSource::try_from(source) {
        Ok(TrackSource::Camera) => Source::Camera,
        Ok(TrackSource::Microphone) => Source::Microphone,
        Ok(TrackSource::ScreenShare) => Source::ScreenShare,
        Ok(TrackSource::ScreenShareAudio) => Source::ScreenShareAudio,
        Ok(TrackSource::Unknown) | Err(_) => Source::Unknown,
    }
}

pub(super) fn audio_source(source: Source) -> AudioSource {
    match source {
        Source::Microphone => AudioSource::Microphone,
        Source::ScreenShareAudio => AudioSource::ScreenShare,
        Source::Camera | Source::ScreenShare | Source::Unknown => AudioSource::Other,
    }
}

pub(super) fn mime_type(format: TrackFormat) -> &'static str {
    match format {
        TrackFormat::Opus => "audio/opus",
        TrackFormat::Red => "audio/red",
    }
}

#[expect(deprecated, reason = "older clients read the deprecated fields")]
pub(super) fn permission(grant: &VideoGrant) -> ParticipantPermission {
    let sources = grant.can_publish_sources.iter().map(|source| track_source(*source).into()).collect();
    ParticipantPermission {
        can_subscribe: grant.may_subscribe(),
        can_publish: grant.may_publish(),
        can_publish_data: grant.may_publish_data(),
        can_publish_sources: sources,
        hidden: grant.hidden,
        recorder: grant.recorder,
        can_update_metadata: grant.may_update_own_metadata(),
        agent: grant.agent,
        can_subscribe_metrics: grant.can_subscribe_metrics.unwrap_or(false),
        can_manage_agent_session: grant.can_manage_agent_session.unwrap_or(false),
    }
}

/// The grant with these permissions in place of its own.
#[expect(deprecated, reason = "LiveKit still takes the deprecated fields")]
pub(super) fn permitted(grant: VideoGrant, permission: &ParticipantPermission) -> VideoGrant {
    VideoGrant {
        can_publish: Some(permission.can_publish),
        can_subscribe: Some(permission.can_subscribe),
        can_publish_data: Some(permission.can_publish_data),
        can_publish_sources: permission.can_publish_sources.iter().map(|number| source(*number)).collect(),
        can_update_own_metadata: Some(permission.can_update_metadata),
        hidden: permission.hidden,
        recorder: permission.recorder,
        agent: permission.agent,
        can_subscribe_metrics: Some(permission.can_subscribe_metrics),
        can_manage_agent_session: Some(permission.can_manage_agent_session),
        ..grant
    }
}

pub(super) fn track_source(source: Source) -> TrackSource {
    match source {
        Source::Camera => TrackSource::Camera,
        Source::Microphone => TrackSource::Microphone,
        Source::ScreenShare => TrackSource::ScreenShare,
        Source::ScreenShareAudio => TrackSource::ScreenShareAudio,
        Source::Unknown => TrackSource::Unknown,
    }
}

/// How a track's frames are encrypted. What this version does not know is not what it could read either.
pub(super) fn encryption(encryption: i32) -> encryption::Type {
    encryption::Type::try_from(encryption).unwrap_or(encryption::Type::Custom)
}

/// What a client says of itself, without what this version does not know: it is told to others, some of them in JSON,
/// and a number without a name cannot be written there.
pub(super) fn client(mut client: ClientInfo) -> ClientInfo {
    client.capabilities.retain(|&capability| Capability::try_from(capability).is_ok());
    client
}

/// The kind of participant that a token names; whatever is unknown counts as standard.
pub(super) fn participant_kind(name: &str) -> Kind {
    Kind::from_str_name(&name.to_ascii_uppercase()).unwrap_or(Kind::Standard)
}

pub(super) fn kind_details(names: &[String]) -> Vec<i32> {
    names
        .iter()
        .filter_map(|name| KindDetail::from_str_name(&name.to_ascii_uppercase()))
        .map(i32::from)
        .collect()
}

pub(super) fn connection_quality(quality: ConnectionQuality) -> livekit_protocol::ConnectionQuality {
    match quality {
        ConnectionQuality::Excellent => livekit_protocol::ConnectionQuality::Excellent,
        ConnectionQuality::Good => livekit_protocol::ConnectionQuality::Good,
        ConnectionQuality::Poor => livekit_protocol::ConnectionQuality::Poor,
        ConnectionQuality::Lost => livekit_protocol::ConnectionQuality::Lost,
    }
}

pub(super) fn media_path(path: net::MediaPath) -> MediaPath {
    MediaPath {
        transport: match path.kind {
            PathKind::Udp => MediaTransport::Udp,
            PathKind::Tcp => MediaTransport::Tcp,
            PathKind::RelayedUdp => MediaTransport::RelayUdp,
            PathKind::RelayedTcp => MediaTransport::RelayTcp,
            PathKind::RelayedTls => MediaTransport::RelayTls,
        },
        family: match path.family {
            Family::V4 => 4,
            Family::V6 => 6,
        },
        rtt_ms: path.round_trip.map(|time| u32::try_from(time.as_millis()).unwrap_or(u32::MAX)),
    }
}

pub(super) fn unix_millis(time: SystemTime) -> i64 {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_keys_find_each_other_until_removed() {
        let mut names = Names::default();
        let track = TrackOwner { track: TrackKey(7), owner: ParticipantKey(3) };
        let sid: TrackSid = "TR_AMabc".parse().expect("it is well formed");
        names.add_track(sid, track);
        assert_eq!(names.track("TR_AMabc"), Some(track));
        assert_eq!(names.track("PA_AMabc"), None);
        let sending = [(Mid("0".into()), TrackKey(7)), (Mid("1".into()), TrackKey(8))];
        let map: Vec<_> = names.mid_to_track_id(&sending).collect();
        assert_eq!(map, [("0".to_owned(), "TR_AMabc".to_owned())]);
        names.remove_track(TrackKey(7));
        assert_eq!(names.track("TR_AMabc"), None);
        assert!(names.tracks().is_empty());
    }

    #[test]
    fn candidates_of_a_single_connection_are_the_publishers() {
        let subscriber = SignalTarget::Subscriber.into();
        assert_eq!(connection(subscriber, ConnectionMode::Dual), PeerConnection::Subscriber);
        assert_eq!(connection(subscriber, ConnectionMode::Single), PeerConnection::Publisher);
    }
}
