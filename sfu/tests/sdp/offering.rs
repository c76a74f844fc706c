//! The side that offers.

use banter_sfu::sdp::{Negotiation, Offered, Outgoing, SdpError, Setup};
use banter_sfu::{Mid, PayloadType, TrackKey};

use crate::recorded::{Answers, SINGLE, SUBSCRIBER};
use crate::text::{Section, bundle, sections};
use crate::{local, outgoing, outgoings, ssrc};

/// What the recorded clients were offered, in order.
const ROUNDS: [&[u64]; 4] = [&[], &[1, 2], &[2, 3], &[2, 3, 4]];

#[test]
fn recorded_answers_are_understood() {
    for Answers { client, answers, red, nack } in &SUBSCRIBER {
        let mut negotiation = Negotiation::offerer();
        for (tracks, answer) in ROUNDS.iter().zip(*answers) {
            let offered = negotiation.create_offer(&local(), &outgoings(tracks)).unwrap();
            let accepted = negotiation.handle_answer(answer).unwrap();
            assert_eq!(accepted.remote.setup, Setup::Active, "{client}");
            assert!(accepted.remote.has_data_section && accepted.refused.is_empty(), "{client}");
            let sending: Vec<(Mid, TrackKey)> =
                accepted.sending.iter().map(|sent| (sent.mid.clone(), sent.track)).collect();
            assert_eq!(sending, offered.sending, "{client}");
            assert_eq!(sending.len(), tracks.len(), "{client}");
            for sent in &accepted.sending {
                assert_eq!((sent.opus, sent.ssrc), (PayloadType(111), ssrc(sent.track.0)), "{client}");
                assert_eq!((sent.red.is_some(), sent.nack), (*red, *nack), "{client}");
            }
            assert!(!negotiation.is_outdated(&outgoings(tracks)), "{client}");
        }
    }
}

#[test]
fn the_first_offer_is_for_data_and_more_sections_follow_it() {
    let mut negotiation = Negotiation::offerer();
    let offered = negotiation.create_offer(&local(), &outgoings(&[1, 2])).unwrap();
    let (session, sections) = sections(&offered.sdp);
    assert_eq!(bundle(&session), ["0", "1", "2"]);
    assert_eq!(sections[0].kind(), "application");
    assert!(sections[0].has("end-of-candidates") && sections[0].value("candidate").is_some());
    assert!(sections.iter().all(|section| section.value("setup") == Some("actpass")));
    assert!(sections[1..].iter().all(|section| section.has("sendonly") && section.has("rtcp-fb:111 nack")));
    assert!(!offered.sdp.contains("ssrc-audio-level"));
}

#[test]
fn red_comes_first_when_the_source_sends_it() {
    let tracks = [Outgoing { red: true, stereo: true, ..outgoing(1) }, outgoing(2)];
    let offered = Negotiation::offerer().create_offer(&local(), &tracks).unwrap();
    let (_, sections) = sections(&offered.sdp);
    assert_eq!((sections[1].formats(), sections[2].formats()), (vec!["63", "111"], vec!["111", "63"]));
    assert!(sections[1].opus_parameters().ends_with(";sprop-stereo=1"));
    assert!(!sections[2].opus_parameters().contains("stereo"));
}

#[test]
fn one_offer_is_out_at_a_time() {
    let mut negotiation = Negotiation::offerer();
    let answer = SUBSCRIBER[0].answers[0];
    assert_eq!(negotiation.handle_answer(answer).unwrap_err(), SdpError::WrongState);
    negotiation.create_offer(&local(), &[]).unwrap();
    assert_eq!(negotiation.create_offer(&local(), &[]).unwrap_err(), SdpError::WrongState);
    assert_eq!(negotiation.handle_answer("v=0\r\n").unwrap_err(), SdpError::Missing("media section"));
    negotiation.handle_answer(answer).expect("the offer is still out");
    assert_eq!(negotiation.handle_answer(answer).unwrap_err(), SdpError::WrongState);
    assert_eq!(
        negotiation.handle_offer(SINGLE[0].offers[0], &local(), &[], &[]).unwrap_err(),
        SdpError::WrongState
    );
}

#[test]
fn an_answer_with_other_sections_does_not_fit() {
    let Answers { answers, .. } = &SUBSCRIBER[0];
    let mut negotiation = Negotiation::offerer();
    negotiation.create_offer(&local(), &outgoings(&[1, 2])).unwrap();
    for answer in [answers[0], answers[2], &answers[1].replace("a=mid:2", "a=mid:3")] {
        assert_eq!(negotiation.handle_answer(answer).unwrap_err(), SdpError::Mismatch);
    }
    let undecided = answers[1].replace("a=setup:active", "a=setup:actpass");
    assert_eq!(negotiation.handle_answer(&undecided).unwrap_err(), SdpError::Setup);
    negotiation.handle_answer(answers[1]).unwrap();
}

#[test]
fn a_section_that_the_client_leaves_inactive_sends_nothing_but_stays_the_tracks() {
    let Answers { answers, .. } = &SUBSCRIBER[0];
    let mut negotiation = Negotiation::offerer();
    negotiation.create_offer(&local(), &outgoings(&[1, 2])).unwrap();
    let inactive = answers[1].replacen("a=recvonly", "a=inactive", 1);
    let accepted = negotiation.handle_answer(&inactive).unwrap();
    assert_eq!(accepted.sending.iter().map(|sent| sent.track.0).collect::<Vec<_>>(), [2]);
    assert!(!negotiation.is_outdated(&outgoings(&[1, 2])));
    let again = negotiation.create_offer(&local(), &outgoings(&[1, 2])).unwrap();
    assert_eq!(again.sending.len(), 2);
    assert_eq!(negotiation.handle_answer(answers[1]).unwrap().sending.len(), 2);
}

#[test]
fn a_track_that_is_given_up_and_wanted_again_goes_before_it_comes_back() {
    let mut negotiation = Negotiation::offerer();
    negotiation.create_offer(&local(), &outgoings(&[1, 2])).unwrap();
    negotiation.handle_answer(SUBSCRIBER[0].answers[1]).unwrap();
    let again = [Outgoing { ssrc: ssrc(77), ..outgoing(1) }, outgoing(2)];
    let carriers = |offered: Offered| {
        let (_, sections) = sections(&offered.sdp);
        let carrier = |(index, section): (usize, &Section)| section.has("sendonly").then_some(index);
        sections.iter().enumerate().filter_map(carrier).collect::<Vec<_>>()
    };
    assert!(negotiation.is_outdated(&again));
    assert_eq!(carriers(negotiation.create_offer(&local(), &again).unwrap()), [2]);
    negotiation.handle_answer(SUBSCRIBER[0].answers[1]).unwrap();
    // Not where it was before: some clients announce a track once per section.
    assert!(negotiation.is_outdated(&again));
    assert_eq!(carriers(negotiation.create_offer(&local(), &again).unwrap()), [2, 3]);
    assert!(!negotiation.is_outdated(&again));
}

#[test]
fn a_section_that_the_client_refuses_is_never_offered_again() {
    let Answers { answers, .. } = &SUBSCRIBER[0];
    let mut negotiation = Negotiation::offerer();
    negotiation.create_offer(&local(), &outgoings(&[1, 2])).unwrap();
    let refusing = answers[1].replacen("m=audio 9", "m=audio 0", 1);
    let accepted = negotiation.handle_answer(&refusing).unwrap();
    assert_eq!(accepted.refused, [TrackKey(1)]);
    assert!(!negotiation.is_outdated(&outgoings(&[1, 2])));

    let again = negotiation.create_offer(&local(), &outgoings(&[1, 2])).unwrap();
    let (session, sections) = sections(&again.sdp);
    assert_eq!(bundle(&session), ["0", "2"]);
    assert!(sections[1].is_rejected() && sections.len() == 3);
    assert!(negotiation.handle_answer(&refusing).unwrap().refused.is_empty());
}

#[test]
fn a_client_that_chooses_to_be_passive_is_reported() {
    let Answers { answers, .. } = &SUBSCRIBER[0];
    let mut negotiation = Negotiation::offerer();
    negotiation.create_offer(&local(), &[]).unwrap();
    let passive = answers[0].replace("a=setup:active", "a=setup:passive");
    assert_eq!(negotiation.handle_answer(&passive).unwrap().remote.setup, Setup::Passive);
    negotiation.create_offer(&local(), &[]).unwrap();
    assert_eq!(negotiation.handle_answer(answers[0]).unwrap_err(), SdpError::Setup);
    negotiation.handle_answer(&passive).unwrap();
}

#[test]
fn tracks_beyond_the_limit_of_sections_are_counted() {
    let tracks: Vec<u64> = (1..=1_100).collect();
    let mut negotiation = Negotiation::offerer();
    let offered = negotiation.create_offer(&local(), &outgoings(&tracks)).unwrap();
    assert_eq!((offered.sending.len(), offered.unplaced), (1_023, 77));
}
