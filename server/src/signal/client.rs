//! What a client says of itself in the query of `/rtc`.

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
