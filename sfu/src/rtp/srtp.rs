//! SRTP and SRTCP in place, without allocation: AES-GCM (RFC 7714) and AES-CM with HMAC-SHA1 (RFC 3711).
//!
//! The receiving side keeps what a receiver must: a rollover counter and a replay window per SSRC. The sending side of
//! RTP keeps nothing: the caller names the packet index, so that a repeated packet comes out byte for byte the same and
//! a nonce never covers two plaintexts.

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{self, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;

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

/// The session keys of one direction of RTP or of RTCP.
enum Cipher {
    Gcm {
        key: LessSafeKey,
        salt: [u8; GCM_SALT_LEN],
    },
    /// Apart, because its keys take 1.7 KiB and peers that know AES-GCM do not use it.
    CmSha1(Box<CmSha1>),
}

struct CmSha1 {
    key: EncryptingKey,
    auth: hmac::Key,
    salt: [u8; CM_SALT_LEN],
}

impl Cipher {
    fn derive(profile: SrtpProfile, master: &MasterKey, labels: Labels) -> Self {
        match profile {
            SrtpProfile::AeadAes256Gcm => {
                Self::gcm(&aead::AES_256_GCM, &master.derive::<32>(labels.key), master, labels)
            }
            SrtpProfile::AeadAes128Gcm => {
                Self::gcm(&aead::AES_128_GCM, &master.derive::<16>(labels.key), master, labels)
            }
            SrtpProfile::Aes128CmHmacSha1_80 => Self::CmSha1(Box::new(CmSha1::derive(master, labels))),
        }
    }

    fn gcm(algorithm: &'static aead::Algorithm, key: &[u8], master: &MasterKey, labels: Labels) -> Self {
        let key = UnboundKey::new(algorithm, key).expect("the profile's key length is the algorithm's");
        Self::Gcm { key: LessSafeKey::new(key), salt: master.derive(labels.salt) }
    }

    fn tag_len(&self) -> usize {
        match self {
            Self::Gcm { .. } => GCM_TAG_LEN,
            Self::CmSha1(_) => SHA1_80_TAG_LEN,
        }
    }

    fn open_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        ssrc: Ssrc,
        index: ExtSeq,
    ) -> Result<usize, SrtpError> {
        let len = packet.len().checked_sub(self.tag_len()).filter(|&len| len >= header_len);
        let (plain, tag) = packet.split_at_mut(len.ok_or(SrtpError::Short)?);
        let len = plain.len();
        match self {
            Self::Gcm { key, salt } => {
                let (header, body) = plain.split_at_mut(header_len);
                key.open_in_place_separate_tag(
                    gcm_nonce(salt, ssrc, index.0),
                    Aad::from(&*header),
                    tag,
                    body,
                )
                .map_err(|_| SrtpError::NotAuthentic)?;
            }
            Self::CmSha1(cm) => {
                let expected = cm.tag(&[plain, &index.rollovers().to_be_bytes()]);
                verify_slices_are_equal(&expected, tag).map_err(|_| SrtpError::NotAuthentic)?;
                cm.apply(ssrc, index.0, &mut plain[header_len..]);
            }
        }
        Ok(len)
    }

    /// `sealed` is the plaintext packet with room for the tag at its end.
    fn seal_rtp(&self, sealed: &mut [u8], header_len: usize, ssrc: Ssrc, index: ExtSeq) {
        let (plain, tag) = sealed.split_at_mut(sealed.len() - self.tag_len());
        match self {
            Self::Gcm { key, salt } => {
                let (header, body) = plain.split_at_mut(header_len);
                gcm_seal(key, gcm_nonce(salt, ssrc, index.0), header, body, tag);
            }
            Self::CmSha1(cm) => {
                cm.apply(ssrc, index.0, &mut plain[header_len..]);
                tag.copy_from_slice(&cm.tag(&[plain, &index.rollovers().to_be_bytes()]));
            }
        }
    }

    /// SSRC and trailing word (E flag and index) of an SRTCP packet that is long enough to be one.
    fn split_rtcp(&self, packet: &[u8]) -> Result<(Ssrc, u32), SrtpError> {
        if packet.len() < RTCP_HEADER_LEN + self.tag_len() + RTCP_INDEX_LEN {
            return Err(SrtpError::Short);
        }
        // The word stands after the tag in RFC 7714 (§9.2) and before it in RFC 3711 (§3.4).
        let trailer_end = match self {
            Self::Gcm { .. } => packet.len(),
            Self::CmSha1(_) => packet.len() - SHA1_80_TAG_LEN,
        };
        let ssrc = rtcp_ssrc(packet).ok_or(SrtpError::Short)?;
        let trailer = packet[..trailer_end].last_chunk().ok_or(SrtpError::Short)?;
        Ok((ssrc, u32::from_be_bytes(*trailer)))
    }

    /// `packet` has passed [`Cipher::split_rtcp`].
    fn open_rtcp(&self, packet: &mut [u8], ssrc: Ssrc, trailer: u32) -> Result<usize, SrtpError> {
        let len = packet.len() - self.tag_len() - RTCP_INDEX_LEN;
        let index = u64::from(trailer & !RTCP_ENCRYPTED);
        match self {
            Self::Gcm { key, salt } => {
                let (plain, rest) = packet.split_at_mut(len);
                let (header, body) = plain.split_at_mut(RTCP_HEADER_LEN);
                let aad = rtcp_aad(header, trailer);
                let nonce = gcm_nonce(salt, ssrc, index);
                key.open_in_place_separate_tag(nonce, Aad::from(aad), &rest[..GCM_TAG_LEN], body)
                    .map_err(|_| SrtpError::NotAuthentic)?;
            }
            Self::CmSha1(cm) => {
                let (authenticated, tag) = packet.split_at_mut(len + RTCP_INDEX_LEN);
                let expected = cm.tag(&[authenticated]);
                verify_slices_are_equal(&expected, tag).map_err(|_| SrtpError::NotAuthentic)?;
                cm.apply(ssrc, index, &mut authenticated[RTCP_HEADER_LEN..len]);
            }
        }
        Ok(len)
    }

    /// `sealed` is the compound packet with room for tag and trailing word at its end.
    fn seal_rtcp(&self, sealed: &mut [u8], ssrc: Ssrc, trailer: u32) {
        let len = sealed.len() - self.tag_len() - RTCP_INDEX_LEN;
        let index = u64::from(trailer & !RTCP_ENCRYPTED);
        match self {
            Self::Gcm { key, salt } => {
                let (plain, rest) = sealed.split_at_mut(len);
                let (header, body) = plain.split_at_mut(RTCP_HEADER_LEN);
                let (tag, word) = rest.split_at_mut(GCM_TAG_LEN);
                gcm_seal(key, gcm_nonce(salt, ssrc, index), &rtcp_aad(header, trailer), body, tag);
                word.copy_from_slice(&trailer.to_be_bytes());
            }
            Self::CmSha1(cm) => {
                let (authenticated, tag) = sealed.split_at_mut(len + RTCP_INDEX_LEN);
                let (plain, word) = authenticated.split_at_mut(len);
                cm.apply(ssrc, index, &mut plain[RTCP_HEADER_LEN..]);
                word.copy_from_slice(&trailer.to_be_bytes());
                tag.copy_from_slice(&cm.tag(&[authenticated]));
            }
        }
    }
}

impl CmSha1 {
    fn derive(master: &MasterKey, labels: Labels) -> Self {
        Self {
            key: counter_mode_key(&master.derive::<16>(labels.key)),
            auth: hmac::Key::new(
                hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
                &master.derive::<SHA1_KEY_LEN>(labels.auth),
            ),
            salt: master.derive(labels.salt),
        }
    }

    /// Encrypts or decrypts.
    fn apply(&self, ssrc: Ssrc, index: u64, in_out: &mut [u8]) {
        counter_mode(&self.key, counter_block(&self.salt, ssrc, index), in_out);
    }

    fn tag(&self, parts: &[&[u8]]) -> [u8; SHA1_80_TAG_LEN] {
        let mut context = hmac::Context::with_key(&self.auth);
        for part in parts {
            context.update(part);
        }
        *context.sign().as_ref().first_chunk().expect("SHA-1 gives 20 bytes")
    }
}

/// The nonce of RTP (RFC 7714 §8.1) and, with the 31-bit index, of RTCP (§9.1): both leave the same bytes zero.
fn gcm_nonce(salt: &[u8; GCM_SALT_LEN], Ssrc(ssrc): Ssrc, index: u64) -> Nonce {
    let unique = u128::from(ssrc) << 48 | u128::from(index);
    let mut nonce = [0; GCM_SALT_LEN];
    nonce.copy_from_slice(&unique.to_be_bytes()[4..]);
    for (byte, salt) in nonce.iter_mut().zip(salt) {
        *byte ^= salt;
    }
    Nonce::assume_unique_for_key(nonce)
}

fn gcm_seal(key: &LessSafeKey, nonce: Nonce, aad: &[u8], body: &mut [u8], tag: &mut [u8]) {
    key.seal_in_place_scatter(nonce, Aad::from(aad), body, &[], tag)
        .expect("a datagram is far below the algorithm's limit and the tag has its length");
}

/// Header and trailing word: what RTCP sends in the clear (RFC 7714 §9.2).
fn rtcp_aad(header: &[u8], trailer: u32) -> [u8; RTCP_HEADER_LEN + RTCP_INDEX_LEN] {
    let mut aad = [0; RTCP_HEADER_LEN + RTCP_INDEX_LEN];
    aad[..RTCP_HEADER_LEN].copy_from_slice(header);
    aad[RTCP_HEADER_LEN..].copy_from_slice(&trailer.to_be_bytes());
    aad
}

/// The initial counter (RFC 3711 §4.1.1): salt, SSRC and index, followed by 16 bits that count blocks.
fn counter_block(salt: &[u8; CM_SALT_LEN], Ssrc(ssrc): Ssrc, index: u64) -> [u8; 16] {
    let mut block = (u128::from(ssrc) << 64 | u128::from(index) << 16).to_be_bytes();
    for (byte, salt) in block.iter_mut().zip(salt) {
        *byte ^= salt;
    }
    block
}

fn counter_mode_key(key: &[u8]) -> EncryptingKey {
    let algorithm = if key.len() == 32 { &cipher::AES_256 } else { &cipher::AES_128 };
    UnboundCipherKey::new(algorithm, key)
        .and_then(EncryptingKey::ctr)
        .expect("AES takes every key of its length")
}

fn counter_mode(key: &EncryptingKey, initial: [u8; 16], in_out: &mut [u8]) {
    key.less_safe_encrypt(in_out, EncryptionContext::Iv128(FixedLength::from(initial)))
        .expect("counter mode takes every length and a 16-byte counter");
}

/// Labels of the derived keys (RFC 3711 §4.3.2).
#[derive(Clone, Copy)]
struct Labels {
    key: u8,
    auth: u8,
    salt: u8,
}

impl Labels {
    const RTP: Self = Self { key: 0, auth: 1, salt: 2 };
    const RTCP: Self = Self { key: 3, auth: 4, salt: 5 };
}

/// One direction's master key and salt.
#[derive(Clone)]
struct MasterKey {
    key: Vec<u8>,
    /// A GCM salt has zeros at its end (RFC 7714 §11).
    salt: [u8; CM_SALT_LEN],
}

impl MasterKey {
    fn new(key: &[u8], salt: &[u8]) -> Self {
        let mut padded = [0; CM_SALT_LEN];
        padded[..salt.len()].copy_from_slice(salt);
        Self { key: key.to_vec(), salt: padded }
    }

    /// The AES-CM key derivation function with a derivation rate of 0 (RFC 3711 §4.3, RFC 6188 §3).
    fn derive<const N: usize>(&self, label: u8) -> [u8; N] {
        let mut block = [0; 16];
        block[..CM_SALT_LEN].copy_from_slice(&self.salt);
        block[7] ^= label;
        let mut derived = [0; N];
        counter_mode(&counter_mode_key(&self.key), block, &mut derived);
        derived
    }
}

/// What was received, by stream. A stream begins with its first authenticated packet.
#[derive(Default)]
struct Streams {
    streams: Vec<Stream>,
    /// Packets accepted from all of them.
    accepted: u64,
}

struct Stream {
    ssrc: Ssrc,
    window: ReplayWindow,
    /// [`Streams::accepted`] when this one was last heard.
    heard: u64,
}

impl Streams {
    fn find(&mut self, ssrc: Ssrc) -> Option<&mut Stream> {
        self.streams.iter_mut().find(|stream| stream.ssrc == ssrc)
    }

    fn accept(&mut self, ssrc: Ssrc, index: u64) {
        self.accepted += 1;
        let heard = self.accepted;
        if let Some(stream) = self.find(ssrc) {
            stream.window.accept(index);
            stream.heard = heard;
            return;
        }
        if self.streams.len() == MAX_STREAMS
            && let Some(silent) = (0..MAX_STREAMS).min_by_key(|&at| self.streams[at].heard)
        {
            self.streams.swap_remove(silent);
        }
        self.streams.push(Stream { ssrc, window: ReplayWindow::new(index), heard });
    }
}

/// The 128 indices up to the highest one received (RFC 3711 §3.3.2).
struct ReplayWindow {
    highest: u64,
    /// Bit n: `highest - n` was received.
    received: u128,
}

impl ReplayWindow {
    fn new(first: u64) -> Self {
        Self { highest: first, received: 1 }
    }

    fn check(&self, index: u64) -> Result<(), SrtpError> {
        match self.highest.checked_sub(index) {
            None => Ok(()),
            Some(behind) if behind < 128 && self.received >> behind & 1 == 0 => Ok(()),
            Some(_) => Err(SrtpError::Replayed),
        }
    }

    /// `index` has passed [`ReplayWindow::check`].
    fn accept(&mut self, index: u64) {
        if index > self.highest {
            let ahead = u32::try_from(index - self.highest).unwrap_or(u32::MAX);
            self.received = self.received.checked_shl(ahead).unwrap_or(0);
            self.highest = index;
        }
        self.received |= 1 << (self.highest - index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PROFILES: [SrtpProfile; 3] =
        [SrtpProfile::AeadAes256Gcm, SrtpProfile::AeadAes128Gcm, SrtpProfile::Aes128CmHmacSha1_80];

    /// A packet of RFC 7714 §16: "Gallia est omnis divisa in partes tres".
    const GALLIA: &str = "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976
        69736120 696e2070 61727465 73207472 6573";
    /// A packet of RFC 7714 §17.
    const LUNA: &str = "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61
        deadbeef deadbeef deadbeef deadbeef deadbeef";

    #[test]
    fn aes_128_gcm_meets_the_vectors_of_rfc_7714() {
        check_gcm_vectors(
            &aead::AES_128_GCM,
            "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5
             0d294e6f 42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce",
            "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d
             c676a5f1 730d6fda 4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4",
        );
    }

    #[test]
    fn aes_256_gcm_meets_the_vectors_of_rfc_7714() {
        check_gcm_vectors(
            &aead::AES_256_GCM,
            "8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238
             9a58e2f3 b50b2a02 76ffae0f 1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13",
            "81c8000d 4d617273 d50ae4d1 f5ce5d30 4ba297e4 7d470c28 2c3ece5d bffe0a50
             a2eaa5c1 110555be 8415f658 c61de047 6f1b6fad 1d1eb30c 4446839f 57ff6f6c b26ac3be 800005d4",
        );
    }

    fn check_gcm_vectors(algorithm: &'static aead::Algorithm, srtp: &str, srtcp: &str) {
        let key: Vec<u8> = (0..algorithm.key_len() as u8).collect();
        let cipher = || Cipher::Gcm {
            key: LessSafeKey::new(UnboundKey::new(algorithm, &key).unwrap()),
            salt: *b"Quid pro quo",
        };
        let mut sender = Outbound { rtp: cipher(), rtcp: cipher(), next_rtcp_index: 0x5D4 };
        let mut receiver = Inbound {
            rtp: cipher(),
            rtcp: cipher(),
            rtp_streams: Streams::default(),
            rtcp_streams: Streams::default(),
        };
        let (mut sealed, index) = (seal(&sender, &hex(GALLIA), ExtSeq(0xF17B)), ExtSeq(0xF17B));
        assert_eq!(sealed, hex(srtp));
        assert_eq!(receiver.open_rtp(&mut sealed), Ok(Opened { len: hex(GALLIA).len(), index }));
        assert!(sealed.starts_with(&hex(GALLIA)));

        let mut sealed = seal_rtcp(&mut sender, &hex(LUNA));
        assert_eq!(sealed, hex(srtcp));
        assert_eq!(receiver.open_rtcp(&mut sealed), Ok(hex(LUNA).len()));
        assert!(sealed.starts_with(&hex(LUNA)));
    }

    #[test]
    fn counter_mode_meets_the_vectors_of_rfc_3711_appendix_b_2() {
        let key = counter_mode_key(&hex("2B7E151628AED2A6ABF7158809CF4F3C"));
        let salt = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD").try_into().unwrap();
        let mut stream = vec![0; 0xFF02 * 16];
        counter_mode(&key, counter_block(&salt, Ssrc(0), 0), &mut stream);
        assert_eq!(stream[..32], hex("E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB"));
        assert_eq!(stream[0xFEFF * 16..][..16], hex("EC8CDF7398607CB0F2D21675EA9EA1E4"));
        assert_eq!(stream[0xFF00 * 16..][..16], hex("362B7C3C6773516318A077D7FC5073AE"));
    }

    #[test]
    fn key_derivation_meets_the_vectors_of_rfc_3711_appendix_b_3() {
        let master =
            MasterKey::new(&hex("E1F97A0D3E018BE0D64FA32C06DE4139"), &hex("0EC675AD498AFEEBB6960B3AABE6"));
        assert_eq!(master.derive::<16>(Labels::RTP.key)[..], hex("C61E7A93744F39EE10734AFE3FF7A087"));
        assert_eq!(master.derive::<14>(Labels::RTP.salt)[..], hex("30CBBC08863D8C85D49DB34A9AE1"));
        assert_eq!(
            master.derive::<94>(Labels::RTP.auth)[..],
            hex("CEBE321F6FF7716B6FD4AB49AF256A15 6D38BAA48F0A0ACF3C34E2359E6CDBCE E049646C
                 43D9327AD175578EF7227098 6371C10C9A369AC2F94A8C5FBCDDDC256D6E919A48B610EF
                 17C2041E47403576 6B68642C59BBFC2F34DB60DBDFB2"),
        );
    }

    #[test]
    fn key_derivation_meets_the_vectors_of_rfc_6188() {
        let master = MasterKey::new(
            &hex("f0f04914b513f2763a1b1fa130f10e29 98f6f6e43e4309d1e622a0e332b9f1b6"),
            &hex("3b04803de51ee7c96423ab5b78d2"),
        );
        assert_eq!(
            master.derive::<32>(Labels::RTP.key)[..],
            hex("5ba1064e30ec51613cad926c5a28ef73 1ec7fb397f70a960653caf06554cd8c4"),
        );
        assert_eq!(master.derive::<14>(Labels::RTP.salt)[..], hex("fa31791685ca444a9e07c6c64e93"));
    }

    /// The reference packets of libsrtp's own test, from master keys to bytes.
    #[test]
    fn whole_packets_agree_with_libsrtp() {
        let rtp = hex("800f1234 decafbad cafebabe abababab abababab abababab abababab");
        let rtcp = hex("81c8000b cafebabe abababab abababab abababab abababab");
        let check = |profile: SrtpProfile, key: &str, salt: &str, srtp: &str, srtcp: &str| {
            let master = MasterKey::new(&hex(key), &hex(salt));
            let keys = SrtpKeys { profile, local: master.clone(), remote: master };
            let (mut sender, mut receiver) = (keys.outbound(), keys.inbound());
            let mut sealed = seal(&sender, &rtp, ExtSeq(0x1234));
            assert_eq!(sealed, hex(srtp));
            let opened = receiver.open_rtp(&mut sealed).unwrap();
            assert_eq!(sealed[..opened.len], rtp);
            let mut sealed = seal_rtcp(&mut sender, &rtcp);
            assert_eq!(sealed, hex(srtcp));
            let len = receiver.open_rtcp(&mut sealed).unwrap();
            assert_eq!(sealed[..len], rtcp);
        };
        check(
            SrtpProfile::Aes128CmHmacSha1_80,
            "e1f97a0d3e018be0d64fa32c06de4139",
            "0ec675ad498afeebb6960b3aabe6",
            "800f1234 decafbad cafebabe 4e55dc4c e79978d8 8ca4d215 949d2402 b78d6acc 99ea179b 8dbb",
            "81c8000b cafebabe 7128035b e487b9bd bef89041 f977a5a8 80000001 993e08cd 54d6c123 0798",
        );
        check(
            SrtpProfile::AeadAes128Gcm,
            "000102030405060708090a0b0c0d0e0f",
            "a0a1a2a3a4a5a6a7a8a9aaab",
            "800f1234 decafbad cafebabe c5002ede 04cfdd2e b91159e0 880aa06e d2976826 f796b201 df3131a1 27e8a392",
            "81c8000b cafebabe c98b8b5d f0392a55 852b6c21 ac8e7025 c52c6fbe a2b3b446 ea31123b a88ce61e 80000001",
        );
    }

    #[test]
    fn dtls_material_is_split_by_role() {
        for profile in PROFILES {
            let material: Vec<u8> = (0..profile.keying_material_len() as u8).collect();
            let client = SrtpKeys::from_dtls(profile, &material, DtlsRole::Client).unwrap();
            let server = SrtpKeys::from_dtls(profile, &material, DtlsRole::Server).unwrap();
            for (from, to) in [(&client, &server), (&server, &client)] {
                let mut sealed = seal(&from.outbound(), &packet(7), ExtSeq(7));
                assert!(to.inbound().open_rtp(&mut sealed.clone()).is_ok());
                assert_eq!(from.inbound().open_rtp(&mut sealed), Err(SrtpError::NotAuthentic));
            }
            let short = SrtpKeys::from_dtls(profile, &material[1..], DtlsRole::Client).unwrap_err();
            assert_eq!(short.actual + 1, short.expected);
        }
    }

    #[test]
    fn every_packet_is_taken_once() {
        for profile in PROFILES {
            let (mut sender, mut receiver) = pair(profile);
            for index in [500, 501, 503, 502, 373 + 3, 600, 600 - 127] {
                let sealed = seal(&sender, &packet(index as u16), ExtSeq(index));
                assert_eq!(receiver.open_rtp(&mut sealed.clone()).unwrap().index, ExtSeq(index));
                assert_eq!(receiver.open_rtp(&mut sealed.clone()), Err(SrtpError::Replayed));
            }
            let mut too_old = seal(&sender, &packet(472), ExtSeq(472));
            assert_eq!(receiver.open_rtp(&mut too_old), Err(SrtpError::Replayed));

            let report = seal_rtcp(&mut sender, &hex(LUNA));
            assert!(receiver.open_rtcp(&mut report.clone()).is_ok());
            assert_eq!(receiver.open_rtcp(&mut report.clone()), Err(SrtpError::Replayed));
        }
    }

    #[test]
    fn a_forged_packet_moves_neither_window_nor_rollover() {
        for profile in PROFILES {
            let (sender, mut receiver) = pair(profile);
            let mut forged = seal(&sender, &packet(9), ExtSeq(9));
            *forged.last_mut().unwrap() ^= 1;
            assert_eq!(receiver.open_rtp(&mut forged), Err(SrtpError::NotAuthentic));
            assert!(receiver.rtp_streams.streams.is_empty());
            assert!(receiver.open_rtp(&mut seal(&sender, &packet(1), ExtSeq(1))).is_ok());
            let mut forged = seal(&sender, &packet(20_000), ExtSeq(20_000));
            forged[FORGED_PAYLOAD_AT] ^= 1;
            assert_eq!(receiver.open_rtp(&mut forged), Err(SrtpError::NotAuthentic));
            assert!(receiver.open_rtp(&mut seal(&sender, &packet(2), ExtSeq(2))).is_ok());
        }
    }

    const FORGED_PAYLOAD_AT: usize = 14;

    #[test]
    fn the_rollover_survives_loss_and_reordering_around_it() {
        let orders: [&[u64]; 5] = [
            &[65_534, 65_535, 65_536, 65_537],
            &[65_530, 65_540],
            &[65_534, 65_536, 65_535, 65_537],
            &[65_500, 65_537, 65_536, 65_535, 65_534, 65_538],
            &[65_535, 65_536, 98_000, 130_000, 131_071, 131_072],
        ];
        for (profile, order) in PROFILES.into_iter().flat_map(|p| orders.map(|order| (p, order))) {
            let (sender, mut receiver) = pair(profile);
            for &index in order {
                let mut sealed = seal(&sender, &packet(index as u16), ExtSeq(index));
                assert_eq!(receiver.open_rtp(&mut sealed).unwrap().index, ExtSeq(index), "{order:?}");
            }
        }
    }

    #[test]
    fn the_same_index_seals_to_the_same_bytes() {
        for profile in PROFILES {
            let (sender, _) = pair(profile);
            assert_eq!(seal(&sender, &packet(3), ExtSeq(3)), seal(&sender, &packet(3), ExtSeq(3)));
            assert_ne!(seal(&sender, &packet(3), ExtSeq(3)), seal(&sender, &packet(3), ExtSeq(0x1_0003)));
        }
    }

    #[test]
    fn a_wrong_key_opens_nothing() {
        for profile in PROFILES {
            let (mut sender, _) = pair(profile);
            let other =
                SrtpKeys::from_dtls(profile, &vec![9; profile.keying_material_len()], DtlsRole::Server);
            let mut stranger = other.unwrap().inbound();
            let mut sealed = seal(&sender, &packet(3), ExtSeq(3));
            assert_eq!(stranger.open_rtp(&mut sealed), Err(SrtpError::NotAuthentic));
            let mut sealed = seal_rtcp(&mut sender, &hex(LUNA));
            assert_eq!(stranger.open_rtcp(&mut sealed), Err(SrtpError::NotAuthentic));
        }
    }

    #[test]
    fn truncated_packets_are_refused_at_every_length() {
        for profile in PROFILES {
            let (mut sender, _) = pair(profile);
            let sealed = seal(&sender, &packet(3), ExtSeq(3));
            let report = seal_rtcp(&mut sender, &hex(LUNA));
            for len in 0..sealed.len() {
                assert!(pair(profile).1.open_rtp(&mut sealed[..len].to_vec()).is_err());
            }
            for len in 0..report.len() {
                assert!(pair(profile).1.open_rtcp(&mut report[..len].to_vec()).is_err());
            }
        }
    }

    #[test]
    fn rtcp_must_be_encrypted() {
        for profile in PROFILES {
            let (mut sender, mut receiver) = pair(profile);
            let mut report = seal_rtcp(&mut sender, &hex(LUNA));
            let flag_at = match profile {
                SrtpProfile::Aes128CmHmacSha1_80 => report.len() - SHA1_80_TAG_LEN - RTCP_INDEX_LEN,
                SrtpProfile::AeadAes256Gcm | SrtpProfile::AeadAes128Gcm => report.len() - RTCP_INDEX_LEN,
            };
            report[flag_at] &= 0x7F;
            assert_eq!(receiver.open_rtcp(&mut report), Err(SrtpError::NotEncrypted));
        }
    }

    #[test]
    fn limits_are_errors() {
        for profile in PROFILES {
            let (mut sender, _) = pair(profile);
            let mut exact = packet(0);
            let len = exact.len();
            assert_eq!(sender.seal_rtp(&mut exact, len, ExtSeq(0)), Err(SrtpError::NoRoom));
            assert_eq!(sender.seal_rtp(&mut exact, len + 1, ExtSeq(0)), Err(SrtpError::NoRoom));
            assert_eq!(sender.seal_rtp(&mut exact, len, ExtSeq(1 << 48)), Err(SrtpError::KeyExhausted));
            assert_eq!(sender.seal_rtcp(&mut exact, len), Err(SrtpError::NoRoom));
            assert_eq!(sender.seal_rtcp(&mut exact, 7), Err(SrtpError::Short));
            sender.next_rtcp_index = RTCP_ENCRYPTED;
            assert_eq!(sender.seal_rtcp(&mut [0; 100], 28), Err(SrtpError::KeyExhausted));
        }
    }

    #[test]
    fn the_longest_silent_stream_is_forgotten_first() {
        let mut streams = Streams::default();
        for ssrc in 0..MAX_STREAMS as u32 {
            streams.accept(Ssrc(ssrc), 10);
        }
        streams.accept(Ssrc(0), 11);
        streams.accept(Ssrc(1000), 10);
        assert_eq!(streams.streams.len(), MAX_STREAMS);
        assert!(streams.find(Ssrc(0)).is_some());
        assert!(streams.find(Ssrc(1)).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_without_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            for profile in PROFILES {
                let (_, mut receiver) = pair(profile);
                prop_assert!(receiver.open_rtp(&mut bytes.clone()).is_err());
                prop_assert!(receiver.open_rtcp(&mut bytes).is_err());
            }
        }

        #[test]
        fn the_window_agrees_with_a_set(indices in proptest::collection::vec(0u64..400, 1..300)) {
            let mut window = ReplayWindow::new(indices[0]);
            let mut taken = std::collections::BTreeSet::from([indices[0]]);
            for &index in &indices[1..] {
                let fresh = !taken.contains(&index) && index + 128 > *taken.last().unwrap();
                prop_assert_eq!(window.check(index).is_ok(), fresh);
                if fresh {
                    window.accept(index);
                    taken.insert(index);
                }
            }
        }
    }

    fn pair(profile: SrtpProfile) -> (Outbound, Inbound) {
        let material: Vec<u8> = (0..profile.keying_material_len() as u8).collect();
        let keys = |role| SrtpKeys::from_dtls(profile, &material, role).unwrap();
        (keys(DtlsRole::Client).outbound(), keys(DtlsRole::Server).inbound())
    }

    fn packet(seq: u16) -> Vec<u8> {
        let [hi, lo] = seq.to_be_bytes();
        [&[0x80, 111, hi, lo, 0, 0, 3, 192, 0xCA, 0xFE, 0xBA, 0xBE][..], &[0x5A; 60]].concat()
    }

    fn seal(sender: &Outbound, plain: &[u8], index: ExtSeq) -> Vec<u8> {
        let mut buf = [plain, &[0; MAX_RTP_OVERHEAD]].concat();
        let len = sender.seal_rtp(&mut buf, plain.len(), index).unwrap();
        buf.truncate(len);
        buf
    }

    fn seal_rtcp(sender: &mut Outbound, plain: &[u8]) -> Vec<u8> {
        let mut buf = [plain, &[0; MAX_RTCP_OVERHEAD]].concat();
        let len = sender.seal_rtcp(&mut buf, plain.len()).unwrap();
        buf.truncate(len);
        buf
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
        digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
    }
}
