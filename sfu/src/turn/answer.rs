//! What clients are answered. Every answer ends with a fingerprint and names no software.

use std::net::SocketAddr;
use std::time::Instant;

use super::Client;
use super::allocation::Grant;
use super::auth::{PASSWORD_ALGORITHMS, User};
use super::request::Success;
use super::server::Server;
use super::stun::{AttributeType, Class, ErrorCode, Message, Method, Writer};

/// Types that one answer names as unknown. Beyond it a request is refused all the same.
const MAX_UNKNOWN_NAMED: usize = 64;

impl Server {
    pub(super) fn answer_binding(&mut self, client: Client, request: &Message<'_>) {
        let id = request.transaction_id();
        let reply = &mut self.reply;
        if request.has_unknown_attributes() {
            let writer =
                Writer::new(reply, Class::Error, Method::Binding, id).error(ErrorCode::UnknownAttribute);
            name_unknown(writer, request).fingerprint();
        } else {
            Writer::new(reply, Class::Success, Method::Binding, id)
                .xor_address(AttributeType::XOR_MAPPED_ADDRESS, canonical(client.remote))
                .fingerprint();
        }
    }

    /// Refuses a request of nobody known, unsigned. For 401 and 438 it says how to ask again.
    pub(super) fn challenge(
        &mut self,
        client: Client,
        request: &Message<'_>,
        error: ErrorCode,
        now: Instant,
    ) {
        let writer = Writer::new(&mut self.reply, Class::Error, request.method(), request.transaction_id());
        let writer = writer.error(error);
        if matches!(error, ErrorCode::Unauthenticated | ErrorCode::StaleNonce) {
            writer
                .attribute(AttributeType::REALM, self.config.realm.as_bytes())
                .attribute(AttributeType::NONCE, &self.nonces.mint(client.remote, now))
                .attribute(AttributeType::PASSWORD_ALGORITHMS, &PASSWORD_ALGORITHMS)
                .fingerprint();
        } else {
            writer.fingerprint();
        }
    }

    /// Answers a user, signed as the request was.
    pub(super) fn answer(
        &mut self,
        client: Client,
        request: &Message<'_>,
        result: &Result<Success, ErrorCode>,
        user: &User<'_>,
    ) {
        let class = if result.is_ok() { Class::Success } else { Class::Error };
        let writer = Writer::new(&mut self.reply, class, request.method(), request.transaction_id());
        let writer = match result {
            Ok(Success::Allocated(grant)) => describe(writer, grant, client),
            Ok(Success::Refreshed(lifetime)) => {
                writer.attribute(AttributeType::LIFETIME, &(lifetime.as_secs() as u32).to_be_bytes())
            }
            Ok(Success::Permitted | Success::Bound) => writer,
            Err(ErrorCode::UnknownAttribute) => {
                name_unknown(writer.error(ErrorCode::UnknownAttribute), request)
            }
            Err(error) => writer.error(*error),
        };
        writer.integrity(&user.key, user.integrity).fingerprint();
    }
}

/// Adds what an answer says of an allocation.
fn describe<'b>(writer: Writer<'b>, grant: &Grant, client: Client) -> Writer<'b> {
    let mut writer = writer;
    for address in grant.relayed() {
        writer = writer.xor_address(AttributeType::XOR_RELAYED_ADDRESS, address);
    }
    writer = writer
        .xor_address(AttributeType::XOR_MAPPED_ADDRESS, canonical(client.remote))
        .attribute(AttributeType::LIFETIME, &(grant.lifetime.as_secs() as u32).to_be_bytes());
    if let Some(token) = grant.token {
        writer = writer.attribute(AttributeType::RESERVATION_TOKEN, &token);
    }
    match grant.failed {
        Some((family, error)) => writer.address_error(family, error),
        None => writer,
    }
}

/// Adds UNKNOWN-ATTRIBUTES: each type that a request has and nobody here knows, once (RFC 8489 §14.13).
fn name_unknown<'b>(writer: Writer<'b>, request: &Message<'_>) -> Writer<'b> {
    let mut types = [0; MAX_UNKNOWN_NAMED * 2];
    let mut len = 0;
    for kind in request.unknown_attributes() {
        let bytes = kind.0.to_be_bytes();
        if len < types.len() && !types[..len].chunks(2).any(|named| named == bytes) {
            types[len..len + 2].copy_from_slice(&bytes);
            len += 2;
        }
    }
    writer.attribute(AttributeType::UNKNOWN_ATTRIBUTES, &types[..len])
}

/// An IPv4 client of a socket for both families is told its IPv4 address.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
