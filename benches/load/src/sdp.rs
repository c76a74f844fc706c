//! Session descriptions of a bot: what it takes to send and hear Opus on LiveKit-compatible servers, and no more.

use std::fmt::{self, Write};
use std::net::SocketAddr;

use anyhow::{Context, bail};
use banter_sfu::Ssrc;
use banter_sfu::transport::IceCredentials;

pub const OPUS: u8 = 111;
/// Ours, where we make the offer.
pub const RED: u8 = 63;
pub const AUDIO_LEVEL: u8 = 1;

/// What is negotiated beside plain Opus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Format {
    /// Redundant audio (RFC 2198).
    pub red: bool,
    /// Repeats of what was lost (RFC 4585).
    pub nack: bool,
}

/// What a section of ours is for; its place is its mid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Section {
    Hear,
    Speak { ssrc: Ssrc, cid: String },
}

/// Our end.
#[derive(Clone, Copy, Debug)]
pub struct Local<'a> {
    pub credentials: &'a IceCredentials,
    pub fingerprint: &'a str,
    /// `None` where the server cannot come to us.
    pub address: Option<SocketAddr>,
    pub version: u64,
    pub format: Format,
}

/// What the server describes.
#[derive(Debug, Default)]
pub struct Remote {
    pub ufrag: String,
    pub pwd: String,
    pub fingerprints: Vec<(String, Vec<u8>)>,
    pub setup: String,
    pub candidates: Vec<String>,
    /// The payload type of redundant audio.
    pub red: Option<u8>,
    sections: Vec<RemoteSection>,
}

#[derive(Debug, Default)]
struct RemoteSection {
    /// Of the `m=` line: kind, protocol, formats.
    kind: String,
    protocol: String,
    formats: String,
    is_rejected: bool,
    mid: String,
    direction: String,
    /// What an answer repeats.
    echoed: Vec<String>,
}

impl Remote {
    pub fn read(sdp: &str) -> anyhow::Result<Self> {
        let mut remote = Self::default();
        for line in sdp.lines() {
            match line.split_once('=') {
                Some(("m", media)) => remote.sections.push(RemoteSection::read(media)?),
                Some(("a", attribute)) => remote.read_attribute(attribute)?,
                Some(_) => {}
                None if line.is_empty() => {}
                None => bail!("no line of a session description: {line:?}"),
            }
        }
        Ok(remote)
    }

    fn read_attribute(&mut self, attribute: &str) -> anyhow::Result<()> {
        let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
        match name {
            "ice-ufrag" => value.clone_into(&mut self.ufrag),
            "ice-pwd" => value.clone_into(&mut self.pwd),
            "setup" => value.clone_into(&mut self.setup),
            "rtpmap" if value.contains(" red/48000") => {
                self.red = value.split_once(' ').and_then(|(payload_type, _)| payload_type.parse().ok());
                self.echo(name, value, attribute);
            }
            "candidate" if !self.candidates.iter().any(|known| known == attribute) => {
                self.candidates.push(attribute.to_owned());
            }
            "fingerprint" => {
                let fingerprint = read_fingerprint(value)?;
                if !self.fingerprints.contains(&fingerprint) {
                    self.fingerprints.push(fingerprint);
                }
            }
            _ => self.echo(name, value, attribute),
        }
        Ok(())
    }

    fn echo(&mut self, name: &str, value: &str, attribute: &str) {
        if let Some(section) = self.sections.last_mut() {
            section.read_attribute(name, value, attribute);
        }
    }
}

impl RemoteSection {
    fn read(media: &str) -> anyhow::Result<Self> {
        let [kind, port, protocol, formats] =
            media.splitn(4, ' ').collect::<Vec<_>>().try_into().ok().context("a short m= line")?;
        let (kind, protocol, formats) = (kind.to_owned(), protocol.to_owned(), formats.to_owned());
        Ok(Self { kind, protocol, formats, is_rejected: port == "0", ..Self::default() })
    }

    fn read_attribute(&mut self, name: &str, value: &str, attribute: &str) {
        match name {
            "mid" => value.clone_into(&mut self.mid),
            "sendrecv" | "sendonly" | "recvonly" | "inactive" => name.clone_into(&mut self.direction),
            "rtpmap" | "fmtp" | "extmap" | "sctp-port" | "rtcp-fb" => self.echoed.push(attribute.to_owned()),
            _ => {}
        }
    }
}

fn read_fingerprint(value: &str) -> anyhow::Result<(String, Vec<u8>)> {
    let (hash, digest) = value.split_once(' ').context("a fingerprint without a digest")?;
    let bytes = digest.split(':').map(|byte| u8::from_str_radix(byte, 16)).collect::<Result<_, _>>()?;
    Ok((hash.to_ascii_lowercase(), bytes))
}

/// Offers our sections.
pub fn offer(local: Local<'_>, sections: &[Section]) -> String {
    let mut text = Text::new(local, (0..sections.len()).map(|mid| mid.to_string()));
    for (mid, section) in sections.iter().enumerate() {
        let direction = if matches!(section, Section::Hear) { "recvonly" } else { "sendonly" };
        let Format { red, nack } = local.format;
        let formats = if red { format!("{OPUS} {RED}") } else { OPUS.to_string() };
        text.line(format_args!("m=audio 9 UDP/TLS/RTP/SAVPF {formats}"));
        text.transport(local, &mid.to_string(), "actpass");
        text.line(format_args!("a=extmap:{AUDIO_LEVEL} urn:ietf:params:rtp-hdrext:ssrc-audio-level"));
        text.line(format_args!("a={direction}\r\na=rtcp-mux\r\na=rtpmap:{OPUS} opus/48000/2"));
        text.line(format_args!("a=fmtp:{OPUS} minptime=10;useinbandfec=1"));
        if red {
            text.line(format_args!("a=rtpmap:{RED} red/48000/2\r\na=fmtp:{RED} {OPUS}/{OPUS}"));
        }
        if nack {
            text.line(format_args!("a=rtcp-fb:{OPUS} nack"));
        }
        if let Section::Speak { ssrc: Ssrc(ssrc), cid } = section {
            text.line(format_args!(
                "a=msid:bot {cid}\r\na=ssrc:{ssrc} cname:bot\r\na=ssrc:{ssrc} msid:bot {cid}"
            ));
        }
    }
    text.0
}

/// Answers an offer: hears all that is sent, and takes its data channels.
pub fn answer(local: Local<'_>, offer: &Remote) -> String {
    let mut text = Text::new(local, offer.sections.iter().map(|section| section.mid.clone()));
    for section in &offer.sections {
        let RemoteSection { kind, protocol, formats, is_rejected, mid, direction, echoed } = section;
        let port = if *is_rejected { 0 } else { 9 };
        text.line(format_args!("m={kind} {port} {protocol} {formats}"));
        text.transport(local, mid, "active");
        if kind != "application" {
            let hears = kind == "audio" && direction.starts_with("send");
            text.line(format_args!("a={}\r\na=rtcp-mux", if hears { "recvonly" } else { "inactive" }));
        }
        let is_wanted = |attribute: &&String| local.format.nack || !attribute.starts_with("rtcp-fb");
        echoed.iter().filter(is_wanted).for_each(|attribute| text.line(format_args!("a={attribute}")));
    }
    text.0
}

struct Text(String);

impl Text {
    fn new(local: Local<'_>, mids: impl Iterator<Item = String>) -> Self {
        let mut text = Self(String::new());
        text.line(format_args!("v=0\r\no=- 1 {} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0", local.version));
        text.line(format_args!("a=group:BUNDLE{}", mids.map(|mid| format!(" {mid}")).collect::<String>()));
        text
    }

    fn transport(&mut self, local: Local<'_>, mid: &str, setup: &str) {
        let Local { credentials: IceCredentials { ufrag, pwd }, fingerprint, address, .. } = local;
        self.line(format_args!("c=IN IP4 0.0.0.0\r\na=mid:{mid}\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}"));
        self.line(format_args!("a=fingerprint:sha-256 {fingerprint}\r\na=setup:{setup}"));
        if let Some(address) = address {
            let (ip, port) = (address.ip(), address.port());
            self.line(format_args!("a=candidate:1 1 udp 2130706431 {ip} {port} typ host"));
        }
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        write!(self.0, "{line}\r\n").expect("a string takes everything");
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn an_offer_of_ours_is_read_and_answered() {
        let credentials = IceCredentials::random(&mut StdRng::seed_from_u64(1));
        let address = Some("127.0.0.1:4000".parse().expect("an address"));
        let format = Format { red: true, nack: true };
        let local = Local { credentials: &credentials, fingerprint: "AB:CD", address, version: 1, format };
        let sections = [Section::Hear, Section::Speak { ssrc: Ssrc(7), cid: "mic".into() }];
        let remote = Remote::read(&offer(local, &sections)).expect("it is one");
        assert_eq!((&remote.ufrag, &remote.pwd), (&credentials.ufrag, &credentials.pwd));
        assert_eq!(remote.fingerprints, [("sha-256".to_owned(), vec![0xAB, 0xCD])]);
        assert_eq!(remote.candidates, ["candidate:1 1 udp 2130706431 127.0.0.1 4000 typ host"]);
        assert_eq!(remote.red, Some(RED));
        let plain = answer(Local { format: Format::default(), ..local }, &remote);
        assert!(!plain.contains("nack"), "{plain}");
        let answer = answer(local, &remote);
        assert_eq!(answer.matches("a=rtcp-fb:111 nack").count(), 2, "{answer}");
        assert_eq!(answer.matches("a=recvonly").count(), 1, "what is sent is heard\n{answer}");
        assert_eq!(answer.matches("a=inactive").count(), 1, "{answer}");
        assert!(Remote::read("nonsense").is_err());
    }
}
