//! Session description text to borrowed structure, within limits (RFC 8866).
//!
//! An own reader and no crate: it borrows from the text, stops at the first line over a limit, and forgives what
//! browsers forgive (bare LF, unknown lines, any attribute order).

use super::SdpError;

/// Bytes of one description, as many as a message of the signalling may have. A single connection with 200 audio sections is about
/// 250 KiB.
const MAX_TEXT: usize = 2 * 1024 * 1024;
const MAX_LINES: usize = 32 * 1024;
const MAX_LINE: usize = 8 * 1024;
/// Attributes of one section. Chromium's video sections have about 230.
const MAX_ATTRIBUTES: usize = 1024;
/// Attributes of the session, which every section may inherit. Clients send fewer than 10.
const MAX_SESSION_ATTRIBUTES: usize = 128;
/// Media sections of one description, ours included: a room of a thousand open microphones. Tracks beyond that are not heard.
pub(super) const MAX_SECTIONS: usize = 1024;

/// There are 128 payload types.
const MAX_FORMATS: usize = 128;

/// A session description: its attributes and its media sections.
#[derive(Debug)]
pub(super) struct Description<'a> {
    pub session: Attributes<'a>,
    pub media: Vec<Media<'a>>,
}

/// One `m=` line with the attributes under it.
#[derive(Debug)]
pub(super) struct Media<'a> {
    pub kind: &'a str,
    pub port: u16,
    pub protocol: &'a str,
    /// Payload types, or the application protocol; never empty.
    pub formats: Vec<&'a str>,
    pub attributes: Attributes<'a>,
}

/// `a=` lines in their order.
#[derive(Debug, Default)]
pub(super) struct Attributes<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Attributes<'a> {
    /// The value of the first attribute called `name`; empty where it has none.
    pub fn value(&self, name: &str) -> Option<&'a str> {
        self.values(name).next()
    }

    /// The values of all attributes called `name`, in order.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| *n == name).map(|(_, value)| *value)
    }

    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }
}

/// Reads a session description. Lines end in CRLF or LF; empty lines and unknown line types are skipped.
pub(super) fn description(text: &str) -> Result<Description<'_>, SdpError> {
    if text.len() > MAX_TEXT {
        return Err(SdpError::TooLarge("bytes"));
    }
    let mut description = Description { session: Attributes::default(), media: Vec::new() };
    let mut begun = false;
    for (index, line) in text.split('\n').enumerate() {
        if index == MAX_LINES {
            return Err(SdpError::TooLarge("lines"));
        }
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let malformed = |reason| SdpError::Malformed { line: index + 1, reason };
        if line.len() > MAX_LINE {
            return Err(SdpError::TooLarge("bytes in a line"));
        }
        // Parts of lines are echoed in answers: what could end a line there must not get in here.
        if line.contains(['\r', '\0']) {
            return Err(malformed("control character"));
        }
        let Some((kind, value)) = line.split_once('=') else { return Err(malformed("not `type=value`")) };
        if !begun {
            if (kind, value) != ("v", "0") {
                return Err(malformed("does not begin with `v=0`"));
            }
            begun = true;
        }
        match kind {
            "m" if description.media.len() == MAX_SECTIONS => {
                return Err(SdpError::TooLarge("media sections"));
            }
            "m" => description.media.push(media(value).ok_or_else(|| malformed("bad media line"))?),
            "a" => {
                let (attributes, limit) = description.innermost();
                if attributes.0.len() == limit {
                    return Err(SdpError::TooLarge("attributes"));
                }
                attributes.0.push(value.split_once(':').unwrap_or((value, "")));
            }
            _ => {}
        }
    }
    if description.media.is_empty() {
        return Err(SdpError::Missing("media section"));
    }
    Ok(description)
}

impl<'a> Description<'a> {
    /// Where the next attribute belongs, and how many may be there.
    fn innermost(&mut self) -> (&mut Attributes<'a>, usize) {
        match self.media.last_mut() {
            Some(media) => (&mut media.attributes, MAX_ATTRIBUTES),
            None => (&mut self.session, MAX_SESSION_ATTRIBUTES),
        }
    }

    /// The value of an attribute that may stand in the section or, for all sections, before the first.
    pub fn inherited(&self, media: &Media<'a>, name: &str) -> Option<&'a str> {
        media.attributes.value(name).or_else(|| self.session.value(name))
    }
}

fn media(value: &str) -> Option<Media<'_>> {
    let mut words = value.split_ascii_whitespace();
    let kind = words.next()?;
    let port = words.next()?;
    // `port/count` is for layered multicast; the first port is enough (RFC 8866 §5.14).
    let port = port.split_once('/').map_or(port, |(first, _)| first).parse().ok()?;
    let protocol = words.next()?;
    let formats: Vec<&str> = words.take(MAX_FORMATS).collect();
    (!formats.is_empty()).then_some(Media {
        kind,
        port,
        protocol,
        formats,
        attributes: Attributes::default(),
    })
}
