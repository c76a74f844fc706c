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
    """Ends with the `with` block. This process is on the internet too, at `198.51.100.1`."""

    def __init__(self) -> None:
        self._number = next(_numbers)
        self._hosts = itertools.count(10)
        self._stack = ExitStack()

    def __enter__(self) -> "Wan":
        self._bridge = f"bwan{self._number}"
        run("ip", "link", "add", self._bridge, "type", "bridge")
        self._stack.callback(run, "ip", "link", "del", self._bridge)
        run("ip", "address", "add", f"{WAN}.1/24", "dev", self._bridge)
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
        host.ip("address", "add", f"{WAN}.{number}/24", "dev", "eth0")
        host.ip("address", "add", f"{WAN6}{number}/64", "dev", "eth0", "nodad")
        host.address, host.address6 = f"{WAN}.{number}", f"{WAN6}{number}"
        return host

    def home(self, name: str, nat: Nat) -> tuple["Host", "Host"]:
        """A machine behind a router that translates addresses, and the router."""
        router = self.host(f"r{name}")
        home = self._machine(name)
        inner = f"10.77.{next(self._hosts)}"
        self._cable(router, "lan0", home, "eth0")
        router.ip("address", "add", f"{inner}.1/24", "dev", "lan0")
        home.ip("address", "add", f"{inner}.2/24", "dev", "eth0")
        home.ip("route", "add", "default", "via", f"{inner}.1")
        home.address = f"{inner}.2"
        router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        manner = {"cone": "masquerade", "symmetric": "masquerade fully-random"}[nat]
        router.nft(f"""
            table ip router {{
                chain translate {{ type nat hook postrouting priority srcnat; oifname "eth0" {manner}; }}
                chain guard {{ type filter hook forward priority filter; }}
            }}
        """)
        return home, router

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

    def forbid(self, *rules: str) -> None:
        """A router lets nothing of this through any more, as in `udp dport 53`."""
        for rule in rules:
            self.nft(f"add rule ip router guard {rule} drop")


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
