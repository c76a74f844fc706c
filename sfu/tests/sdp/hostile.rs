//! Descriptions that no client wrote: each is an error with a type, or gets an answer that fits it.

use std::collections::HashMap;

use banter_sfu::TrackKey;
use banter_sfu::sdp::{Negotiation, SdpError};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::recorded::{DUAL, SINGLE, SUBSCRIBER};
use crate::text::{bundle, sections};
use crate::{incoming, local, outgoings};

#[test]
fn too_much_of_anything_is_refused() {
    let offer = SINGLE[0].offers[0];
    let (session, rest) = offer.split_at(offer.find("m=").unwrap());
    let many_sections = format!("{session}{}", "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n".repeat(10_000));
    assert_eq!(refusal(&many_sections), SdpError::TooLarge("media sections"));
    assert_eq!(refusal(&format!("{offer}{}", "a=x\r\n".repeat(2_000))), SdpError::TooLarge("attributes"));
    assert_eq!(
        refusal(&format!("{session}{}{rest}", "a=x\r\n".repeat(2_000))),
        SdpError::TooLarge("attributes")
    );
    assert_eq!(refusal(&format!("{session}{}{rest}", "b=x\n".repeat(40_000))), SdpError::TooLarge("lines"));
    assert_eq!(refusal(&format!("{offer}a={}", "x".repeat(9_000))), SdpError::TooLarge("bytes in a line"));
    assert_eq!(refusal(&"v=0\r\n".repeat(500_000)), SdpError::TooLarge("bytes"));
}

#[test]
fn candidates_and_sources_beyond_the_limit_are_left_out() {
    let candidates: String =
        (0..500).map(|n| format!("a=candidate:{n} 1 udp 1 192.0.2.1 {n} typ host\r\n")).collect();
    let offer = SINGLE[0].offers[0].replacen("a=mid:0\r\n", &format!("a=mid:0\r\n{candidates}"), 1);
    assert_eq!(accept(&offer).remote.candidates.len(), 64);

    let sources: String = (0..500).map(|n| format!("a=ssrc:{n} cname:x\r\n")).collect();
    let offer = SINGLE[0].offers[1].replacen("a=mid:7\r\n", &format!("a=mid:7\r\n{sources}"), 1);
    assert_eq!(accept(&offer).receiving[0].ssrcs.len(), 16);
}

#[test]
fn each_defect_has_its_error() {
    let offer = SINGLE[0].offers[0];
    assert_eq!(
        refusal(&offer.replace("a=mid:1\r\n", "a=mid:0\r\n")).to_string(),
        "two media sections are called 0"
    );
    assert_eq!(refusal(&offer.replace("a=mid:1\r\n", "")), SdpError::Missing("mid"));
    assert_eq!(refusal(&offer.replace("a=mid:1\r\n", "a=mid:\r\n")), SdpError::Missing("mid"));
    assert_eq!(refusal(&offer.replace("a=mid:1\r\n", "a=mid:1 2\r\n")), SdpError::Missing("mid"));
    assert_eq!(refusal(&offer.replace("a=ice-ufrag", "a=ufrag")), SdpError::Missing("ice-ufrag"));
    assert_eq!(
        refusal(&offer.replace("a=ice-pwd:", "a=ice-pwd:short\r\na=pwd:")),
        SdpError::Missing("ice-pwd")
    );
    assert_eq!(refusal(&offer.replace("a=setup:actpass", "a=setup:holdconn")), SdpError::Setup);
    assert_eq!(
        refusal(&offer.replace("a=rtcp-mux", "a=mux").replace("m=app", "m=other")).to_string(),
        NO_SECTION
    );
    assert_eq!(
        refusal(&offer.replace("a=group:BUNDLE 0 1 2 3 4 5 6", "a=group:BUNDLE x y")).to_string(),
        NO_SECTION
    );
    assert_eq!(refusal(""), SdpError::Missing("media section"));
    assert!(matches!(refusal("hello"), SdpError::Malformed { line: 1, .. }));
    assert!(matches!(refusal("o=-\r\n"), SdpError::Malformed { line: 1, .. }));
    assert!(matches!(refusal("v=0\r\nm=audio x y z\r\n"), SdpError::Malformed { line: 2, .. }));
    assert!(matches!(refusal("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF\r\n"), SdpError::Malformed { line: 2, .. }));
    assert!(matches!(refusal("v=0\r\na=mid:0\ra=mid:1\r\n"), SdpError::Malformed { line: 2, .. }));
}

const NO_SECTION: &str = "the description has no usable media section";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_mutilated_offer_gets_an_error_or_an_answer_that_fits(
        base in select(offers()),
        cuts in prop::collection::vec(mutation(), 1..8),
    ) {
        let offer = cuts.iter().fold(base.to_owned(), |text, cut| cut.apply(&text));
        let mut negotiation = Negotiation::answerer();
        for text in [base, &offer, base] {
            let tracks = outgoings(&[1, 2, 3, 4]);
            let mine = [incoming(7, "one"), incoming(8, "two")];
            if let Ok(answered) = negotiation.handle_offer(text, &local(), &mine, &tracks) {
                check_fit(text, &answered.sdp)?;
                let sent: HashMap<&str, TrackKey> =
                    answered.sending.iter().map(|sent| (sent.mid.0.as_str(), sent.track)).collect();
                prop_assert_eq!(sent.len(), answered.sending.len());
                prop_assert!(answered.receiving.iter().all(|section| !sent.contains_key(section.mid.0.as_str())));
                prop_assert!(!answered.remote.fingerprints.is_empty());
            }
            negotiation.restarts_ice(text);
            negotiation.bind_late(&incoming(9, "three"));
        }
    }

    #[test]
    fn a_mutilated_answer_gets_an_error_or_counts_only_what_was_offered(
        client in 0..SUBSCRIBER.len(),
        cuts in prop::collection::vec(mutation(), 1..8),
    ) {
        let answers = SUBSCRIBER[client].answers;
        let mut negotiation = Negotiation::offerer();
        let offered = negotiation.create_offer(&local(), &outgoings(&[1, 2])).unwrap();
        let answer = cuts.iter().fold(answers[1].to_owned(), |text, cut| cut.apply(&text));
        if let Ok(accepted) = negotiation.handle_answer(&answer) {
            for sent in accepted.sending {
                prop_assert!(offered.sending.contains(&(sent.mid, sent.track)));
            }
            negotiation.create_offer(&local(), &outgoings(&[2, 3])).unwrap();
        }
    }

    #[test]
    fn arbitrary_lines_never_panic(lines in prop::collection::vec("[a-z]=[ -~]{0,40}", 0..40)) {
        let text = format!("v=0\r\n{}", lines.join("\r\n"));
        let _ = Negotiation::answerer().handle_offer(&text, &local(), &[], &[]);
    }

    /// Whatever comes and goes, a section never changes from one track to another without having been inactive, and
    /// in the end everything wanted is placed or counted.
    #[test]
    fn no_section_changes_its_track_in_one_step(
        client in 0..SINGLE.len(),
        rounds in prop::collection::vec((prop::sample::subsequence((1..9).collect::<Vec<u64>>(), 0..8), 0..3_usize), 1..12),
    ) {
        let mut negotiation = Negotiation::answerer();
        let mut before: HashMap<String, TrackKey> = HashMap::new();
        for (tracks, offer) in rounds {
            let wanted = outgoings(&tracks);
            let answered = negotiation.handle_offer(SINGLE[client].offers[offer], &local(), &[], &wanted).unwrap();
            let now: HashMap<String, TrackKey> =
                answered.sending.iter().map(|sent| (sent.mid.0.clone(), sent.track)).collect();
            for sent in &answered.sending {
                let earlier = before.get(&sent.mid.0);
                prop_assert!(earlier.is_none_or(|earlier| *earlier == sent.track));
                prop_assert!(tracks.contains(&sent.track.0));
            }
            let unplaced = usize::try_from(answered.unplaced).unwrap();
            prop_assert!(now.len() + unplaced <= tracks.len());
            prop_assert!(answered.needs_reoffer || now.len() + unplaced == tracks.len());
            prop_assert_eq!(negotiation.missing_sections(&wanted), answered.unplaced);
            before = now;
        }
    }
}

fn check_fit(offer: &str, answer: &str) -> Result<(), TestCaseError> {
    let (session, answered) = sections(answer);
    let (_, offered) =
        sections(&format!("{}\r\n", offer.replace("\r\n", "\n").trim_end().replace('\n', "\r\n")));
    prop_assert_eq!(answered.len(), offered.len());
    let group = bundle(&session);
    // Without a bundle there is a transport for one section only.
    prop_assert!(!group.is_empty() || answered.iter().filter(|section| !section.is_rejected()).count() == 1);
    for (answered, offered) in answered.iter().zip(&offered) {
        prop_assert_eq!(answered.mid(), offered.mid());
        prop_assert_eq!(answered.kind(), offered.kind());
        let bundled = group.iter().any(|mid| mid == answered.mid());
        prop_assert!(group.is_empty() || bundled != answered.is_rejected());
        prop_assert!(answered.formats().iter().all(|format| offered.formats().contains(format)));
        let possible: &[&str] = match answered.direction() {
            "sendonly" => &["recvonly", "sendrecv"],
            "recvonly" => &["sendonly", "sendrecv"],
            _ => continue,
        };
        prop_assert!(possible.contains(&offered.direction()));
    }
    Ok(())
}

/// One thing done to a text, in lines.
#[derive(Clone, Debug)]
enum Mutation {
    Drop(Index),
    Double(Index),
    Swap(Index, Index),
    Cut(Index),
    Replace(Index, Index, char),
    Insert(Index, &'static str),
    Splice(Index, Index, &'static str),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        at().prop_map(Mutation::Drop),
        at().prop_map(Mutation::Double),
        (at(), at()).prop_map(|(a, b)| Mutation::Swap(a, b)),
        at().prop_map(Mutation::Cut),
        (at(), at(), any::<char>()).prop_map(|(line, place, to)| Mutation::Replace(line, place, to)),
        (at(), select(&LINES[..])).prop_map(|(line, text)| Mutation::Insert(line, text)),
        (at(), at(), select(offers())).prop_map(|(a, b, other)| Mutation::Splice(a, b, other)),
    ]
}

const LINES: [&str; 16] = [
    "a=sendrecv",
    "a=sendonly",
    "a=inactive",
    "a=bundle-only",
    "a=mid:0",
    "a=setup:passive",
    "a=group:BUNDLE 6 5 4 3",
    "a=rtpmap:111 opus/48000/2",
    "a=rtpmap:999 opus/48000/2",
    "a=extmap:0 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    "a=ssrc:4294967295 msid:",
    "a=fingerprint:sha-256 é:é",
    "a=fmtp:63 111/111/111",
    "m=audio 0 UDP/TLS/RTP/SAVPF 0",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 255 -1 +5 x",
];

impl Mutation {
    fn apply(&self, text: &str) -> String {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        if lines.is_empty() {
            return String::new();
        }
        let count = lines.len();
        match self {
            Self::Drop(line) => drop(lines.remove(line.index(count))),
            Self::Double(line) => lines.insert(line.index(count), lines[line.index(count)].clone()),
            Self::Swap(a, b) => lines.swap(a.index(count), b.index(count)),
            Self::Cut(line) => lines.truncate(line.index(count) + 1),
            Self::Insert(line, text) => lines.insert(line.index(count), (*text).to_owned()),
            Self::Replace(line, place, to) => {
                let mut chars: Vec<char> = lines[line.index(count)].chars().collect();
                if !chars.is_empty() {
                    let place = place.index(chars.len());
                    chars[place] = *to;
                }
                lines[line.index(count)] = chars.into_iter().collect();
            }
            Self::Splice(a, b, other) => {
                lines.truncate(a.index(count));
                let other: Vec<&str> = other.lines().collect();
                lines.extend(other[b.index(other.len())..].iter().map(|line| (*line).to_owned()));
            }
        }
        lines.join("\r\n") + "\r\n"
    }
}

fn offers() -> Vec<&'static str> {
    SINGLE.iter().chain(&DUAL).flat_map(|session| session.offers).copied().collect()
}

fn accept(offer: &str) -> banter_sfu::sdp::Answered {
    let track = [incoming(1, SINGLE[0].cids[0])];
    Negotiation::answerer().handle_offer(offer, &local(), &track, &[]).expect("the offer is acceptable")
}

fn refusal(offer: &str) -> SdpError {
    Negotiation::answerer().handle_offer(offer, &local(), &[], &[]).expect_err("the offer is not acceptable")
}
