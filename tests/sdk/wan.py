"""A small internet of network namespaces: a server with a public address, people at home behind routers. Needs root.

[this process] ── wan (a bridge) ─┬─ server
                                  ├─ router "ann" ── home of ann
                                  └─ router "ben" ── home of ben
"""

import itertools
import os
import subprocess
from contextlib import ExitStack
from typing import Literal

Nat = Literal["cone", "symmetric"]

_numbers = itertools.count(os.getpid() % 50)
WAN = "198.51.100"
WAN6 = "2001:db8:51::"


class Wan:
    """Ends with the `with` block. This process is on the internet too, at the address 1 of `prefix`."""

    def __init__(self, prefix: str = WAN) -> None:
        self._prefix = prefix
        self._number = next(_numbers)
        self._hosts = itertools.count(10)
        self._stack = ExitStack()

    def __enter__(self) -> "Wan":
        self._bridge = f"bwan{self._number}"
        run("ip", "link", "add", self._bridge, "type", "bridge")
        self._stack.callback(run, "ip", "link", "del", self._bridge)
        run("ip", "address", "add", f"{self._prefix}.1/24", "dev", self._bridge)
        run("ip", "address", "add", f"{WAN6}1/64", "dev", self._bridge, "nodad")
        run("ip", "link", "set", self._bridge, "up")
        return self

    def __exit__(self, *_) -> None:
        self._stack.close()

    def host(self, name: str) -> "Host":
        """A machine with addresses of its own on the internet."""
        host = self._machine(name)
        number = next(self._hosts)
        self._plug(host, "eth0")
        host.ip("address", "add", f"{self._prefix}.{number}/24", "dev", "eth0")
        host.ip("address", "add", f"{WAN6}{number}/64", "dev", "eth0", "nodad")
        host.address, host.address6 = f"{self._prefix}.{number}", f"{WAN6}{number}"
        return host

    def home(self, name: str, nat: Nat, carrier: str | None = None) -> tuple["Host", "Host"]:
        """A machine behind a router that translates addresses, and the router.

        With `carrier`, the first three numbers of a network, the router is there, behind another one.
        """
        router = self._subscriber(f"r{name}", carrier) if carrier else self.host(f"r{name}")
        router.lan = f"10.77.{next(self._hosts)}"
        router.ip("link", "add", "lan0", "type", "bridge")
        router.ip("address", "add", f"{router.lan}.1/24", "dev", "lan0")
        router.ip("link", "set", "lan0", "up")
        router.translate(nat)
        return self.neighbour(name, router), router

    def neighbour(self, name: str, router: "Host") -> "Host":
        """A further machine in the network behind a router of `home`."""
        machine = self._machine(name)
        number = next(router.machines)
        self._cable(router, f"port{number}", machine, "eth0")
        router.ip("link", "set", f"port{number}", "master", "lan0")
        machine.ip("address", "add", f"{router.lan}.{number}/24", "dev", "eth0")
        machine.ip("route", "add", "default", "via", f"{router.lan}.1")
        machine.address = f"{router.lan}.{number}"
        return machine

    def let_in(self, router: "Host") -> None:
        """This process reaches the machines behind a router as if there were none: to look after a server there."""
        run("ip", "route", "add", f"{router.lan}.0/24", "via", router.address)

    def container(self, name: str, host: "Host", tcp: str, udp: str) -> "Host":
        """A machine on a bridge inside `host`, which publishes these ports of it, as `docker run -p` does."""
        inside = self._machine(name)
        self._cable(host, "docker0", inside, "eth0")
        host.ip("address", "add", "172.17.0.1/16", "dev", "docker0")
        inside.ip("address", "add", "172.17.0.2/16", "dev", "eth0")
        inside.ip("route", "add", "default", "via", "172.17.0.1")
        inside.address = "172.17.0.2"
        host.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        host.nft(f"""
            table ip docker {{
                chain published {{
                    type nat hook prerouting priority dstnat;
                    iifname "eth0" tcp dport {{ {tcp} }} dnat to {inside.address}
                    iifname "eth0" udp dport {{ {udp} }} dnat to {inside.address}
                }}
                chain leaving {{
                    type nat hook postrouting priority srcnat;
                    ip saddr 172.17.0.0/16 oifname != "docker0" masquerade
                }}
            }}
        """)
        return inside

    def _subscriber(self, name: str, network: str) -> "Host":
        """A machine in a carrier's own network."""
        carrier, host = self.host(f"c{name}"), self._machine(name)
        self._cable(carrier, "lan0", host, "eth0")
        carrier.ip("address", "add", f"{network}.1/24", "dev", "lan0")
        host.ip("address", "add", f"{network}.2/24", "dev", "eth0")
        host.ip("route", "add", "default", "via", f"{network}.1")
        host.address = f"{network}.2"
        carrier.translate("cone")
        return host

    def _machine(self, name: str) -> "Host":
        host = Host(f"bt{self._number}-{name}")
        run("ip", "netns", "add", host.name)
        self._stack.callback(run, "ip", "netns", "del", host.name)
        host.ip("link", "set", "lo", "up")
        return host

    def _plug(self, host: "Host", inside: str) -> None:
        here = f"bw{self._number}v{next(self._hosts)}"
        run("ip", "link", "add", here, "type", "veth", "peer", "name", inside, "netns", host.name)
        run("ip", "link", "set", here, "master", self._bridge, "up")
        host.ip("link", "set", inside, "up")

    def _cable(self, one: "Host", one_end: str, other: "Host", other_end: str) -> None:
        one.ip("link", "add", one_end, "type", "veth", "peer", "name", other_end, "netns", other.name)
        one.ip("link", "set", one_end, "up")
        other.ip("link", "set", other_end, "up")


class Host:
    """One machine, which is a network namespace."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.address = ""
        self.address6 = ""
        self.lan = ""
        """Of a router, the first three numbers of the network behind it."""
        self.machines = itertools.count(2)

    @property
    def prefix(self) -> list[str]:
        """What to put before a command that is to run there."""
        return ["ip", "netns", "exec", self.name]

    def run(self, *command: str) -> None:
        run(*self.prefix, *command)

    def ip(self, *arguments: str) -> None:
        run("ip", "-n", self.name, *arguments)

    def nft(self, rules: str) -> None:
        subprocess.run([*self.prefix, "nft", "-f", "-"], input=rules, text=True, check=True, capture_output=True)

    def translate(self, nat: Nat) -> None:
        """Becomes a router that translates the addresses of what leaves by `eth0`."""
        self.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        manner = {"cone": "masquerade", "symmetric": "masquerade fully-random"}[nat]
        self.nft(f"""
            table ip router {{
                chain translate {{ type nat hook postrouting priority srcnat; oifname "eth0" {manner}; }}
                chain guard {{ type filter hook forward priority filter; }}
            }}
        """)

    def forbid(self, *rules: str) -> None:
        """A router lets nothing of this through any more, as in `udp dport 53`."""
        for rule in rules:
            self.nft(f"add rule ip router guard {rule} drop")


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
