//! What a room is like that is opened now: what the opener asks for over its preset, over the configuration.

use std::time::Duration;

use banter_protocol::rest::TestPath;
use livekit_protocol::{CreateRoomRequest, RoomConfiguration};

use super::room::{JoinIntent, RoomSettings};
use super::{ChannelLimits, SignalConfig};

/// What the one who opens a room asks for. Zeros and empty texts leave it to others.
#[derive(Clone, Debug, Default)]
pub(super) struct Wish {
    preset: String,
    empty_timeout: u32,
    departure_timeout: u32,
    max_participants: u32,
    metadata: String,
    /// The room is to try this path.
    pub(super) test: Option<TestPath>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown room configuration {0:?}; the operator has to define it before it is used")]
pub(super) struct UnknownPreset(pub(super) String);

impl SignalConfig {
    pub(super) fn settings(
        &self,
        name: &str,
        channel: Option<&ChannelLimits>,
        wish: &Wish,
    ) -> Result<RoomSettings, UnknownPreset> {
        let preset = match wish.preset.as_str() {
            "" => RoomConfiguration::default(),
            preset => self.presets.get(preset).ok_or_else(|| UnknownPreset(preset.to_owned()))?.clone(),
        };
        let max_participants =
            first([wish.max_participants, preset.max_participants]).unwrap_or(self.max_participants);
        let metadata = if wish.metadata.is_empty() { preset.metadata } else { wish.metadata.clone() };
        let timeout = |asked, default| first(asked).map_or(default, |s| Duration::from_secs(s.into()));
        Ok(RoomSettings {
            name: name.to_owned(),
            is_channel: channel.is_some(),
            empty_timeout: timeout([wish.empty_timeout, preset.empty_timeout], self.empty_timeout),
            departure_timeout: timeout(
                [wish.departure_timeout, preset.departure_timeout],
                self.departure_timeout,
            ),
            max_participants: channel.map_or(max_participants, |channel| channel.max_participants),
            metadata,
            test: wish.test,
        })
    }
}

/// The first that says something.
fn first(asked: [u32; 2]) -> Option<u32> {
    asked.into_iter().find(|number| *number > 0)
}

impl From<&JoinIntent> for Wish {
    /// What the token brings.
    fn from(intent: &JoinIntent) -> Self {
        let asked = intent.claims.room_config.clone().unwrap_or_default();
        Self {
            preset: intent.claims.room_preset.clone(),
            empty_timeout: asked.empty_timeout,
            departure_timeout: asked.departure_timeout,
            max_participants: asked.max_participants,
            metadata: asked.metadata,
            test: intent.claims.banter_test,
        }
    }
}

impl From<CreateRoomRequest> for Wish {
    fn from(request: CreateRoomRequest) -> Self {
        Self {
            preset: request.room_preset,
            empty_timeout: request.empty_timeout,
            departure_timeout: request.departure_timeout,
            max_participants: request.max_participants,
            metadata: request.metadata,
            test: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_goes_over_its_preset_and_that_over_the_configuration() {
        let mut config = SignalConfig::new(Vec::new());
        config.max_participants = 9;
        let preset = RoomConfiguration {
            empty_timeout: 60,
            departure_timeout: 5,
            metadata: "preset".into(),
            ..RoomConfiguration::default()
        };
        config.presets.insert("stage".into(), preset);
        let wish = Wish { preset: "stage".into(), empty_timeout: 7, ..Wish::default() };
        let settings = config.settings("room", None, &wish).expect("the preset is known");
        assert_eq!(settings.empty_timeout, Duration::from_secs(7));
        assert_eq!(settings.departure_timeout, Duration::from_secs(5));
        assert_eq!((settings.max_participants, settings.metadata.as_str()), (9, "preset"));

        let channel = ChannelLimits { max_participants: 3 };
        let settings = config.settings("room", Some(&channel), &Wish::default()).expect("no preset");
        assert_eq!((settings.max_participants, settings.is_channel), (3, true));
        assert_eq!(settings.empty_timeout, config.empty_timeout);

        let wish = Wish { preset: "none".into(), ..Wish::default() };
        assert!(config.settings("room", None, &wish).is_err());
    }
}
