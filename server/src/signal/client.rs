//! What a client says of itself, and which clients have to be treated with care.

use livekit_protocol::ClientInfo;
use livekit_protocol::client_info::{Capability, Sdk};

/// Reads the client's description from a query. What is absent or unknown stays empty.
pub(super) fn parse<'a>(query: impl IntoIterator<Item = (&'a str, &'a str)>) -> ClientInfo {
    let mut client = ClientInfo::default();
    for (name, value) in query {
        let text = match name {
            "version" => &mut client.version,
            "os" => &mut client.os,
            "os_version" => &mut client.os_version,
            "device_model" => &mut client.device_model,
            "browser" => &mut client.browser,
            "browser_version" => &mut client.browser_version,
            "network" => &mut client.network,
            "other_sdks" => &mut client.other_sdks,
            "sdk" => {
                client.sdk = sdk(value).into();
                continue;
            }
            "protocol" => {
                client.protocol = value.parse().unwrap_or(0);
                continue;
            }
            "client_protocol" => {
                client.client_protocol = value.parse().unwrap_or(0);
                continue;
            }
            "capabilities" => {
                client.capabilities = value.split(',').filter_map(capability).collect();
                continue;
            }
            _ => continue,
        };
        value.clone_into(text);
    }
    client
}

/// Whether a client may send offers as soon as it has something to publish, or had better gather its wishes for a moment.
///
/// LiveKit's Node SDK up to 1.1.0 (its core up to 0.12.73) takes the answer to the first offer of a new session for the
/// answer to the second, so that it makes a third offer too early, and then waits for itself for ever. It happens when it
/// publishes again right after a full reconnect; with the slower way of publishing it does not.
pub(super) fn publishes_fast(client: &ClientInfo) -> bool {
    client.sdk() != Sdk::Node || version(&client.version).is_some_and(|version| version > (1, 1, 0))
}

/// Reads `1.2.3`, also with something behind it. `None` for what is not a version.
fn version(text: &str) -> Option<(u32, u32, u32)> {
    let mut numbers = text.splitn(3, '.');
    let mut next = || {
        let number = numbers.next()?;
        let end = number.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(number.len());
        number[..end].parse().ok()
    };
    Some((next()?, next()?, next()?))
}

fn sdk(name: &str) -> Sdk {
    match name {
        "ios" => Sdk::Swift,
        "reactnative" => Sdk::ReactNative,
        "unityweb" => Sdk::UnityWeb,
        name => Sdk::from_str_name(&name.to_ascii_uppercase()).unwrap_or(Sdk::Unknown),
    }
}

fn capability(name: &str) -> Option<i32> {
    Capability::from_str_name(name.trim()).map(i32::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_that_lock_themselves_up_publish_slowly() {
        let fast = |sdk, version| publishes_fast(&parse([("sdk", sdk), ("version", version)]));
        assert!(fast("js", "2.15.0") && fast("python", "1.2.1") && fast("", ""));
        assert!(
            !fast("node", "1.1.0")
                && !fast("node", "0.13.29-dev")
                && !fast("node", "")
                && !fast("node", "one")
        );
        assert!(fast("node", "1.1.1") && fast("node", "1.2.0-rc.1") && fast("node", "2.0.0"));
    }

    #[test]
    fn a_description_is_read_and_what_is_unknown_is_left_out() {
        let client = parse([
            ("sdk", "reactnative"),
            ("protocol", "17"),
            ("client_protocol", "2"),
            ("browser", "Firefox"),
            ("capabilities", "CAP_PACKET_TRAILER,CAP_TELEPATHY"),
            ("colour", "blue"),
        ]);
        assert_eq!(client.sdk(), Sdk::ReactNative);
        assert_eq!((client.protocol, client.client_protocol), (17, 2));
        assert_eq!(client.browser, "Firefox");
        assert_eq!(client.capabilities, [i32::from(Capability::CapPacketTrailer)]);
        assert_eq!(parse([("sdk", "abacus"), ("protocol", "many")]), ClientInfo::default());
    }
}
