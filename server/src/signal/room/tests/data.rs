//! Messages on data channels, as the room passes them on.
#![expect(deprecated, reason = "older clients read the deprecated fields")]

use banter_sfu::net::DataKind;
use bytes::Bytes;
use livekit_protocol::data_packet::{Kind, Value};
use livekit_protocol::{
    ActiveSpeakerUpdate, ChatMessage, DataChannelReceiveState, DataPacket, MetricsBatch, RpcRequest,
    SyncState, Transcription, UserPacket,
};
use prost::Message;

use super::*;
use crate::signal::SendDataError;

#[test]
fn a_message_reaches_everyone_else_who_is_active_under_its_senders_name() {
    let mut scene = Scene::new();
    let [alice, bob, carol] = active(&mut scene, ["alice", "bob", "carol"]);
    scene.join("dave, still on his way");
    let forged =
        DataPacket { participant_identity: "carol".into(), participant_sid: "PA_carol".into(), ..text("hi") };
    let [sent] = scene.send(alice, DataKind::Lossy, &forged);
    assert_eq!((sent.to.as_slice(), sent.kind), (&[bob, carol][..], DataKind::Lossy));
    assert_eq!(
        (sent.packet.participant_identity.as_str(), &sent.packet.participant_sid),
        ("alice", &scene.sid(alice))
    );
    assert_eq!(sent.packet.kind(), Kind::Lossy);
    let Some(Value::User(user)) = sent.packet.value else { panic!("{sent:?}") };
    assert_eq!((user.participant_identity.as_str(), user.participant_sid), ("alice", scene.sid(alice)));
    assert_eq!((user.payload.as_slice(), user.topic.as_deref()), (&b"hi"[..], Some("greeting")));
}

#[test]
fn a_reliable_message_is_also_for_those_who_are_joining() {
    let mut scene = Scene::new();
    let [alice, bob] = active(&mut scene, ["alice", "bob"]);
    let carol = scene.join("carol");
    let [sent] = scene.send(alice, DataKind::Reliable, &text("hi"));
    assert_eq!(sent.to, [bob, carol]);
    let [sent] = scene.send(alice, DataKind::Raw { binary: false }, &text("hi"));
    assert_eq!((sent.to, sent.kind), (vec![bob], DataKind::Raw { binary: false }));
    assert_eq!(sent.packet, text("hi"), "it passes as it is");
}

#[test]
fn destinations_are_identities_or_in_older_clients_way_sids() {
    let mut scene = Scene::new();
    let [alice, bob, carol] = active(&mut scene, ["alice", "bob", "carol"]);
    let named = |identities: &[&str], sids: &[String]| {
        let user = UserPacket { destination_sids: sids.to_vec(), ..UserPacket::default() };
        let destination_identities = identities.iter().map(|&identity| identity.to_owned()).collect();
        DataPacket { destination_identities, value: Some(Value::User(user)), ..DataPacket::default() }
    };
    let [sent] = scene.send(alice, DataKind::Reliable, &named(&["carol", "nobody"], &[]));
    assert_eq!(sent.to, [carol]);
    let bobs = [scene.sid(bob)];
    let [sent] = scene.send(alice, DataKind::Reliable, &named(&[], &bobs));
    assert_eq!(sent.to, [bob]);
    let [sent] = scene.send(alice, DataKind::Reliable, &named(&["carol"], &bobs));
    assert_eq!(sent.to, [carol], "identities count more");
    let [] = scene.send(alice, DataKind::Reliable, &named(&["alice"], &[]));
    let [] = scene.send(alice, DataKind::Reliable, &named(&["nobody"], &[]));
}

#[test]
fn who_may_not_publish_data_sends_none() {
    let mut scene = Scene::new();
    let [alice, _] = active(&mut scene, ["alice", "bob"]);
    scene.permit(alice, VideoGrant { can_publish_data: Some(false), ..grant() });
    for kind in [DataKind::Reliable, DataKind::Lossy, DataKind::Raw { binary: true }] {
        let [] = scene.send(alice, kind, &text("hi"));
    }
    scene.permit(alice, grant());
    let [_] = scene.send(alice, DataKind::Lossy, &text("hi"));
}

#[test]
fn a_hidden_sender_has_no_name() {
    let mut scene = Scene::new();
    let [_, ghost] = active(&mut scene, ["alice", "ghost"]);
    scene.permit(ghost, VideoGrant { hidden: true, ..grant() });
    let [sent] = scene.send(ghost, DataKind::Reliable, &text("boo"));
    assert_eq!(sent.packet.participant_identity, "");
}

#[test]
fn agents_transcribe_and_speak_for_others_and_nobody_else_does() {
    let mut scene = Scene::new();
    let [alice, helper] = active(&mut scene, ["alice", "helper"]);
    let transcription = packet(Value::Transcription(Transcription::default()));
    let quote = DataPacket {
        participant_identity: "alice".into(),
        ..packet(Value::ChatMessage(ChatMessage::default()))
    };
    let [] = scene.send(helper, DataKind::Reliable, &transcription);
    let [sent] = scene.send(helper, DataKind::Reliable, &quote);
    assert_eq!(sent.packet.participant_identity, "helper");

    scene.permit(helper, VideoGrant { agent: true, ..grant() });
    let [sent] = scene.send(helper, DataKind::Reliable, &transcription);
    assert_eq!(sent.to, [alice]);
    let [sent] = scene.send(helper, DataKind::Reliable, &quote);
    assert_eq!(sent.packet.participant_identity, "alice");
    assert_eq!(sent.packet.participant_sid, scene.sid(helper));
    assert!(matches!(sent.packet.value, Some(Value::ChatMessage(chat)) if chat.generated));
    let [sent] = scene.send(
        helper,
        DataKind::Reliable,
        &DataPacket {
            participant_identity: "alice".into(),
            ..packet(Value::RpcRequest(RpcRequest::default()))
        },
    );
    assert_eq!(sent.packet.participant_identity, "helper", "only what is said");
}

#[test]
fn metrics_go_to_those_who_may_have_them() {
    let mut scene = Scene::new();
    let [alice, bob, _] = active(&mut scene, ["alice", "bob", "carol"]);
    scene.permit(bob, VideoGrant { can_subscribe_metrics: Some(true), ..grant() });
    let [sent] = scene.send(alice, DataKind::Reliable, &packet(Value::Metrics(MetricsBatch::default())));
    assert_eq!(sent.to, [bob]);
}

#[test]
fn what_only_servers_say_and_what_says_nothing_is_dropped() {
    let mut scene = Scene::new();
    let [alice, _] = active(&mut scene, ["alice", "bob"]);
    let [] = scene.send(alice, DataKind::Lossy, &packet(Value::Speaker(ActiveSpeakerUpdate::default())));
    let [] = scene.send(alice, DataKind::Lossy, &DataPacket::default());
    let [] = scene.send_bytes(alice, DataKind::Lossy, b"not a packet");
}

#[test]
fn a_variant_that_is_yet_to_come_passes_unharmed() {
    let mut scene = Scene::new();
    let [alice, bob] = active(&mut scene, ["alice", "bob"]);
    let future = b"\xCA\x02\x05hello".as_slice();
    scene.data(alice, DataKind::Reliable, future);
    let Some(MediaCommand::SendData { to, message, .. }) = scene.media.pop() else {
        panic!("nothing is sent")
    };
    assert_eq!(to, [bob]);
    assert!(message.starts_with(future));
    assert_eq!(DataPacket::decode(message).expect("well formed").participant_identity, "alice");
}

#[test]
fn a_number_counts_once_and_upwards_and_only_on_the_reliable_channel() {
    let mut scene = Scene::new();
    let [alice, bob] = active(&mut scene, ["alice", "bob"]);
    let numbered = |sequence| DataPacket { sequence, ..text("hi") };
    for (sequence, passes) in [(1, true), (2, true), (2, false), (1, false), (5, true), (0, true)] {
        assert_eq!(scene.sent(alice, DataKind::Reliable, &numbered(sequence)).len(), usize::from(passes));
    }
    let [sent] = scene.send(alice, DataKind::Lossy, &numbered(1));
    assert_eq!(sent.packet.sequence, 1);
    let [_] = scene.send(bob, DataKind::Reliable, &numbered(1));
    assert_eq!(scene.room.participants[&alice].last_sequence, 5);
}

#[test]
fn a_nonce_is_worth_one_message_among_the_last_hundred() {
    let mut scene = Scene::new();
    let [alice, bob] = active(&mut scene, ["alice", "bob"]);
    let with =
        |nonce: u8| packet(Value::User(UserPacket { nonce: vec![nonce; 16], ..UserPacket::default() }));
    let [_] = scene.send(alice, DataKind::Reliable, &with(0));
    let [] = scene.send(alice, DataKind::Reliable, &with(0));
    let [] = scene.send(bob, DataKind::Lossy, &with(0));
    for nonce in 1..=100 {
        let [_] = scene.send(alice, DataKind::Reliable, &with(nonce));
    }
    let [_] = scene.send(alice, DataKind::Reliable, &with(0));
}

#[test]
fn who_comes_back_is_sent_what_it_missed_of_each_publisher() {
    let mut scene = Scene::new();
    let [alice, bob, carol] = active(&mut scene, ["alice", "bob", "carol"]);
    let numbered = |sequence| DataPacket { sequence, ..text("hi") };
    scene.send::<1>(alice, DataKind::Reliable, &numbered(1));
    scene.advance(Duration::from_secs(3));
    for sequence in 2..=4 {
        scene.send::<1>(alice, DataKind::Reliable, &numbered(sequence));
    }
    scene.send::<1>(bob, DataKind::Reliable, &numbered(9));
    let only_bob = DataPacket { destination_identities: vec!["bob".into()], ..numbered(5) };
    scene.send::<1>(alice, DataKind::Reliable, &only_bob);
    scene.media.clear();

    let state = |publisher: ParticipantKey, last_seq| DataChannelReceiveState {
        publisher_sid: scene.sids[&publisher].clone(),
        last_seq,
    };
    let states = vec![state(alice, 2), state(carol, 0)];
    scene.request(
        carol,
        Request::SyncState(SyncState { datachannel_receive_states: states, ..SyncState::default() }),
    );
    let replayed = scene.take_sent();
    let sequences: Vec<_> = replayed.iter().map(|sent| sent.packet.sequence).collect();
    assert_eq!(sequences, [3, 4], "not the old one, not what was for another, not of those unnamed");
    assert!(replayed.iter().all(|sent| sent.to == [carol] && sent.packet.participant_identity == "alice"));
}

#[test]
fn a_message_from_outside_is_nobodys_and_reaches_those_it_names() {
    let mut scene = Scene::new();
    let [_, bob] = active(&mut scene, ["alice", "bob"]);
    let lossy = DataPacket { kind: Kind::Lossy.into(), ..text("hi") };
    scene.room.send_data(lossy.clone(), vec!["bob".into()]).expect("it is short");
    scene.settle();
    let [sent] = scene.take_sent().try_into().expect("one message");
    assert_eq!((sent.to, sent.kind), (vec![bob], DataKind::Lossy));
    assert_eq!(sent.packet.participant_identity, "");
    scene.room.send_data(text("hi"), Vec::new()).expect("it is short");
    scene.settle();
    let [sent] = scene.take_sent().try_into().expect("one message");
    assert_eq!((sent.to.len(), sent.kind), (2, DataKind::Reliable));

    let long = packet(Value::User(UserPacket { payload: vec![0; 65_536], ..UserPacket::default() }));
    assert_eq!(scene.room.send_data(long, Vec::new()), Err(SendDataError::TooLong));
}

/// A message that the room wants sent.
#[derive(Debug)]
struct Sent {
    to: Vec<ParticipantKey>,
    kind: DataKind,
    packet: DataPacket,
}

impl Scene {
    /// The participant sends a packet, of which the room makes so many messages.
    fn send<const N: usize>(
        &mut self,
        from: ParticipantKey,
        kind: DataKind,
        packet: &DataPacket,
    ) -> [Sent; N] {
        self.sent(from, kind, packet).try_into().expect("as many messages as expected")
    }

    fn sent(&mut self, from: ParticipantKey, kind: DataKind, packet: &DataPacket) -> Vec<Sent> {
        self.data(from, kind, &packet.encode_to_vec());
        self.take_sent()
    }

    fn send_bytes<const N: usize>(
        &mut self,
        from: ParticipantKey,
        kind: DataKind,
        bytes: &[u8],
    ) -> [Sent; N] {
        self.data(from, kind, bytes);
        self.take_sent().try_into().expect("as many messages as expected")
    }

    fn data(&mut self, participant: ParticipantKey, kind: DataKind, bytes: &[u8]) {
        self.media.clear();
        self.event(Event::Data { participant, kind, message: Bytes::copy_from_slice(bytes) });
    }

    fn take_sent(&mut self) -> Vec<Sent> {
        let sent = |command| match command {
            MediaCommand::SendData { to, kind, message } => {
                let packet = DataPacket::decode(message).expect("what is sent is well formed");
                Some(Sent { to, kind, packet })
            }
            _ => None,
        };
        self.media.drain(..).filter_map(sent).collect()
    }
}

fn active<const N: usize>(scene: &mut Scene, identities: [&str; N]) -> [ParticipantKey; N] {
    identities.map(|identity| {
        let key = scene.join(identity);
        scene.connected(key, PeerConnection::Publisher);
        key
    })
}

fn text(payload: &str) -> DataPacket {
    let payload = payload.as_bytes().to_vec();
    packet(Value::User(UserPacket { payload, topic: Some("greeting".into()), ..UserPacket::default() }))
}

fn packet(value: Value) -> DataPacket {
    DataPacket { value: Some(value), ..DataPacket::default() }
}
