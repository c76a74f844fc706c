//! Methods of participants, called by the server itself for an operator's backend (LiveKit's PerformRpc).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use banter_protocol::data_packet::Content;
use banter_sfu::ParticipantKey;
use banter_sfu::net::DataKind;
use livekit_protocol::{DataPacket, RpcRequest, RpcResponse, data_packet, rpc_response};
use prost::Message;
use rand::RngExt;

use super::{Now, Output, Room, Timer};

/// A client says that it has a call before it begins to work on it.
const TAKEN_WITHIN: Duration = Duration::from_secs(2);
/// For a call that names no time of its own.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// Bytes that a payload may have, as in calls between participants.
const MAX_PAYLOAD: usize = 15 * 1024;
/// Calls under way in one room.
const MAX_CALLS: usize = 1024;

/// What is to be called.
#[derive(Clone, Debug, Default)]
pub struct MethodCall {
    pub identity: String,
    pub method: String,
    pub payload: String,
    /// How long the answer may take; `None` is ten seconds.
    pub answered_within: Option<Duration>,
}

/// Why a call has no answer, in the terms of LiveKit's SDKs: the code is one of theirs, or the participant's own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("RpcError {code}: {message}{}{data}", if data.is_empty() { "" } else { ": " })]
pub struct CallError {
    pub code: u32,
    pub message: String,
    pub data: String,
}

/// Which call. Numbers are not used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::signal) struct CallKey(u64);

/// Calls that wait for something.
#[derive(Debug, Default)]
pub(super) struct Calls {
    pending: BTreeMap<CallKey, Pending>,
    made: u64,
}

#[derive(Debug)]
struct Pending {
    participant: ParticipantKey,
    /// What the client calls it. It is also the name of the caller, so that answers are for nobody else.
    id: String,
    is_taken: bool,
}

impl CallError {
    pub const UNSUPPORTED_METHOD: u32 = 1400;
    pub const RECIPIENT_NOT_FOUND: u32 = 1401;
    pub const REQUEST_TOO_LARGE: u32 = 1402;
    pub const UNSUPPORTED_VERSION: u32 = 1404;
    pub const CONNECTION_TIMEOUT: u32 = 1501;
    pub const RESPONSE_TIMEOUT: u32 = 1502;
    pub const RECIPIENT_DISCONNECTED: u32 = 1503;
    pub const RESPONSE_TOO_LARGE: u32 = 1504;
    /// No number of theirs: this server has enough to do.
    pub const TOO_MANY_CALLS: u32 = 1599;

    fn new(code: u32, message: &str) -> Self {
        Self { code, message: message.to_owned(), data: String::new() }
    }
}

#[cfg(any(test, fuzzing))]
impl Calls {
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}

impl Room {
    /// Calls a participant's method. [`Output::CallAnswered`] follows.
    pub(in crate::signal) fn call_method(&mut self, call: MethodCall, now: Now) -> CallKey {
        self.calls.made += 1;
        let key = CallKey(self.calls.made);
        match self.send_call(call, now) {
            Ok((pending, deadline)) => {
                self.calls.pending.insert(key, pending);
                self.timers.insert((now.instant + TAKEN_WITHIN, Timer::CallTaken(key)));
                self.timers.insert((deadline, Timer::CallAnswered(key)));
            }
            Err(error) => self.outputs.push_back(Output::CallAnswered { call: key, answer: Err(error) }),
        }
        key
    }

    fn send_call(&mut self, call: MethodCall, now: Now) -> Result<(Pending, Instant), CallError> {
        let MethodCall { identity, method, payload, answered_within } = call;
        if payload.len() > MAX_PAYLOAD {
            return Err(CallError::new(CallError::REQUEST_TOO_LARGE, "Request payload too large"));
        }
        if self.calls.pending.len() >= MAX_CALLS {
            let message = "Too many calls are under way in this room; try again when some are answered";
            return Err(CallError::new(CallError::TOO_MANY_CALLS, message));
        }
        let Some(participant) = self.participant_by_identity(&identity) else {
            return Err(CallError::new(CallError::RECIPIENT_NOT_FOUND, "Recipient not found"));
        };
        let within = answered_within.unwrap_or(ANSWERED_WITHIN);
        let id = format!("{:032x}", self.rng.random::<u128>());
        let request = RpcRequest {
            id: id.clone(),
            method,
            payload,
            response_timeout_ms: u32::try_from(within.as_millis()).unwrap_or(u32::MAX),
            version: 1,
            ..RpcRequest::default()
        };
        let packet = DataPacket {
            participant_identity: id.clone(),
            value: Some(data_packet::Value::RpcRequest(request)),
            ..DataPacket::default()
        };
        self.media_data(vec![participant], DataKind::Reliable, packet.encode_to_vec().into());
        Ok((Pending { participant, id, is_taken: false }, now.instant + within))
    }

    /// Whether what a participant says is about a call of ours, and so for nobody else.
    pub(super) fn ends_at_call(&mut self, from: ParticipantKey, content: Content<'_>) -> bool {
        let (Content::CallTaken { call } | Content::CallAnswered { call, .. }) = content else {
            return false;
        };
        let mut pending = self.calls.pending.iter_mut();
        let Some((&key, pending)) = pending.find(|(_, it)| it.participant == from && it.id == call) else {
            return false;
        };
        match content {
            Content::CallAnswered { response, .. } => self.end_call(key, read_response(response)),
            _ => pending.is_taken = true,
        }
        true
    }

    pub(super) fn judge_call_taken(&mut self, key: CallKey) {
        if self.calls.pending.get(&key).is_some_and(|call| !call.is_taken) {
            self.end_call(key, Err(CallError::new(CallError::CONNECTION_TIMEOUT, "Connection timeout")));
        }
    }

    pub(super) fn judge_call_answered(&mut self, key: CallKey) {
        self.end_call(key, Err(CallError::new(CallError::RESPONSE_TIMEOUT, "Response timeout")));
    }

    /// Whoever has left answers nothing.
    pub(super) fn fail_calls_to(&mut self, participant: ParticipantKey) {
        let calls = self.calls.pending.iter().filter(|(_, call)| call.participant == participant);
        for key in calls.map(|(&key, _)| key).collect::<Vec<_>>() {
            let gone = CallError::new(CallError::RECIPIENT_DISCONNECTED, "Recipient disconnected");
            self.end_call(key, Err(gone));
        }
    }

    fn end_call(&mut self, call: CallKey, answer: Result<String, CallError>) {
        if self.calls.pending.remove(&call).is_some() {
            self.outputs.push_back(Output::CallAnswered { call, answer });
        }
    }
}

fn read_response(response: &[u8]) -> Result<String, CallError> {
    match RpcResponse::decode(response).ok().and_then(|response| response.value) {
        Some(rpc_response::Value::Payload(payload)) if payload.len() > MAX_PAYLOAD => {
            Err(CallError::new(CallError::RESPONSE_TOO_LARGE, "Response payload too large"))
        }
        Some(rpc_response::Value::Payload(payload)) => Ok(payload),
        Some(rpc_response::Value::Error(error)) => {
            Err(CallError { code: error.code, message: error.message, data: error.data })
        }
        Some(rpc_response::Value::CompressedPayload(_)) | None => {
            let message = "The participant answered in a way that was not asked for";
            Err(CallError::new(CallError::UNSUPPORTED_VERSION, message))
        }
    }
}
