//! Reads the descriptions that we print, apart from the reader under test.

/// One media section: its `m=` line and its attributes, without `a=`.
#[derive(Clone, Debug)]
pub struct Section {
    pub media: String,
    pub attributes: Vec<String>,
}

impl Section {
    pub fn has(&self, attribute: &str) -> bool {
        self.attributes.iter().any(|a| a == attribute)
    }

    pub fn value(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find_map(|a| a.strip_prefix(name)?.strip_prefix(':'))
    }

    pub fn mid(&self) -> &str {
        self.value("mid").expect("every section has a mid")
    }

    pub fn kind(&self) -> &str {
        self.media.split_ascii_whitespace().next().expect("a media line has a kind")
    }

    pub fn is_rejected(&self) -> bool {
        self.media.split_ascii_whitespace().nth(1) == Some("0")
    }

    pub fn formats(&self) -> Vec<&str> {
        self.media.split_ascii_whitespace().skip(3).collect()
    }

    pub fn direction(&self) -> &str {
        let names = ["sendrecv", "sendonly", "recvonly", "inactive"];
        names.into_iter().find(|name| self.has(name)).unwrap_or("sendrecv")
    }

    pub fn opus_parameters(&self) -> &str {
        let map =
            self.attributes.iter().find_map(|a| a.strip_prefix("rtpmap:")?.strip_suffix(" opus/48000/2"));
        let opus = map.expect("an Opus section");
        self.attributes
            .iter()
            .find_map(|a| a.strip_prefix(&format!("fmtp:{opus} ")))
            .expect("Opus has parameters")
    }
}

/// Splits a description into what stands before the first section, and the sections.
pub fn sections(sdp: &str) -> (Vec<String>, Vec<Section>) {
    assert!(sdp.ends_with("\r\n") && !sdp.replace("\r\n", "").contains(['\r', '\n']), "lines end in CRLF");
    let (mut session, mut sections) = (Vec::new(), Vec::<Section>::new());
    for line in sdp.lines() {
        if let Some(media) = line.strip_prefix("m=") {
            sections.push(Section { media: media.to_owned(), attributes: Vec::new() });
        } else if let Some(section) = sections.last_mut() {
            section.attributes.extend(line.strip_prefix("a=").map(str::to_owned));
        } else {
            session.push(line.to_owned());
        }
    }
    (session, sections)
}

/// The mids of the bundle, in order.
pub fn bundle(session: &[String]) -> Vec<String> {
    let group = session.iter().find_map(|line| line.strip_prefix("a=group:BUNDLE "));
    group.map(|mids| mids.split(' ').map(str::to_owned).collect()).unwrap_or_default()
}
