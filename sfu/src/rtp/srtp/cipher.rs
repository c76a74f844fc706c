//! The ciphers of the three profiles and the keys that they are derived from.

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{self, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;

use super::{
    CM_SALT_LEN, GCM_SALT_LEN, GCM_TAG_LEN, RTCP_ENCRYPTED, RTCP_HEADER_LEN, RTCP_INDEX_LEN, SHA1_80_TAG_LEN,
    SHA1_KEY_LEN, SrtpError, SrtpProfile, rtcp_ssrc,
};
use crate::Ssrc;
use crate::rtp::ExtSeq;

/// The session keys of one direction of RTP or of RTCP.
pub(super) enum Cipher {
    Gcm {
        key: LessSafeKey,
        salt: [u8; GCM_SALT_LEN],
    },
    /// Apart, because its keys take 1.7 KiB and peers that know AES-GCM do not use it.
    CmSha1(Box<CmSha1>),
}

pub(super) struct CmSha1 {
    key: EncryptingKey,
    auth: hmac::Key,
    salt: [u8; CM_SALT_LEN],
}

impl Cipher {
    pub(super) fn derive(profile: SrtpProfile, master: &MasterKey, labels: Labels) -> Self {
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

    pub(super) fn gcm(
        algorithm: &'static aead::Algorithm,
        key: &[u8],
        master: &MasterKey,
        labels: Labels,
    ) -> Self {
        let key = UnboundKey::new(algorithm, key).expect("the profile's key length is the algorithm's");
        Self::Gcm { key: LessSafeKey::new(key), salt: master.derive(labels.salt) }
    }

    pub(super) fn tag_len(&self) -> usize {
        match self {
            Self::Gcm { .. } => GCM_TAG_LEN,
            Self::CmSha1(_) => SHA1_80_TAG_LEN,
        }
    }

    pub(super) fn open_rtp(
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
    pub(super) fn seal_rtp(&self, sealed: &mut [u8], header_len: usize, ssrc: Ssrc, index: ExtSeq) {
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
    pub(super) fn split_rtcp(&self, packet: &[u8]) -> Result<(Ssrc, u32), SrtpError> {
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
    pub(super) fn open_rtcp(&self, packet: &mut [u8], ssrc: Ssrc, trailer: u32) -> Result<usize, SrtpError> {
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
    pub(super) fn seal_rtcp(&self, sealed: &mut [u8], ssrc: Ssrc, trailer: u32) {
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
    pub(super) fn derive(master: &MasterKey, labels: Labels) -> Self {
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
    pub(super) fn apply(&self, ssrc: Ssrc, index: u64, in_out: &mut [u8]) {
        counter_mode(&self.key, counter_block(&self.salt, ssrc, index), in_out);
    }

    pub(super) fn tag(&self, parts: &[&[u8]]) -> [u8; SHA1_80_TAG_LEN] {
        let mut context = hmac::Context::with_key(&self.auth);
        for part in parts {
            context.update(part);
        }
        *context.sign().as_ref().first_chunk().expect("SHA-1 gives 20 bytes")
    }
}

/// The nonce of RTP (RFC 7714 §8.1) and, with the 31-bit index, of RTCP (§9.1): both leave the same bytes zero.
pub(super) fn gcm_nonce(salt: &[u8; GCM_SALT_LEN], Ssrc(ssrc): Ssrc, index: u64) -> Nonce {
    let unique = u128::from(ssrc) << 48 | u128::from(index);
    let mut nonce = [0; GCM_SALT_LEN];
    nonce.copy_from_slice(&unique.to_be_bytes()[4..]);
    for (byte, salt) in nonce.iter_mut().zip(salt) {
        *byte ^= salt;
    }
    Nonce::assume_unique_for_key(nonce)
}

pub(super) fn gcm_seal(key: &LessSafeKey, nonce: Nonce, aad: &[u8], body: &mut [u8], tag: &mut [u8]) {
    key.seal_in_place_scatter(nonce, Aad::from(aad), body, &[], tag)
        .expect("a datagram is far below the algorithm's limit and the tag has its length");
}

/// Header and trailing word: what RTCP sends in the clear (RFC 7714 §9.2).
pub(super) fn rtcp_aad(header: &[u8], trailer: u32) -> [u8; RTCP_HEADER_LEN + RTCP_INDEX_LEN] {
    let mut aad = [0; RTCP_HEADER_LEN + RTCP_INDEX_LEN];
    aad[..RTCP_HEADER_LEN].copy_from_slice(header);
    aad[RTCP_HEADER_LEN..].copy_from_slice(&trailer.to_be_bytes());
    aad
}

/// The initial counter (RFC 3711 §4.1.1): salt, SSRC and index, followed by 16 bits that count blocks.
pub(super) fn counter_block(salt: &[u8; CM_SALT_LEN], Ssrc(ssrc): Ssrc, index: u64) -> [u8; 16] {
    let mut block = (u128::from(ssrc) << 64 | u128::from(index) << 16).to_be_bytes();
    for (byte, salt) in block.iter_mut().zip(salt) {
        *byte ^= salt;
    }
    block
}

pub(super) fn counter_mode_key(key: &[u8]) -> EncryptingKey {
    let algorithm = if key.len() == 32 { &cipher::AES_256 } else { &cipher::AES_128 };
    UnboundCipherKey::new(algorithm, key)
        .and_then(EncryptingKey::ctr)
        .expect("AES takes every key of its length")
}

pub(super) fn counter_mode(key: &EncryptingKey, initial: [u8; 16], in_out: &mut [u8]) {
    key.less_safe_encrypt(in_out, EncryptionContext::Iv128(FixedLength::from(initial)))
        .expect("counter mode takes every length and a 16-byte counter");
}

/// Labels of the derived keys (RFC 3711 §4.3.2).
#[derive(Clone, Copy)]
pub(super) struct Labels {
    pub(super) key: u8,
    pub(super) auth: u8,
    pub(super) salt: u8,
}

impl Labels {
    pub(super) const RTP: Self = Self { key: 0, auth: 1, salt: 2 };
    pub(super) const RTCP: Self = Self { key: 3, auth: 4, salt: 5 };
}

/// One direction's master key and salt.
#[derive(Clone)]
pub(super) struct MasterKey {
    key: Vec<u8>,
    /// A GCM salt has zeros at its end (RFC 7714 §11).
    salt: [u8; CM_SALT_LEN],
}

impl MasterKey {
    pub(super) fn new(key: &[u8], salt: &[u8]) -> Self {
        let mut padded = [0; CM_SALT_LEN];
        padded[..salt.len()].copy_from_slice(salt);
        Self { key: key.to_vec(), salt: padded }
    }

    /// The AES-CM key derivation function with a derivation rate of 0 (RFC 3711 §4.3, RFC 6188 §3).
    pub(super) fn derive<const N: usize>(&self, label: u8) -> [u8; N] {
        let mut block = [0; 16];
        block[..CM_SALT_LEN].copy_from_slice(&self.salt);
        block[7] ^= label;
        let mut derived = [0; N];
        counter_mode(&counter_mode_key(&self.key), block, &mut derived);
        derived
    }
}
