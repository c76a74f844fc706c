//! A track that a participant has announced, and what others are told of it once it is published.

use std::time::{SystemTime, UNIX_EPOCH};

use banter_protocol::sid::TrackSid;
use banter_protocol::token::Source;
use banter_sfu::net::{TrackFormat, TrackSpec};
use banter_sfu::{Mid, TrackKey};
use livekit_protocol::{
    AddTrackRequest, AudioTrackFeature, BackupCodecPolicy, SimulcastCodecInfo, TimedVersion, TrackInfo,
    TrackSource, TrackType, encryption,
};

use crate::signal::translate;

#[derive(Debug)]
pub(super) struct Publication {
    pub(super) track: TrackKey,
    /// The client's own name of the track.
    pub(super) cid: String,
    /// What others are told.
    pub(super) info: TrackInfo,
    stage: Stage,
    /// The publisher has been told that somebody hears the track.
    pub(super) heard: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Announced; no section of the client's SDP carries it yet.
    Pending,
    Published,
}

impl Publication {
    pub(super) fn new(track: TrackKey, sid: &TrackSid, request: &AddTrackRequest, now: SystemTime) -> Self {
        let mut info = TrackInfo {
            sid: sid.to_string(),
            r#type: TrackType::Audio.into(),
            name: request.name.clone(),
            source: translate::track_source(translate::source(request.source)).into(),
            encryption: translate::encryption(request.encryption).into(),
            disable_red: request.disable_red,
            stream: stream(request),
            backup_codec_policy: BackupCodecPolicy::Simulcast.into(),
            codecs: vec![SimulcastCodecInfo { cid: request.cid.clone(), ..SimulcastCodecInfo::default() }],
            ..TrackInfo::default()
        };
        set_features(&mut info, features(request));
        let mut publication =
            Self { track, cid: request.cid.clone(), info, stage: Stage::Pending, heard: false };
        publication.set_muted(request.muted, now);
        publication
    }

    /// What the media plane must know of the track.
    pub(super) fn spec(&self) -> TrackSpec {
        TrackSpec {
            track: self.track,
            cid: self.cid.clone(),
            label: self.info.sid.clone(),
            muted: self.info.muted,
            microphone: translate::source(self.info.source) == Source::Microphone,
            // Frames that are encrypted end to end cannot be taken out of RED or put into it.
            red: !self.info.disable_red && self.info.encryption == i32::from(encryption::Type::None),
            stereo: self.has(AudioTrackFeature::TfStereo),
            dtx: !self.has(AudioTrackFeature::TfNoDtx),
        }
    }

    pub(super) fn is_published(&self) -> bool {
        self.stage == Stage::Published
    }

    pub(super) fn is_open_microphone(&self) -> bool {
        self.is_published() && !self.info.muted && translate::source(self.info.source) == Source::Microphone
    }

    /// A section of the client's SDP carries the track. Says whether that is news.
    pub(super) fn publish(&mut self, mid: &Mid, format: TrackFormat, now: SystemTime) -> bool {
        let mime_type = translate::mime_type(format);
        let unchanged = self.is_published() && self.info.mid == mid.0 && self.info.mime_type == mime_type;
        if unchanged {
            return false;
        }
        self.stage = Stage::Published;
        self.info.mid.clone_from(&mid.0);
        mime_type.clone_into(&mut self.info.mime_type);
        for codec in &mut self.info.codecs {
            codec.mid.clone_from(&mid.0);
            mime_type.clone_into(&mut codec.mime_type);
        }
        self.touch(now);
        true
    }

    pub(super) fn set_muted(&mut self, muted: bool, now: SystemTime) {
        self.info.muted = muted;
        self.touch(now);
    }

    pub(super) fn set_features(&mut self, features: Vec<i32>, now: SystemTime) {
        set_features(&mut self.info, features);
        self.touch(now);
    }

    fn has(&self, feature: AudioTrackFeature) -> bool {
        self.info.audio_features.contains(&feature.into())
    }

    fn touch(&mut self, now: SystemTime) {
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_micro = i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX);
        self.info.version = Some(TimedVersion { unix_micro, ticks: 0 });
    }
}

/// The stream that a track plays in unison with, if the client named none.
fn stream(request: &AddTrackRequest) -> String {
    if !request.stream.is_empty() {
        return request.stream.clone();
    }
    match TrackSource::try_from(request.source) {
        Ok(TrackSource::Camera | TrackSource::Microphone) => "camera".into(),
        Ok(TrackSource::ScreenShare | TrackSource::ScreenShareAudio) => "screen".into(),
        Ok(TrackSource::Unknown) | Err(_) => String::new(),
    }
}

/// The features asked for, with those that older clients ask for by fields of their own.
#[expect(deprecated, reason = "older clients send the deprecated fields")]
fn features(request: &AddTrackRequest) -> Vec<i32> {
    let mut features = request.audio_features.clone();
    if request.stereo {
        features.push(AudioTrackFeature::TfStereo.into());
    }
    if request.disable_dtx {
        features.push(AudioTrackFeature::TfNoDtx.into());
    }
    features
}

#[expect(deprecated, reason = "older clients read the deprecated fields")]
fn set_features(info: &mut TrackInfo, mut features: Vec<i32>) {
    features.retain(|&feature| AudioTrackFeature::try_from(feature).is_ok());
    features.sort_unstable();
    features.dedup();
    info.stereo = features.contains(&AudioTrackFeature::TfStereo.into());
    info.disable_dtx = features.contains(&AudioTrackFeature::TfNoDtx.into());
    info.audio_features = features;
}
