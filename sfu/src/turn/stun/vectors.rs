//! The messages that RFC 5769 and RFC 8489 publish, byte for byte.

use super::{
    AttributeType, Class, IntegrityKind, Key, Message, Method, PasswordAlgorithm, TransactionId, Writer,
};

/// RFC 5769 §2.1.
const REQUEST: &str = "000100582112a442b7e7a701bc34d686fa87dfae\
    802200105354554e207465737420636c69656e74 002400046e0001ff 80290008932ff9b151263b36\
    0006000965 76746a3a6836765920 2020 000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2 80280004e57a3bcf";
/// RFC 5769 §2.2.
const IPV4_RESPONSE: &str = "0101003c2112a442b7e7a701bc34d686fa87dfae\
    8022000b7465737420766563746f7220 002000080001a147e112a643\
    000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7 80280004c07d4c96";
/// RFC 5769 §2.3.
const IPV6_RESPONSE: &str = "010100482112a442b7e7a701bc34d686fa87dfae\
    8022000b7465737420766563746f7220 002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9\
    00080014a382954e4be67bf11784c97c8292c275bfe3ed41 80280004c8fb0b4c";
/// RFC 5769 §2.4.
const LONG_TERM_REQUEST: &str = "000100602112a44278ad3433c6ad72c029da412e\
    00060012e3839ee38388e383aae38383e382afe382b90000\
    0015001c662f2f3439396b39353464364f4c33346f4c39465354767936347341 0014000b6578616d706c652e6f726700\
    00080014f67024656dd64a3e02b8e0712e85c9a28ca89666";
/// RFC 8489 appendix B.1, with erratum 6268.
const SHA256_REQUEST: &str = "000100902112a44278ad3433c6ad72c029da412e\
    001e00204a3cf38fef6992bda952c6780417da0f24819415569e60b205c46e41407f1704\
    001500296f624d61744a6f733241414143662f2f3439396b39353464364f4c33346f4c39465354767936347341000000\
    0014000b6578616d706c652e6f726700 001d000400020000\
    001c0020b5c7bf005b6c52a21c51c5e892f81924136296cb927c43149309278cc6518e65";

const SHORT_TERM_PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";
const USERNAME: &str = "\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}";
const REALM: &str = "example.org";
/// As SASLprep and `OpaqueString` leave it.
const PASSWORD: &str = "TheMatrIX";
const LONG_TERM_ID: TransactionId =
    TransactionId([0x78, 0xAD, 0x34, 0x33, 0xC6, 0xAD, 0x72, 0xC0, 0x29, 0xDA, 0x41, 0x2E]);

#[test]
fn b11_short_term_messages_of_rfc_5769_are_read() {
    let key = Key::short_term(SHORT_TERM_PASSWORD);
    let request = bytes(REQUEST);
    let request = Message::parse(&request).unwrap();
    assert_eq!((request.class(), request.method()), (Class::Request, Method::Binding));
    assert_eq!(request.text(AttributeType::USERNAME), Some("evtj:h6vY"));
    assert!(request.is_signed_with(&key));
    assert!(!request.is_signed_with(&Key::short_term("another")));
    let addresses = ["192.0.2.1:32853", "[2001:db8:1234:5678:11:2233:4455:6677]:32853"];
    for (response, address) in [IPV4_RESPONSE, IPV6_RESPONSE].into_iter().zip(addresses) {
        let response = bytes(response);
        let response = Message::parse(&response).unwrap();
        assert_eq!(response.class(), Class::Success);
        assert_eq!(
            response.xor_address(AttributeType::XOR_MAPPED_ADDRESS),
            Some(Some(address.parse().unwrap()))
        );
        assert!(response.is_signed_with(&key));
    }
}

#[test]
fn b11_long_term_request_of_rfc_5769_is_read_and_written() {
    let vector = bytes(LONG_TERM_REQUEST);
    let message = Message::parse(&vector).unwrap();
    assert_eq!(message.transaction_id(), LONG_TERM_ID);
    let key = Key::long_term(PasswordAlgorithm::Md5, USERNAME, REALM, PASSWORD);
    assert!(message.is_signed_with(&key));
    let mut written = Vec::new();
    Writer::new(&mut written, Class::Request, Method::Binding, LONG_TERM_ID)
        .attribute(AttributeType::USERNAME, USERNAME.as_bytes())
        .attribute(AttributeType::NONCE, b"f//499k954d6OL34oL9FSTvy64sA")
        .attribute(AttributeType::REALM, REALM.as_bytes())
        .integrity(&key, IntegrityKind::Sha1);
    assert_eq!(written, vector);
}

#[test]
fn b11_request_of_rfc_8489_appendix_b_1_is_read_and_written() {
    let vector = bytes(SHA256_REQUEST);
    let message = Message::parse(&vector).unwrap();
    assert_eq!(message.integrity(), Some(IntegrityKind::Sha256));
    let key = Key::long_term(PasswordAlgorithm::Sha256, USERNAME, REALM, PASSWORD);
    assert!(message.is_signed_with(&key));
    assert!(!message.is_signed_with(&Key::long_term(PasswordAlgorithm::Md5, USERNAME, REALM, PASSWORD)));
    let mut written = Vec::new();
    Writer::new(&mut written, Class::Request, Method::Binding, LONG_TERM_ID)
        .attribute(AttributeType::USERHASH, message.value(AttributeType::USERHASH).unwrap())
        .attribute(AttributeType::NONCE, b"obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA")
        .attribute(AttributeType::REALM, REALM.as_bytes())
        .attribute(AttributeType::PASSWORD_ALGORITHM, &PasswordAlgorithm::Sha256.to_bytes())
        .integrity(&key, IntegrityKind::Sha256);
    assert_eq!(written, vector);
}

/// What hexadecimal digits stand for; spaces are for the reader.
fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
