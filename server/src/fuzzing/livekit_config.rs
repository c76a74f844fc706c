//! A LiveKit server's configuration on its way into ours.

use crate::config::livekit::{BODY_FLAG, LiveKit, Source};
use crate::config::{Config, RawConfig, keys};

/// Whatever the file says, there is a configuration or a complaint, and what is said of it fits on lines.
pub fn livekit_config(text: &str) {
    // A file of keys would be read from this machine.
    if text.contains("key_file") {
        return;
    }
    let translation =
        LiveKit::default().with_flags([(BODY_FLAG, text.to_owned())]).with_file(None).translate();
    let complaints = translation.complaints.len();
    let raw = RawConfig::default()
        .with_flags([(&keys::DATA_DIR, "data".to_owned())])
        .with_livekit(&translation, Source::File)
        .with_remarks(translation);
    match Config::try_from(&raw) {
        Ok(config) => {
            assert_eq!(complaints, 0);
            assert!(!config.bind.is_empty());
            assert!(config.rtc_port_range.start() <= config.rtc_port_range.end());
        }
        Err(invalid) => assert!(!invalid.to_string().is_empty() && invalid.0.len() >= complaints),
    }
}
