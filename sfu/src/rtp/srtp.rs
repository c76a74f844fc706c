//! SRTP and SRTCP in place, without allocation: AES-GCM (RFC 7714) and AES-CM with HMAC-SHA1 (RFC 3711).
//!
//! The receiving side keeps what a receiver must: a rollover counter and a replay window per SSRC. The sending side of
//! RTP keeps nothing: the caller names the packet index, so that a repeated packet comes out byte for byte the same and
//! a nonce never covers two plaintexts.

mod cipher;
mod replay;
#[cfg(test)]
mod tests;

use cipher::{Cipher, Labels, MasterKey};
use replay::Streams;

use super::header::{ExtSeq, Preamble, RtpError};
use crate::Ssrc;

/// Streams (SSRCs) that one [`Inbound`] remembers, RTP and RTCP each. A participant has a handful; beyond this number
/// the one that has been silent for longest is forgotten.
pub const MAX_STREAMS: usize = 64;

/// The most that [`Outbound::seal_rtp`] adds to a packet.
pub const MAX_RTP_OVERHEAD: usize = GCM_TAG_LEN;

/// The most that [`Outbound::seal_rtcp`] adds to a packet.
pub const MAX_RTCP_OVERHEAD: usize = GCM_TAG_LEN + RTCP_INDEX_LEN;

const GCM_TAG_LEN: usize = 16; // RFC 7714 §13.2
const SHA1_80_TAG_LEN: usize = 10; // RFC 3711 §4.2.1
const RTCP_INDEX_LEN: usize = 4; // RFC 3711 §3.4
const RTCP_HEADER_LEN: usize = 8; // sent in the clear, RFC 3711 §3.4
const RTCP_ENCRYPTED: u32 = 1 << 31; // the E flag, RFC 3711 §3.4
const INDEX_END: u64 = 1 << 48; // RFC 3711 §3.3.1
const GCM_SALT_LEN: usize = 12; // RFC 7714 §12
const CM_SALT_LEN: usize = 14; // RFC 3711 §8.2
const SHA1_KEY_LEN: usize = 20; // RFC 3711 §8.2

/// A protection profile of DTLS-SRTP (RFC 5764 §4.1.2, RFC 7714 §14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SrtpProfile {
    AeadAes256Gcm,
    AeadAes128Gcm,
    Aes128CmHmacSha1_80,
}

impl SrtpProfile {
    /// Bytes to export from DTLS: two master keys and two master salts.
    pub const fn keying_material_len(self) -> usize {
        2 * (self.key_len() + self.salt_len())
    }

    const fn key_len(self) -> usize {
        match self {
            Self::AeadAes256Gcm => 32,
            Self::AeadAes128Gcm | Self::Aes128CmHmacSha1_80 => 16,
        }
    }

    const fn salt_len(self) -> usize {
        match self {
            Self::AeadAes256Gcm | Self::AeadAes128Gcm => GCM_SALT_LEN,
            Self::Aes128CmHmacSha1_80 => CM_SALT_LEN,
        }
    }
}

impl TryFrom<dimpl::SrtpProfile> for SrtpProfile {
    type Error = UnsupportedProfile;

    fn try_from(profile: dimpl::SrtpProfile) -> Result<Self, UnsupportedProfile> {
        match profile {
            dimpl::SrtpProfile::AEAD_AES_256_GCM => Ok(Self::AeadAes256Gcm),
            dimpl::SrtpProfile::AEAD_AES_128_GCM => Ok(Self::AeadAes128Gcm),
            dimpl::SrtpProfile::AES128_CM_SHA1_80 => Ok(Self::Aes128CmHmacSha1_80),
            other => Err(UnsupportedProfile(other)),
        }
    }
}

/// DTLS agreed on a protection profile that is not implemented here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("SRTP profile {0} is not supported")]
pub struct UnsupportedProfile(dimpl::SrtpProfile);

/// Which end of the DTLS handshake we were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtlsRole {
    Client,
    Server,
}

/// Why a packet was not opened or sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SrtpError {
    #[error("not an RTP packet: {0}")]
    Rtp(#[from] RtpError),
    #[error("the packet is too short to be protected")]
    Short,
    #[error("the packet was received before or is too old to tell")]
    Replayed,
    #[error("the packet is not authentic")]
    NotAuthentic,
    #[error("the RTCP packet is not encrypted")]
    NotEncrypted,
    #[error("the buffer has no room for the authentication tag")]
    NoRoom,
    #[error("the key has protected as many packets as it may")]
    KeyExhausted,
}

/// DTLS exported a number of bytes that does not belong to the profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{actual} bytes of SRTP keying material where {expected} are needed")]
pub struct KeyingMaterialError {
    pub expected: usize,
    pub actual: usize,
}

/// The master keys of one DTLS-SRTP association, by direction.
#[derive(Clone)]
pub struct SrtpKeys {
    profile: SrtpProfile,
    local: MasterKey,
    remote: MasterKey,
}

impl SrtpKeys {
    /// Splits the keying material that DTLS exported: client key, server key, client salt, server salt
    /// (RFC 5764 §4.2).
    pub fn from_dtls(
        profile: SrtpProfile,
        material: &[u8],
        role: DtlsRole,
    ) -> Result<Self, KeyingMaterialError> {
        let expected = profile.keying_material_len();
        if material.len() != expected {
            return Err(KeyingMaterialError { expected, actual: material.len() });
        }
        let (keys, salts) = material.split_at(2 * profile.key_len());
        let (client_key, server_key) = keys.split_at(profile.key_len());
        let (client_salt, server_salt) = salts.split_at(profile.salt_len());
        let client = MasterKey::new(client_key, client_salt);
        let server = MasterKey::new(server_key, server_salt);
        Ok(match role {
            DtlsRole::Client => Self { profile, local: client, remote: server },
            DtlsRole::Server => Self { profile, local: server, remote: client },
        })
    }

    pub fn profile(&self) -> SrtpProfile {
        self.profile
    }

    /// What the peer sends to us.
    pub fn inbound(&self) -> Inbound {
        Inbound {
            rtp: Cipher::derive(self.profile, &self.remote, Labels::RTP),
            rtcp: Cipher::derive(self.profile, &self.remote, Labels::RTCP),
            rtp_streams: Streams::default(),
            rtcp_streams: Streams::default(),
        }
    }

    /// What we send to the peer. Make it once per association: a second one would use RTCP indices again.
    pub fn outbound(&self) -> Outbound {
        Outbound {
            rtp: Cipher::derive(self.profile, &self.local, Labels::RTP),
            rtcp: Cipher::derive(self.profile, &self.local, Labels::RTCP),
            next_rtcp_index: 1,
        }
    }
}

impl std::fmt::Debug for SrtpKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SrtpKeys").field("profile", &self.profile).finish_non_exhaustive()
    }
}

/// An RTP packet that was opened in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Length of the packet with header and without tag: what to read with [`super::RtpView::parse`].
    pub len: usize,
    pub index: ExtSeq,
}

/// Opens what one peer sends.
pub struct Inbound {
    rtp: Cipher,
    rtcp: Cipher,
    rtp_streams: Streams,
    rtcp_streams: Streams,
}

impl Inbound {
    /// Checks and decrypts an SRTP packet in place. After an error the bytes are undefined.
    pub fn open_rtp(&mut self, packet: &mut [u8]) -> Result<Opened, SrtpError> {
        let Preamble { header_len, seq, ssrc } = Preamble::parse(packet)?;
        let index = match self.rtp_streams.find(ssrc) {
            Some(stream) => {
                let index = ExtSeq(stream.window.highest).estimate(seq);
                stream.window.check(index.0)?;
                index
            }
            None => ExtSeq::first(seq),
        };
        let len = self.rtp.open_rtp(packet, header_len, ssrc, index)?;
        self.rtp_streams.accept(ssrc, index.0);
        Ok(Opened { len, index })
    }

    /// Checks and decrypts an SRTCP packet in place and returns the length of the compound packet. After an error the
    /// bytes are undefined.
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let (ssrc, trailer) = self.rtcp.split_rtcp(packet)?;
        if trailer & RTCP_ENCRYPTED == 0 {
            return Err(SrtpError::NotEncrypted);
        }
        let index = u64::from(trailer & !RTCP_ENCRYPTED);
        if let Some(stream) = self.rtcp_streams.find(ssrc) {
            stream.window.check(index)?;
        }
        let len = self.rtcp.open_rtcp(packet, ssrc, trailer)?;
        self.rtcp_streams.accept(ssrc, index);
        Ok(len)
    }
}

impl std::fmt::Debug for Inbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbound").field("streams", &self.rtp_streams.streams.len()).finish_non_exhaustive()
    }
}

/// Seals what we send to one peer.
pub struct Outbound {
    rtp: Cipher,
    rtcp: Cipher,
    next_rtcp_index: u32,
}

impl Outbound {
    /// Bytes that [`Outbound::seal_rtp`] adds.
    pub fn rtp_overhead(&self) -> usize {
        self.rtp.tag_len()
    }

    /// Encrypts the RTP packet in the first `len` bytes of `buf` and returns its new length.
    ///
    /// `index` belongs to the packet as `(SSRC, index) → content` for the life of the key: its low 16 bits are the
    /// packet's sequence number, and the same index may come again only with the same bytes.
    pub fn seal_rtp(&self, buf: &mut [u8], len: usize, index: ExtSeq) -> Result<usize, SrtpError> {
        if index.0 >= INDEX_END {
            return Err(SrtpError::KeyExhausted);
        }
        let Preamble { header_len, seq, ssrc } = Preamble::parse(buf.get(..len).ok_or(SrtpError::NoRoom)?)?;
        debug_assert_eq!(seq, index.seq(), "the header carries the index's sequence number");
        let sealed = buf.get_mut(..len + self.rtp.tag_len()).ok_or(SrtpError::NoRoom)?;
        self.rtp.seal_rtp(sealed, header_len, ssrc, index);
        Ok(sealed.len())
    }

    /// Encrypts the compound RTCP packet in the first `len` bytes of `buf` and returns its new length.
    pub fn seal_rtcp(&mut self, buf: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let index = self.next_rtcp_index;
        if index >= RTCP_ENCRYPTED {
            return Err(SrtpError::KeyExhausted);
        }
        let ssrc = rtcp_ssrc(buf.get(..len).ok_or(SrtpError::NoRoom)?).ok_or(SrtpError::Short)?;
        let sealed = buf.get_mut(..len + self.rtcp.tag_len() + RTCP_INDEX_LEN).ok_or(SrtpError::NoRoom)?;
        self.rtcp.seal_rtcp(sealed, ssrc, index | RTCP_ENCRYPTED);
        self.next_rtcp_index += 1;
        Ok(sealed.len())
    }
}

impl std::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbound").field("next_rtcp_index", &self.next_rtcp_index).finish_non_exhaustive()
    }
}

fn rtcp_ssrc(packet: &[u8]) -> Option<Ssrc> {
    let &[_, _, _, _, a, b, c, d] = packet.first_chunk::<RTCP_HEADER_LEN>()?;
    Some(Ssrc(u32::from_be_bytes([a, b, c, d])))
}
