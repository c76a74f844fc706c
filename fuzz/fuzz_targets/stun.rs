//! STUN messages: nothing panics, attributes lie within the message, and what is read can be written and read again.
#![no_main]

use banter_sfu::turn::is_for_turn;
use banter_sfu::turn::stun::{AttributeType, IntegrityKind, Key, Message, PasswordAlgorithm, Writer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    is_for_turn(bytes);
    let Ok(message) = Message::parse(bytes) else { return };
    let key = Key::long_term(PasswordAlgorithm::Md5, "user", "realm", "password");
    message.is_signed_with(&key);
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out, message.class(), message.method(), message.transaction_id());
    for attribute in message.attributes() {
        assert_eq!(&bytes[attribute.at..][..attribute.value.len()], attribute.value);
        message.read_xor_address(attribute);
        if attribute.kind != AttributeType::FINGERPRINT {
            writer = writer.attribute(attribute.kind, attribute.value);
        }
    }
    // Signature and fingerprint may find no room in a message that is as long as can be.
    if bytes.len() < 65_000 {
        writer.integrity(&key, IntegrityKind::Sha256).fingerprint();
    }
    let again = Message::parse(&out).expect("what is written can be read");
    assert_eq!(again.is_signed_with(&key), bytes.len() < 65_000);
    let kept = message.attributes().filter(|attribute| attribute.kind != AttributeType::FINGERPRINT);
    assert!(again.attributes().zip(kept).all(|(new, old)| (new.kind, new.value) == (old.kind, old.value)));
});
