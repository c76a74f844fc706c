//! Session descriptions as a client writes and reads them: LiveKit's layout, after what browsers print.
//!
//! Nothing is shared with the server's reader and writer, so that a mistake of theirs is not made twice.

use std::fmt::Write;

use crate::Ssrc;
use crate::transport::IceCredentials;

/// Opus as the client numbers it.
pub(super) const OPUS: u8 = 111;
/// RED (RFC 2198) as the client numbers it.
pub(super) const RED: u8 = 63;
/// The audio level (RFC 6464) as the client numbers it.
pub(super) const AUDIO_LEVEL: u8 = 1;
pub(super) const MID: u8 = 4;

/// What a client's section is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Hear,
    Speak {
        ssrc: Ssrc,
        cid: String,
    },
    /// Was for speaking, and is not any more.
    Silent,
    Video,
    Data,
}

/// A client's end of the transport.
pub(super) struct Local<'a> {
    pub(super) credentials: &'a IceCredentials,
    pub(super) fingerprint: &'a str,
    /// Understands RED.
    pub(super) red: bool,
}

/// What the other side described.
#[derive(Debug, Default)]
pub(super) struct Remote {
    pub(super) ufrag: String,
    pub(super) pwd: String,
    pub(super) fingerprints: Vec<(String, Vec<u8>)>,
    pub(super) setup: String,
    pub(super) candidates: Vec<String>,
    pub(super) sections: Vec<RemoteSection>,
}

#[derive(Debug, Default)]
pub(super) struct RemoteSection {
    pub(super) kind: String,
    pub(super) formats: String,
    pub(super) is_rejected: bool,
    pub(super) mid: String,
    pub(super) direction: String,
    /// The second token of `a=msid`.
    pub(super) track: Option<String>,
    pub(super) ssrcs: Vec<Ssrc>,
    /// What it takes at the most, in bits per second.
    pub(super) max_bitrate: Option<u32>,
    /// `a=rtpmap`, `a=fmtp` and `a=extmap` as they came, to be echoed.
    formatting: Vec<String>,
}

impl Remote {
    /// Reads a description.
    ///
    /// # Panics
    /// When a client could not make anything of it either.
    pub(super) fn read(sdp: &str) -> Self {
        assert!(sdp.starts_with("v=0\r\n"), "a description begins with its version: {sdp}");
        let mut remote = Self::default();
        for line in sdp.split_terminator("\r\n") {
            match line.split_once('=') {
                Some(("m", media)) => remote.sections.push(RemoteSection::read(media)),
                Some(("b", bandwidth)) => remote.read_bandwidth(bandwidth),
                Some(("a", attribute)) => remote.read_attribute(attribute),
                Some(_) => {}
                None => panic!("no line of a description: {line:?}"),
            }
        }
        remote
    }

    fn read_bandwidth(&mut self, bandwidth: &str) {
        let bitrate = bandwidth.strip_prefix("TIAS:").and_then(|bitrate| bitrate.parse().ok());
        let section = self.sections.last_mut().expect("bandwidth is said of a section");
        section.max_bitrate = Some(bitrate.expect("a number of bits per second"));
    }

    fn read_attribute(&mut self, attribute: &str) {
        let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
        match name {
            "ice-ufrag" => value.clone_into(&mut self.ufrag),
            "ice-pwd" => value.clone_into(&mut self.pwd),
            "setup" => value.clone_into(&mut self.setup),
            "fingerprint" => {
                let fingerprint = read_fingerprint(value);
                if !self.fingerprints.contains(&fingerprint) {
                    self.fingerprints.push(fingerprint);
                }
            }
            "candidate" => {
                if !self.candidates.iter().any(|known| known == attribute) {
                    self.candidates.push(attribute.to_owned());
                }
            }
            _ => {
                if let Some(section) = self.sections.last_mut() {
                    section.read_attribute(name, value, attribute);
                }
            }
        }
    }
}

impl RemoteSection {
    fn read(media: &str) -> Self {
        let mut words = media.splitn(4, ' ');
        let kind = words.next().expect("a kind of media").to_owned();
        let is_rejected = words.next() == Some("0");
        let formats = words.nth(1).expect("formats").to_owned();
        Self { kind, formats, is_rejected, ..Self::default() }
    }

    fn read_attribute(&mut self, name: &str, value: &str, attribute: &str) {
        match name {
            "mid" => value.clone_into(&mut self.mid),
            "sendrecv" | "sendonly" | "recvonly" | "inactive" => name.clone_into(&mut self.direction),
            "msid" => self.track = value.split(' ').nth(1).map(str::to_owned),
            "ssrc" => {
                let number = value.split(' ').next().and_then(|text| text.parse().ok());
                let ssrc = Ssrc(number.expect("an SSRC is a number"));
                if !self.ssrcs.contains(&ssrc) {
                    self.ssrcs.push(ssrc);
                }
            }
            "rtpmap" | "fmtp" | "extmap" | "sctp-port" => self.formatting.push(attribute.to_owned()),
            _ => {}
        }
    }
}

fn read_fingerprint(value: &str) -> (String, Vec<u8>) {
    let (hash, digest) = value.split_once(' ').expect("a hash and a digest");
    let byte = |hex| u8::from_str_radix(hex, 16).expect("a digest in hexadecimal");
    (hash.to_ascii_lowercase(), digest.split(':').map(byte).collect())
}

/// Offers sections; the position of each is its mid.
pub(super) fn offer(local: &Local<'_>, sections: &[Purpose], version: u64) -> String {
    let mids: Vec<String> = (0..sections.len()).map(|mid| mid.to_string()).collect();
    let mut sdp = session(version, mids.iter().map(String::as_str));
    for (purpose, mid) in sections.iter().zip(&mids) {
        match purpose {
            Purpose::Hear => audio(&mut sdp, local, mid, "recvonly"),
            Purpose::Silent => audio(&mut sdp, local, mid, "inactive"),
            Purpose::Speak { ssrc, cid } => {
                audio(&mut sdp, local, mid, "sendonly");
                line(&mut sdp, format_args!("a=msid:stream {cid}"));
                line(&mut sdp, format_args!("a=ssrc:{} cname:client", ssrc.0));
                line(&mut sdp, format_args!("a=ssrc:{} msid:stream {cid}", ssrc.0));
            }
            Purpose::Video => {
                line(&mut sdp, format_args!("m=video 9 UDP/TLS/RTP/SAVPF 96"));
                transport(&mut sdp, local, mid, "actpass");
                line(&mut sdp, format_args!("a=recvonly\r\na=rtcp-mux\r\na=rtpmap:96 VP8/90000"));
            }
            Purpose::Data => {
                line(&mut sdp, format_args!("m=application 9 UDP/DTLS/SCTP webrtc-datachannel"));
                transport(&mut sdp, local, mid, "actpass");
                line(&mut sdp, format_args!("a=sctp-port:5000\r\na=max-message-size:262144"));
            }
        }
    }
    sdp
}

/// Answers an offer, taking everything in it.
pub(super) fn answer(local: &Local<'_>, offer: &Remote, version: u64) -> String {
    let mut sdp = session(version, offer.sections.iter().map(|section| section.mid.as_str()));
    for section in &offer.sections {
        let protocol = if section.kind == "application" { "UDP/DTLS/SCTP" } else { "UDP/TLS/RTP/SAVPF" };
        let is_wanted = |format: &&str| local.red || **format != RED.to_string();
        let formats: Vec<&str> = section.formats.split(' ').filter(is_wanted).collect();
        line(&mut sdp, format_args!("m={} 9 {protocol} {}", section.kind, formats.join(" ")));
        transport(&mut sdp, local, &section.mid, "active");
        if section.kind == "audio" {
            let direction = if section.direction == "sendonly" { "recvonly" } else { "inactive" };
            line(&mut sdp, format_args!("a={direction}\r\na=rtcp-mux"));
        }
        let of_red = format!(":{RED} ");
        for formatting in section.formatting.iter().filter(|line| local.red || !line.contains(&of_red)) {
            line(&mut sdp, format_args!("a={formatting}"));
        }
    }
    sdp
}

fn session<'a>(version: u64, mids: impl Iterator<Item = &'a str>) -> String {
    let mut sdp = String::new();
    line(&mut sdp, format_args!("v=0\r\no=- 4611731400430051336 {version} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0"));
    let group = mids.fold(String::from("a=group:BUNDLE"), |group, mid| group + " " + mid);
    line(&mut sdp, format_args!("{group}\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS"));
    sdp
}

fn audio(sdp: &mut String, local: &Local<'_>, mid: &str, direction: &str) {
    let red = if local.red { format!(" {RED}") } else { String::new() };
    line(sdp, format_args!("m=audio 9 UDP/TLS/RTP/SAVPF {OPUS}{red}"));
    transport(sdp, local, mid, "actpass");
    line(sdp, format_args!("a=extmap:{AUDIO_LEVEL} urn:ietf:params:rtp-hdrext:ssrc-audio-level"));
    line(sdp, format_args!("a=extmap:{MID} urn:ietf:params:rtp-hdrext:sdes:mid"));
    line(sdp, format_args!("a={direction}\r\na=rtcp-mux\r\na=rtcp-rsize"));
    line(sdp, format_args!("a=rtpmap:{OPUS} opus/48000/2\r\na=rtcp-fb:{OPUS} nack"));
    line(sdp, format_args!("a=fmtp:{OPUS} minptime=10;useinbandfec=1"));
    if local.red {
        line(sdp, format_args!("a=rtpmap:{RED} red/48000/2\r\na=fmtp:{RED} {OPUS}/{OPUS}"));
    }
}

fn transport(sdp: &mut String, local: &Local<'_>, mid: &str, setup: &str) {
    let Local { credentials: IceCredentials { ufrag, pwd }, fingerprint, .. } = local;
    line(sdp, format_args!("c=IN IP4 0.0.0.0"));
    line(sdp, format_args!("a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\na=ice-options:trickle"));
    line(sdp, format_args!("a=fingerprint:sha-256 {fingerprint}\r\na=setup:{setup}\r\na=mid:{mid}"));
}

fn line(sdp: &mut String, text: std::fmt::Arguments<'_>) {
    write!(sdp, "{text}\r\n").expect("a string takes everything");
}
