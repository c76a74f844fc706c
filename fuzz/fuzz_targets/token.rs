//! Access tokens: nothing panics, and nothing passes that was not signed here.
#![no_main]

use std::time::{Duration, UNIX_EPOCH};

use banter_protocol::token::{ApiKeys, Claims};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|token: &str| {
    let keys = ApiKeys::new(vec![("devkey".into(), "secret".into())]).expect("one pair");
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    assert!(keys.verify(token, now).is_err());

    let claims = Claims::for_room(token, token, token);
    let signed = keys.sign(&claims, now, Duration::from_secs(60));
    let verified = keys.verify(&signed, now).expect("signed with the same key");
    assert_eq!(verified.identity(), token);
});
