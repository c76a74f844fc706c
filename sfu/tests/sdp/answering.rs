//! The side that answers.

use banter_sfu::sdp::{Answered, Incoming, Negotiation, Outgoing, SdpError, Setup};
use banter_sfu::{PayloadType, TrackKey};

use crate::recorded::{DUAL, SINGLE, Session};
use crate::text::{Section, bundle, sections};
use crate::{incoming, local, outgoing, outgoings, ssrc};

#[test]
fn sections_that_nobody_uses_are_inactive_and_the_tag_is_not_rejected() {
    for Session { client, offers, opus, .. } in &SINGLE {
        let answered = answer(&mut Negotiation::answerer(), offers[0], &[], &[]);
        let (session, sections) = sections(&answered.sdp);
        assert_eq!(sections.len(), 7, "{client}");
        assert_eq!(bundle(&session), ["0", "1", "2", "3", "4", "5", "6"], "{client}");
        for section in sections.iter().filter(|section| section.kind() != "application") {
            assert!(!section.is_rejected() && section.has("inactive") && section.has("rtcp-mux"), "{client}");
        }
        assert_eq!(sections[0].formats()[0], opus.to_string(), "{client}");
        assert!(sections[0].has("end-of-candidates"), "{client}");
        assert_eq!(sections[6].value("sctp-port"), Some("5000"), "{client}");
        assert!(
            sections[6].value("max-message-size").is_some() && answered.remote.has_data_section,
            "{client}"
        );
        assert!(sections[6].value("sctp-init").is_none(), "{client}");
    }
}

#[test]
fn a_session_publishes_unpublishes_and_publishes_again() {
    for Session { client, offers, cids, opus, red } in SINGLE.iter().chain(&DUAL) {
        let mut negotiation = Negotiation::answerer();
        let first = [incoming(1, cids[0])];
        answer(&mut negotiation, offers[0], &[], &[]);

        let published = answer(&mut negotiation, offers[1], &first, &[]);
        let [section] = &published.receiving[..] else { panic!("{client}: one section") };
        assert_eq!((section.track, section.opus), (TrackKey(1), PayloadType(*opus)), "{client}");
        assert_eq!(section.red, red.map(PayloadType), "{client}");
        assert!(section.audio_level_ext.is_some() && section.mid_ext.is_some(), "{client}");
        assert_eq!(section.ssrcs.len(), 1, "{client}");
        let printed = by_mid(&published.sdp, &section.mid.0);
        assert_eq!(printed.direction(), "recvonly", "{client}");
        assert_eq!(printed.formats()[0], red.unwrap_or(*opus).to_string(), "{client}");
        assert!(printed.opus_parameters().ends_with(";usedtx=1"), "{client}");

        let Some(unpublish) = offers.get(2) else { continue };
        let unpublished = answer(&mut negotiation, unpublish, &first, &outgoings(&[7, 8, 9, 10]));
        assert_eq!(unpublished.dropped, [TrackKey(1)], "{client}");
        // Native clients leave the section `recvonly`: it must not be taken for a free one.
        assert!(unpublished.sending.iter().all(|sent| sent.mid != section.mid), "{client}");

        let Some(republish) = offers.get(3) else { continue };
        let republished = answer(&mut negotiation, republish, &[incoming(2, cids[1])], &[]);
        let [again] = &republished.receiving[..] else { panic!("{client}: one section") };
        assert_eq!(again.track, TrackKey(2), "{client}");
        assert_ne!(again.mid, section.mid, "{client}");
        assert!(republished.dropped.is_empty(), "{client}");
    }
}

#[test]
fn a_track_that_is_given_up_and_wanted_again_goes_before_it_comes_back() {
    for Session { client, offers, .. } in &SINGLE {
        let mut negotiation = Negotiation::answerer();
        answer(&mut negotiation, offers[0], &[], &[outgoing(7)]);
        let again = [Outgoing { ssrc: ssrc(77), ..outgoing(7) }];
        assert!(negotiation.is_outdated(&again), "{client}");
        let gone = answer(&mut negotiation, offers[0], &[], &again);
        assert!(gone.sending.is_empty() && gone.needs_reoffer, "{client}");
        assert_eq!(gone.unplaced, 0, "{client}");
        let back = answer(&mut negotiation, offers[0], &[], &again);
        assert_eq!(back.sending.iter().map(|sent| sent.ssrc).collect::<Vec<_>>(), [ssrc(77)], "{client}");
        assert!(!negotiation.is_outdated(&again), "{client}");
    }
}

#[test]
fn a_section_passes_through_inactive_before_it_carries_another_track() {
    for Session { client, offers, .. } in &SINGLE {
        let mut negotiation = Negotiation::answerer();
        let direction = |answered: &Answered| by_mid(&answered.sdp, "0").direction().to_owned();
        let mids = |answered: &Answered| {
            answered.sending.iter().map(|sent| (sent.mid.0.clone(), sent.track.0)).collect::<Vec<_>>()
        };
        let pairs = |pairs: &[(&str, u64)]| {
            pairs.iter().map(|(mid, track)| ((*mid).to_owned(), *track)).collect::<Vec<_>>()
        };

        let first = answer(&mut negotiation, offers[0], &[], &outgoings(&[1, 2, 3]));
        assert_eq!(mids(&first), pairs(&[("0", 1), ("1", 2), ("2", 3)]), "{client}");
        assert_eq!(direction(&first), "sendonly", "{client}");

        let second = answer(&mut negotiation, offers[0], &[], &outgoings(&[2, 3, 4, 5]));
        assert_eq!(mids(&second), pairs(&[("1", 2), ("2", 3)]), "{client}");
        assert_eq!(direction(&second), "inactive", "{client}");
        assert_eq!((second.unplaced, second.needs_reoffer), (1, true), "{client}");
        assert_eq!(negotiation.missing_sections(&outgoings(&[2, 3, 4, 5])), 1, "{client}");

        let third = answer(&mut negotiation, offers[0], &[], &outgoings(&[2, 3, 4, 5]));
        assert_eq!(mids(&third), pairs(&[("0", 4), ("1", 2), ("2", 3)]), "{client}");
        assert_eq!(direction(&third), "sendonly", "{client}");
        assert_eq!((third.unplaced, third.needs_reoffer), (1, false), "{client}");
        assert!(negotiation.is_outdated(&outgoings(&[2, 3, 4, 5])), "{client}");
        assert!(!negotiation.is_outdated(&outgoings(&[4, 3, 2])), "{client}");
    }
}

#[test]
fn a_peer_is_asked_for_no_more_sections_than_are_understood() {
    let offer = |count: usize| -> String {
        let mids: String = (0..count).map(|mid| format!(" {mid}")).collect();
        let section = |mid| {
            format!(
                "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:{mid}\r\na=recvonly\r\na=rtpmap:111 opus/48000/2\r\n\
                 a=ice-ufrag:user\r\na=ice-pwd:0123456789abcdefghijkl\r\na=setup:actpass\r\n\
                 a=fingerprint:sha-256 {}\r\na=rtcp-mux\r\n",
                ["CD"; 32].join(":")
            )
        };
        let sections: String = (0..count).map(section).collect();
        format!("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE{mids}\r\n{sections}")
    };
    let tracks: Vec<u64> = (1..=1_500).collect();
    let mut negotiation = Negotiation::answerer();
    let first = answer(&mut negotiation, &offer(1_000), &[], &outgoings(&tracks));
    assert_eq!((first.sending.len(), first.unplaced), (1_000, 500));
    assert_eq!(negotiation.missing_sections(&outgoings(&tracks)), 23);
    assert!(negotiation.is_outdated(&outgoings(&tracks)));

    let second = answer(&mut negotiation, &offer(1_023), &[], &outgoings(&tracks));
    assert_eq!((second.sending.len(), second.unplaced), (1_023, 477));
    // What has no section will not get one by asking again.
    assert_eq!(negotiation.missing_sections(&outgoings(&tracks)), 0);
    assert!(!negotiation.is_outdated(&outgoings(&tracks)));
    assert!(negotiation.is_outdated(&outgoings(&tracks[1..])), "one that has a section is given up");
}

#[test]
fn a_sending_section_names_its_stream_and_echoes_the_payload_types_of_the_offer() {
    for Session { client, offers, opus, red, .. } in &SINGLE {
        let tracks = [Outgoing { red: true, stereo: true, ..outgoing(1) }, outgoing(2)];
        let answered = answer(&mut Negotiation::answerer(), offers[0], &[], &tracks);
        let [stereo, mono] = [by_mid(&answered.sdp, "0"), by_mid(&answered.sdp, "1")];
        assert_eq!(stereo.value("msid"), Some("PA_1|TR_1 TR_1"), "{client}");
        assert!(stereo.has("ssrc:1001 cname:PA_1|TR_1"), "{client}");
        assert!(stereo.has("ssrc:1001 msid:PA_1|TR_1 TR_1"), "{client}");
        assert_eq!(stereo.opus_parameters(), "minptime=10;useinbandfec=1;sprop-stereo=1", "{client}");
        assert_eq!(stereo.formats()[0], red.unwrap_or(*opus).to_string(), "{client}");
        assert_eq!(mono.formats()[0], opus.to_string(), "{client}");
        assert_eq!(mono.opus_parameters(), "minptime=10;useinbandfec=1", "{client}");
        let agreed = &answered.sending[0];
        assert_eq!((agreed.opus, agreed.red), (PayloadType(*opus), red.map(PayloadType)), "{client}");
    }
}

#[test]
fn what_a_track_forbids_or_asks_for_is_in_the_answer() {
    let Session { offers, cids, .. } = &SINGLE[0];
    let track = Incoming { red: false, stereo: true, dtx: false, ..incoming(1, cids[0]) };
    let answered = answer(&mut Negotiation::answerer(), offers[1], std::slice::from_ref(&track), &[]);
    let section = by_mid(&answered.sdp, "7");
    assert_eq!(section.formats(), ["111"]);
    assert_eq!(section.opus_parameters(), "minptime=10;useinbandfec=1;stereo=1;maxaveragebitrate=510000");
    assert_eq!(answered.receiving[0].red, None);

    let track = Incoming { max_bitrate: Some(16_000), ..track };
    let answered = answer(&mut Negotiation::answerer(), offers[1], &[track], &[]);
    let section = by_mid(&answered.sdp, "7");
    assert_eq!(section.opus_parameters(), "minptime=10;useinbandfec=1;stereo=1;maxaveragebitrate=16000");
    let said = answered.sdp.split("m=").find(|section| section.contains("a=mid:7\r\n"));
    assert!(
        said.is_some_and(|section| section.contains("c=IN IP4 0.0.0.0\r\nb=TIAS:16000\r\na=")),
        "{said:?}"
    );
}

#[test]
fn repeats_are_agreed_only_where_they_were_offered() {
    let Session { offers, cids, .. } = &SINGLE[0];
    let track = [incoming(1, cids[0])];
    let without = answer(&mut Negotiation::answerer(), offers[1], &track, &[]);
    assert!(!without.receiving[0].nack && !without.sdp.contains(" nack"));
    for feedback in ["a=rtcp-fb:111 nack", "a=rtcp-fb:* nack"] {
        let offer = offers[1].replace("a=rtcp-fb:111 transport-cc", feedback);
        let with = answer(&mut Negotiation::answerer(), &offer, &track, &outgoings(&[2]));
        assert!(with.receiving[0].nack && with.sending[0].nack);
        assert!(by_mid(&with.sdp, "7").has("rtcp-fb:111 nack"));
    }
}

#[test]
fn a_track_announced_after_its_section_is_bound_without_another_offer() {
    for Session { client, offers, cids, opus, .. } in &SINGLE {
        let mut negotiation = Negotiation::answerer();
        let answered = answer(&mut negotiation, offers[1], &[], &[]);
        assert!(answered.receiving.is_empty(), "{client}");
        assert_eq!(by_mid(&answered.sdp, "7").direction(), "recvonly", "{client}");
        assert_eq!(by_mid(&answered.sdp, "7").formats(), [opus.to_string()], "{client}");

        let section = negotiation.bind_late(&incoming(1, cids[0])).expect("the section waits");
        assert_eq!((section.mid.0.as_str(), section.red), ("7", None), "{client}");
        assert_eq!(negotiation.bind_late(&incoming(2, "another")), None, "{client}");
        let again = answer(&mut negotiation, offers[1], &[incoming(1, cids[0])], &[]);
        assert_eq!(again.receiving[0].track, TrackKey(1), "{client}");
    }
}

#[test]
fn a_name_in_the_description_beats_the_order_of_announcement() {
    let Session { offers, cids, .. } = &SINGLE[0];
    let tracks = [incoming(1, "not in the offer"), incoming(2, cids[0])];
    let answered = answer(&mut Negotiation::answerer(), offers[1], &tracks, &[]);
    assert_eq!(answered.receiving[0].track, TrackKey(2));
    assert!(answered.dropped.is_empty());
}

#[test]
fn a_section_whose_track_was_withdrawn_is_not_given_to_the_next_one() {
    let Session { offers, cids, .. } = &SINGLE[1];
    let mut negotiation = Negotiation::answerer();
    answer(&mut negotiation, offers[1], &[incoming(1, cids[0])], &[]);
    let withdrawn = answer(&mut negotiation, offers[1], &[], &[]);
    assert!(withdrawn.receiving.is_empty() && withdrawn.dropped.is_empty());
    assert_eq!(negotiation.bind_late(&incoming(2, cids[1])), None);
    assert!(answer(&mut negotiation, offers[1], &[incoming(2, cids[1])], &[]).receiving.is_empty());
}

#[test]
fn new_credentials_of_the_peer_are_an_ice_restart() {
    for Session { client, offers, .. } in &SINGLE {
        let mut negotiation = Negotiation::answerer();
        assert!(!negotiation.has_remote() && !negotiation.restarts_ice(offers[0]), "{client}");
        let first = answer(&mut negotiation, offers[0], &[], &outgoings(&[1]));
        assert!(negotiation.has_remote() && !first.ice_restart, "{client}");
        assert!(!negotiation.restarts_ice(offers[1]), "{client}");
        assert!(!answer(&mut negotiation, offers[1], &[], &[]).ice_restart, "{client}");

        let restart = offers[1].replace(&first.remote.ice_ufrag, "fresh");
        assert!(negotiation.restarts_ice(&restart), "{client}");
        let restarted = answer(&mut negotiation, &restart, &[], &outgoings(&[2, 3, 4]));
        assert!(restarted.ice_restart, "{client}");
        // The client may have dropped the answer that took track 1 off section 0.
        let mids: Vec<&str> = restarted.sending.iter().map(|sent| sent.mid.0.as_str()).collect();
        assert_eq!((mids, restarted.needs_reoffer), (vec!["1", "2"], true), "{client}");
    }
}

#[test]
fn we_leave_the_handshake_to_the_peer_unless_it_insists() {
    let offer = SINGLE[0].offers[0];
    let mut negotiation = Negotiation::answerer();
    let answered = answer(&mut negotiation, offer, &[], &[]);
    assert_eq!(answered.remote.setup, Setup::ActPass);
    assert!(sections(&answered.sdp).1.iter().all(|section| section.value("setup") == Some("passive")));
    let passive = offer.replace("a=setup:actpass", "a=setup:passive");
    assert_eq!(refuse(&mut negotiation, &passive), SdpError::Setup);

    let mut negotiation = Negotiation::answerer();
    let answered = answer(&mut negotiation, &passive, &[], &[]);
    assert_eq!(answered.remote.setup, Setup::Passive);
    assert!(sections(&answered.sdp).1.iter().all(|section| section.value("setup") == Some("active")));
    let later = answer(&mut negotiation, offer, &[], &[]);
    assert!(sections(&later.sdp).1.iter().all(|section| section.value("setup") == Some("active")));
}

#[test]
fn fingerprints_are_taken_from_the_section_or_the_session_and_may_be_several() {
    let chromium = SINGLE[0].offers[0];
    let firefox = SINGLE[1].offers[0];
    for offer in [chromium, firefox] {
        let answered = answer(&mut Negotiation::answerer(), offer, &[], &[]);
        let [(hash, digest)] = &answered.remote.fingerprints[..] else { panic!("one fingerprint") };
        assert_eq!((hash.as_str(), digest.len()), ("sha-256", 32));
    }
    let more = format!("a=fingerprint:SHA-512 {}\r\na=fingerprint:", ["0f"; 64].join(":"));
    let both = chromium.replace("a=fingerprint:", &more);
    let answered = answer(&mut Negotiation::answerer(), &both, &[], &[]);
    let hashes: Vec<&str> = answered.remote.fingerprints.iter().map(|(hash, _)| hash.as_str()).collect();
    assert_eq!(hashes, ["sha-512", "sha-256"]);

    for offer in [chromium, firefox] {
        let without = offer.replace("a=fingerprint:", "a=finger:");
        assert_eq!(refuse(&mut Negotiation::answerer(), &without), SdpError::Missing("fingerprint"));
    }
}

#[test]
fn another_certificate_is_refused_and_changes_nothing() {
    let Session { offers, cids, .. } = &SINGLE[2];
    let mut negotiation = Negotiation::answerer();
    answer(&mut negotiation, offers[1], &[incoming(1, cids[0])], &outgoings(&[5]));
    let changed = offers[1].replace("a=fingerprint:sha-256 7D", "a=fingerprint:sha-256 7E");
    assert_ne!(changed, offers[1]);
    assert_eq!(refuse(&mut negotiation, &changed), SdpError::CertificateChanged);
    let answered = answer(&mut negotiation, offers[1], &[incoming(1, cids[0])], &outgoings(&[5]));
    assert_eq!((answered.receiving.len(), answered.sending.len()), (1, 1));
}

#[test]
fn candidates_are_those_of_the_tag_without_the_rtcp_component() {
    let Session { offers, .. } = &SINGLE[2];
    let answered = answer(&mut Negotiation::answerer(), offers[1], &[], &[]);
    let candidates = &answered.remote.candidates;
    assert!(!candidates.is_empty() && candidates.iter().all(|c| c.starts_with("candidate:")));
    let offer = offers[1].replace("a=mid:0\r\n", "a=mid:0\r\na=candidate:9 2 udp 1 192.0.2.9 9 typ host\r\n");
    let again = answer(&mut Negotiation::answerer(), &offer, &[], &[]);
    assert_eq!(&again.remote.candidates, candidates);
}

#[test]
fn a_section_outside_the_bundle_is_rejected() {
    let Session { offers, .. } = &SINGLE[0];
    let offer = offers[0].replace("a=group:BUNDLE 0 1 2 3 4 5 6", "a=group:BUNDLE 0 6 6 nobody");
    let answered = answer(&mut Negotiation::answerer(), &offer, &[], &outgoings(&[1, 2]));
    let (session, sections) = sections(&answered.sdp);
    assert_eq!(bundle(&session), ["0", "6"]);
    let rejected: Vec<&str> = sections.iter().filter(|s| s.is_rejected()).map(Section::mid).collect();
    assert_eq!(rejected, ["1", "2", "3", "4", "5"]);
    assert_eq!((answered.sending.len(), answered.unplaced), (1, 1));
}

#[test]
fn a_peer_without_bundling_gets_its_first_section() {
    let offer = DUAL[0].offers[0].replace("a=group:BUNDLE 0\r\n", "");
    let answered = answer(&mut Negotiation::answerer(), &offer, &[], &[]);
    assert!(!answered.sdp.contains("a=group") && answered.remote.has_data_section);
}

#[test]
fn a_section_that_the_peer_gives_up_frees_its_track_for_another() {
    let Session { offers, .. } = &SINGLE[0];
    let mut negotiation = Negotiation::answerer();
    answer(&mut negotiation, offers[0], &[], &outgoings(&[1]));
    let stopped = offers[0].replacen("m=audio 9 ", "m=audio 0 ", 1);
    let answered = answer(&mut negotiation, &stopped, &[], &outgoings(&[1]));
    let (session, sections) = sections(&answered.sdp);
    assert!(sections[0].is_rejected() && bundle(&session)[0] == "1" && sections[1].has("end-of-candidates"));
    assert_eq!(answered.sending[0].mid.0, "1");
}

#[test]
fn bare_line_feeds_are_read_as_well() {
    for Session { client, offers, .. } in &SINGLE {
        let tracks = outgoings(&[1]);
        let crlf = answer(&mut Negotiation::answerer(), offers[1], &[], &tracks);
        let lf = answer(&mut Negotiation::answerer(), &offers[1].replace("\r\n", "\n"), &[], &tracks);
        assert_eq!(lf.sdp, crlf.sdp, "{client}");
    }
}

#[test]
fn the_version_grows_and_the_session_stays() {
    let origin = |answered: &Answered| {
        let (session, _) = sections(&answered.sdp);
        let words: Vec<u64> = session[1].split(' ').filter_map(|word| word.parse().ok()).collect();
        (words[0], words[1])
    };
    let mut negotiation = Negotiation::answerer();
    let first = origin(&answer(&mut negotiation, SINGLE[0].offers[0], &[], &[]));
    let second = origin(&answer(&mut negotiation, SINGLE[0].offers[1], &[], &[]));
    assert_eq!((first.0, first.1 + 1), second);
    assert!(i64::try_from(first.0).is_ok());
}

#[test]
fn an_answerer_makes_no_offers() {
    let mut negotiation = Negotiation::answerer();
    assert_eq!(negotiation.create_offer(&local(), &[]).unwrap_err(), SdpError::WrongState);
    assert_eq!(negotiation.handle_answer(SINGLE[0].offers[0]).unwrap_err(), SdpError::WrongState);
}

fn answer(
    negotiation: &mut Negotiation,
    offer: &str,
    incoming: &[Incoming],
    outgoing: &[Outgoing],
) -> Answered {
    negotiation.handle_offer(offer, &local(), incoming, outgoing).expect("the offer is acceptable")
}

fn refuse(negotiation: &mut Negotiation, offer: &str) -> SdpError {
    negotiation.handle_offer(offer, &local(), &[], &[]).expect_err("the offer is not acceptable")
}

fn by_mid(sdp: &str, mid: &str) -> Section {
    sections(sdp).1.into_iter().find(|section| section.mid() == mid).expect("a section of that name")
}
