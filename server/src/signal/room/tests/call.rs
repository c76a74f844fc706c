//! Methods of participants, called by the server.

use banter_sfu::net::DataKind;
use livekit_protocol::data_packet::Value;
use livekit_protocol::{DataPacket, RpcAck, RpcError, RpcRequest, RpcResponse, rpc_response};
use prost::Message;

use super::*;

#[test]
fn an_answer_reaches_the_caller_and_nobody_else() {
    let mut scene = Scene::new();
    let [alice, bob] = ["alice", "bob"].map(|identity| scene.join(identity));
    let (call, id, request) = scene.call("alice", "ping");
    assert_eq!((request.method.as_str(), request.payload.as_str(), request.version), ("echo", "ping", 1));
    assert_eq!(request.response_timeout_ms, 10_000);

    // Somebody else's word about it is no word of hers, and goes to whom it names.
    scene.say(bob, taken(&id));
    scene.say(bob, answered(&id, rpc_response::Value::Payload("forged".into())));
    assert!(scene.answers.is_empty());

    scene.say(alice, taken(&id));
    scene.say(alice, answered(&id, rpc_response::Value::Payload("pong".into())));
    assert_eq!(scene.answers.remove(&call), Some(Ok("pong".into())));
    assert!(!scene.relayed(), "bob has nothing of it");
    scene.advance(Duration::from_secs(60));
    assert!(scene.answers.is_empty(), "a call is answered once");
}

#[test]
fn errors_of_a_method_come_back_whole() {
    let mut scene = Scene::new();
    let alice = scene.join("alice");
    let (call, id, _) = scene.call("alice", "ping");
    let error = RpcError { code: 101, message: "refused".into(), data: "because".into() };
    scene.say(alice, answered(&id, rpc_response::Value::Error(error)));
    let error = scene.answers.remove(&call).expect("an answer").expect_err("an error");
    assert_eq!(error.to_string(), "RpcError 101: refused: because");
}

#[test]
fn who_says_nothing_is_not_waited_for() {
    let mut scene = Scene::new();
    let alice = scene.join("alice");
    let (silent, ..) = scene.call("alice", "ping");
    scene.advance(Duration::from_secs(2));
    assert_eq!(scene.code(silent), CallError::CONNECTION_TIMEOUT);

    let (slow, id, _) = scene.call("alice", "ping");
    scene.say(alice, taken(&id));
    scene.advance(Duration::from_millis(9_999));
    assert!(scene.answers.is_empty());
    scene.advance(Duration::from_millis(1));
    assert_eq!(scene.code(slow), CallError::RESPONSE_TIMEOUT);

    let (gone, id, _) = scene.call("alice", "ping");
    scene.say(alice, taken(&id));
    scene.room.remove(alice, Ending::REMOVED, scene.now);
    scene.settle();
    assert_eq!(scene.code(gone), CallError::RECIPIENT_DISCONNECTED);
}

#[test]
fn what_cannot_be_called_is_refused_at_once() {
    let mut scene = Scene::new();
    scene.join("alice");
    for (identity, size, code) in [
        ("nobody", 1, CallError::RECIPIENT_NOT_FOUND),
        ("alice", 15 * 1024 + 1, CallError::REQUEST_TOO_LARGE),
    ] {
        let call =
            MethodCall { identity: identity.into(), payload: "x".repeat(size), ..MethodCall::default() };
        let key = scene.room.call_method(call, scene.now);
        scene.settle();
        assert_eq!(scene.code(key), code);
    }
}

impl Scene {
    /// The call, its id, and what its participant is sent.
    fn call(&mut self, identity: &str, payload: &str) -> (CallKey, String, RpcRequest) {
        self.media.clear();
        let call = MethodCall {
            identity: identity.into(),
            method: "echo".into(),
            payload: payload.into(),
            answered_within: None,
        };
        let key = self.room.call_method(call, self.now);
        self.settle();
        let Some(MediaCommand::SendData { to, kind: DataKind::Reliable, message }) = self.media.pop() else {
            panic!("nothing was sent")
        };
        assert_eq!(to, [self.room.participant_by_identity(identity).expect("it is there")]);
        let packet = DataPacket::decode(message).expect("it is well formed");
        let Some(Value::RpcRequest(request)) = packet.value else { panic!("{packet:?}") };
        assert_eq!(packet.participant_identity, request.id, "answers are addressed to it");
        (key, request.id.clone(), request)
    }

    fn say(&mut self, participant: ParticipantKey, value: Value) {
        self.media.clear();
        let message = DataPacket { value: Some(value), ..DataPacket::default() }.encode_to_vec().into();
        self.event(Event::Data { participant, kind: DataKind::Reliable, message });
    }

    fn relayed(&self) -> bool {
        self.media.iter().any(|command| matches!(command, MediaCommand::SendData { .. }))
    }

    fn code(&mut self, call: CallKey) -> u32 {
        self.answers.remove(&call).expect("an answer").expect_err("an error").code
    }
}

fn taken(id: &str) -> Value {
    Value::RpcAck(RpcAck { request_id: id.into() })
}

fn answered(id: &str, value: rpc_response::Value) -> Value {
    Value::RpcResponse(RpcResponse { request_id: id.into(), value: Some(value) })
}
