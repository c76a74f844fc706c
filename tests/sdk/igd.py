"""A router that forwards ports on request: Debian's miniupnpd, with UPnP, NAT-PMP and PCP."""

import json
import subprocess
import time
from pathlib import Path

from wan import Host

CHAINS = """
    table inet igd {
        chain miniupnpd { }
        chain prerouting_miniupnpd { }
        chain postrouting_miniupnpd { }
        chain forward { type filter hook forward priority filter; jump miniupnpd; }
        chain prerouting { type nat hook prerouting priority dstnat; jump prerouting_miniupnpd; }
        chain postrouting { type nat hook postrouting priority srcnat; jump postrouting_miniupnpd; }
    }
"""
CONFIGURATION = """
ext_ifname=eth0
listening_ip=lan0
enable_natpmp=yes
enable_upnp=yes
secure_mode=yes
upnp_table_name=igd
upnp_nat_table_name=igd
uuid=35737dfa-df28-4624-9698-ecdf529b30d4
allow 1-65535 10.0.0.0/8 1-65535
deny 0-65535 0.0.0.0/0 0-65535
"""


class Igd:
    """Runs on `router` until the `with` block ends. Nothing comes in from outside but what is forwarded."""

    def __init__(self, router: Host, folder: Path) -> None:
        self._router, self._folder = router, folder

    def __enter__(self) -> "Igd":
        (self._folder / "igd.conf").write_text(CONFIGURATION)
        self._router.nft(CHAINS)
        self._router.forbid('iifname "eth0" ct state new ct status ! dnat')
        self._start()
        return self

    def __exit__(self, *_) -> None:
        self._process.terminate()
        self._process.wait(timeout=10)

    @property
    def clock(self) -> float:
        """Seconds since it started, which PCP and NAT-PMP tell."""
        return time.monotonic() - self._started

    def restart(self) -> None:
        """As when the power was off: it has forgotten everything."""
        self.__exit__()
        self._router.nft("flush chain inet igd miniupnpd; flush chain inet igd prerouting_miniupnpd")
        self._start()

    def forwarded(self) -> set[str]:
        """What it forwards, as in `7880/tcp`."""
        command = [*self._router.prefix, "nft", "-j", "list", "chain", "inet", "igd", "prerouting_miniupnpd"]
        listing = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        rules = [entry["rule"]["expr"] for entry in listing["nftables"] if "rule" in entry]
        return {forwarded_by(rule) for rule in rules}

    @property
    def log(self) -> str:
        return (self._folder / "igd.log").read_text(errors="replace")

    def _start(self) -> None:
        command = [*self._router.prefix, "miniupnpd", "-d", "-f", self._folder / "igd.conf"]
        with (self._folder / "igd.log").open("ab") as log:
            command += ["-P", self._folder / "igd.pid"]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self._started = time.monotonic()


def forwarded_by(rule: list[dict]) -> str:
    """The port of a rule, and which of the two protocols it is for, as a number in the packet's header."""
    matches = [part["match"] for part in rule if "match" in part]
    port = next(match["right"] for match in matches if is_port(match["left"]))
    protocol = next(match["right"] for match in matches if is_protocol(match["left"]))
    return f"{port}/{ {6: 'tcp', 17: 'udp'}[protocol] }"


def is_port(left: dict) -> bool:
    return left.get("payload", {}).get("field") == "dport"


def is_protocol(left: dict) -> bool:
    payload = left.get("payload", {})
    return (payload.get("base"), payload.get("offset"), payload.get("len")) == ("nh", 72, 8)
