//! How large the packets of this machine's interfaces may be.

use std::path::Path;

use super::{Finding, Verdict};

/// Interfaces by name.
const INTERFACES: &str = "/sys/class/net";
/// The least that IPv6 works with (RFC 8200 §5); WebRTC counts on it.
const NEEDED: u32 = 1280;

/// Name and MTU, in bytes, of each interface but loopback.
pub fn interfaces() -> Vec<(String, u32)> {
    let mut found: Vec<(String, u32)> = std::fs::read_dir(Path::new(INTERFACES))
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            let mtu = std::fs::read_to_string(entry.path().join("mtu")).ok()?.trim().parse().ok()?;
            (name != "lo").then_some((name, mtu))
        })
        .collect();
    found.sort();
    found
}

pub fn judge(interfaces: &[(String, u32)]) -> Finding {
    let finding = |verdict, detail: String| Finding::new("mtu", "MTU", verdict, detail);
    let list = |interfaces: &[&(String, u32)]| {
        interfaces.iter().map(|(name, mtu)| format!("{name} {mtu}")).collect::<Vec<_>>().join(", ")
    };
    let small: Vec<_> = interfaces.iter().filter(|(_, mtu)| *mtu < NEEDED).collect();
    if interfaces.is_empty() {
        return finding(Verdict::Skip, "no interface is known".to_owned());
    }
    if small.is_empty() {
        return finding(Verdict::Ok, list(&interfaces.iter().collect::<Vec<_>>()));
    }
    finding(Verdict::Warn, format!("{}, less than {NEEDED}", list(&small)))
        .because("a tunnel or VPN was given a small MTU: calls over it may not connect")
        .fix(format!("ip link set {} mtu {NEEDED}, or more, where the line below it allows that", small[0].0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_below_what_calls_need_is_named() {
        let of = |mtu| judge(&[("eth0".to_owned(), 1500), ("wg0".to_owned(), mtu)]);
        assert_eq!((of(1420).result, of(1420).detail.as_str()), (Verdict::Ok, "eth0 1500, wg0 1420"));
        assert_eq!((of(1200).result, of(1200).detail.as_str()), (Verdict::Warn, "wg0 1200, less than 1280"));
        assert_eq!(judge(&[]).result, Verdict::Skip);
    }
}
