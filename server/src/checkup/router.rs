//! What the router in front does for a server that has asked it to forward ports.

use super::{Finding, Verdict};
use crate::external::Outside;
use crate::port_mapping::Forwarding;

/// By what the running server knows. A router behind another one forwards what never reaches it.
pub fn judge(forwarding: &Forwarding, outside: Outside) -> Finding {
    let finding = |verdict, detail: String| Finding::new("port_mapping", "Port mapping", verdict, detail);
    let Forwarding { protocol, ports, refused, fault, .. } = forwarding;
    if let Some(verdict) = outside.verdict() {
        return finding(Verdict::Fail, verdict)
            .because("the provider has more customers than IPv4 addresses")
            .fix("ask the provider for a public address, or let people come by IPv6");
    }
    if let Some(fault) = fault {
        return finding(Verdict::Fail, fault.clone())
            .because("PCP, NAT-PMP and UPnP are switched off on the router, or it has none of them")
            .fix("switch one of them on there, or forward the ports by hand and leave --port-mapping off");
    }
    if !refused.is_empty() {
        let refused: Vec<String> = refused.iter().map(|(port, why)| format!("{port}: {why}")).collect();
        return finding(Verdict::Fail, format!("not forwarded are {}", refused.join("; ")))
            .because("another device has asked for the same ports, or the router keeps them for itself")
            .fix("choose other ports, or take them from the other device in the router's settings");
    }
    match protocol {
        Some(protocol) if !ports.is_empty() => {
            finding(Verdict::Ok, format!("the router forwards {} ports ({protocol})", ports.len()))
        }
        _ => finding(Verdict::Warn, "the router has not answered yet".to_owned())
            .because("the server has just started")
            .fix("try again in a minute"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port_holder::Transport;
    use crate::port_mapping::{Protocol, Wanted};

    const PORT: Wanted = Wanted { transport: Transport::Udp, port: 50_000 };

    fn behind(router: &str) -> Outside {
        Outside { router: Some(router.parse().expect("an address")), ..Outside::default() }
    }

    #[test]
    fn a_router_that_forwards_is_good_and_every_other_says_why_not() {
        let good = Forwarding { protocol: Some(Protocol::Pcp), ports: vec![PORT], ..Forwarding::default() };
        assert_eq!(judge(&good, behind("203.0.113.7")).result, Verdict::Ok);
        let carrier = judge(&good, behind("100.64.3.2"));
        assert_eq!(carrier.result, Verdict::Fail);
        assert!(carrier.detail.contains("carrier-grade NAT"), "{}", carrier.detail);

        let refused = Forwarding { refused: [(PORT, "taken".to_owned())].into(), ..good.clone() };
        let found = judge(&refused, Outside::default());
        assert_eq!(
            (found.result, found.detail.as_str()),
            (Verdict::Fail, "not forwarded are 50000/udp: taken")
        );
        let silent = Forwarding { fault: Some("nobody answers".to_owned()), ..Forwarding::default() };
        assert_eq!(judge(&silent, Outside::default()).result, Verdict::Fail);
        assert_eq!(judge(&Forwarding::default(), Outside::default()).result, Verdict::Warn);
    }
}
