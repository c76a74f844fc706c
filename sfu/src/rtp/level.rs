//! The audio level that a client measures and sends beside its audio (RFC 6464).

/// How loud one packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioLevel {
    /// The client takes it for a voice.
    pub voice: bool,
    /// Decibels below overload: 0 is the loudest, 127 is silence.
    pub below_overload: u8,
}

impl AudioLevel {
    /// Reads the value of the header extension `urn:ietf:params:rtp-hdrext:ssrc-audio-level` (RFC 6464 §3).
    pub fn from_extension(value: &[u8]) -> Option<Self> {
        // Its length is 1; the RFC wants anything more to be ignored.
        let &byte = value.first()?;
        Some(Self { voice: byte & 0x80 != 0, below_overload: byte & 0x7F })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flag_and_level_share_a_byte() {
        let level = |byte| AudioLevel::from_extension(&[byte]).unwrap();
        assert_eq!(level(0xFF), AudioLevel { voice: true, below_overload: 127 });
        assert_eq!(level(0x1E), AudioLevel { voice: false, below_overload: 30 });
        assert_eq!(AudioLevel::from_extension(&[]), None);
    }
}
