"""A server at home whose router forwards nothing by itself, and is asked to: by PCP, NAT-PMP and UPnP."""

import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from checkups import doctor
from igd import Igd
from participant import until
from server import Banter, Server
from test_reach import TURN_PORT, conversation, server_on
from wan import Wan

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="networks of one's own need root")

# Of the networks that are nobody's, a router knows each and forwards nothing there. This one was set apart for tests of
# amateur radio, and is in the test's own namespaces only.
PUBLIC = "44.128.51"
PROTOCOLS = ["pcp", "nat-pmp", "upnp"]
RESTART_PATIENCE = 60
"""A router is looked at every half minute."""


@pytest.fixture
def wan() -> Iterator[Wan]:
    with Wan(PUBLIC) as wan:
        yield wan


@pytest.fixture(params=["python", "chromium"])
def sdk(request) -> str:
    return request.param


@pytest.mark.parametrize("protocol", [*PROTOCOLS, "auto"])
async def test_the_router_forwards_on_request(wan: Wan, sdk: str, protocol: str, capsys, tmp_path):
    machine, router = wan.home("srv", "cone")
    with Igd(router, tmp_path) as igd:
        with asking(machine, protocol, router.address) as server:
            await until(
                lambda: len(forwarding(server)["ports"]) == len(open_ports(server)), 10, lambda: told(server, igd)
            )
            assert igd.forwarded() == open_ports(server), igd.log
            assert f"{TURN_PORT}/udp" in igd.forwarded()
            assert forwarding(server)["protocol"] == (PROTOCOLS[0] if protocol == "auto" else protocol)
            assert forwarding(server)["router"] == router.address
            assert router.address in server.log.read_text()
            async with conversation(f"ports forwarded by {protocol}", server, wan.host("far"), sdk, True, capsys):
                pass
        assert igd.forwarded() == set(), igd.log


@pytest.mark.timeout(120)
@pytest.mark.parametrize("protocol", ["pcp", "nat-pmp"])
async def test_a_router_that_has_forgotten_is_asked_again(wan: Wan, protocol: str, tmp_path):
    machine, router = wan.home("srv", "cone")
    with Igd(router, tmp_path) as igd:
        # Clocks may differ by some seconds: one that starts again must have been ahead of that when it was last read.
        await until(lambda: igd.clock > 12, 20, lambda: igd.log)
        with asking(machine, protocol, router.address) as server:
            await until(lambda: igd.forwarded() == open_ports(server), 10, lambda: told(server, igd))
            igd.restart()
            assert igd.forwarded() == set()
            await until(lambda: igd.forwarded() == open_ports(server), RESTART_PATIENCE, lambda: told(server, igd))


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_what_a_dead_server_has_left_is_its_own_again(wan: Wan, protocol: str, tmp_path):
    machine, router = wan.home("srv", "cone")
    folder = tmp_path / "data"
    with Igd(router, tmp_path) as igd:
        first = asking(machine, protocol, router.address, port=7880, data_dir=folder)
        with first as server:
            await until(lambda: igd.forwarded() == open_ports(server), 10, lambda: told(server, igd))
            left = igd.forwarded()
            first.kill()
        assert igd.forwarded() == left
        with asking(machine, protocol, router.address, port=7880, data_dir=folder) as server:
            await until(lambda: "7880/tcp" in forwarding(server)["ports"], 10, lambda: told(server, igd))


async def test_a_port_that_another_device_has_is_named(wan: Wan, tmp_path):
    machine, router = wan.home("srv", "cone")
    other = machine.address.rpartition(".")[0] + ".3"
    machine.ip("address", "add", f"{other}/24", "dev", "eth0")
    with Igd(router, tmp_path) as igd:
        await until(lambda: "Listening for NAT-PMP/PCP" in igd.log, 10, lambda: igd.log)
        ask = [sys.executable, __file__, other, router_of(machine.address), str(TURN_PORT)]
        subprocess.run([*machine.prefix, *ask], check=True)
        assert igd.forwarded() == {f"{TURN_PORT}/udp"}
        with asking(machine, "nat-pmp", router.address) as server:
            taken = f"{TURN_PORT}/udp"
            await until(lambda: taken in forwarding(server)["refused"], 10, lambda: told(server, igd))
            assert "another device has it" in forwarding(server)["refused"][taken]
            others = open_ports(server) - {taken}
            await until(lambda: set(forwarding(server)["ports"]) == others, 10, lambda: told(server, igd))
        assert igd.forwarded() == {taken}, "what is the other's stays"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("carrier", ["100.64.3", "25.1.2"], ids=["shared", "squatted"])
async def test_a_carriers_nat_is_found_out(wan: Wan, carrier: str, protocol: str, tmp_path):
    """The router's outer address is the carrier's: of the network for that (RFC 6598), or somebody else's."""
    machine, router = wan.home("srv", "cone", carrier)
    with server_on(wan.host("stun"), turn_port=TURN_PORT) as stun, Igd(router, tmp_path) as igd:
        # Nobody outside gets in, so it is looked at from inside.
        settings = {"BANTER_STUN_SERVERS": f"{stun.host.split(':')[0]}:{TURN_PORT}"}
        command = [*machine.prefix, sys.executable, "-c", INSIDE, machine.address, str(tmp_path)]
        environment = {**os.environ, **settings, "BANTER_PORT_MAPPING": protocol}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, cwd=Path(__file__).parent
        )
        assert done.returncode == 0, done.stdout + done.stderr + igd.log
        log = done.stdout
        assert log.count("it is itself behind another NAT (carrier-grade NAT), so forwarding cannot work") == 1, log
        assert "ask the provider for a public address, or use IPv6 or a rented relay" in log, log


async def test_no_router_is_no_reason_not_to_start(wan: Wan, tmp_path):
    machine = wan.host("srv")
    with asking(machine, "auto", machine.address) as server:
        await until(lambda: forwarding(server).get("fault"), 20, server.log.read_text)
        assert forwarding(server)["ports"] == []
        assert "no router can be asked to forward ports" in server.log.read_text()
        ask_nobody = ["--stun-servers", "off", "--ntp-servers", "off"]
        found = doctor("--data-dir", server.data_dir, *ask_nobody, prefix=machine.prefix)
        assert found.result("port_mapping") == "fail", found.text


INSIDE = """
import json, sys, time
from pathlib import Path
from server import Banter
with Banter(sys.argv[1], data_dir=Path(sys.argv[2]) / "data") as server:
    deadline = time.monotonic() + 30
    ports = Path(sys.argv[2]) / "data" / "ports.json"
    while not json.loads(ports.read_text())["verdict"]:
        assert time.monotonic() < deadline, ports.read_text() + server.log.read_text()
        time.sleep(0.1)
    print(server.log.read_text())
"""


def asking(machine, protocol: str, reached_at: str, **more) -> Banter:
    settings = {"BANTER_PORT_MAPPING": protocol, "BANTER_TURN_PORT": str(TURN_PORT)}
    return Banter(machine.address, prefix=machine.prefix, reached_at=reached_at, settings=settings, **more)


def ports(server: Server) -> dict:
    return json.loads((server.data_dir / "ports.json").read_text())


def forwarding(server: Server) -> dict:
    return ports(server)["forwarding"] or {"ports": [], "refused": {}}


def open_ports(server: Server) -> set[str]:
    """Every port at which the server listens."""
    known = ports(server)
    tcp = [known[name] for name in ("http", "rtc_tcp", "turn", "turn_tls") if known[name]]
    udp = [*known["rtc_udp"], known["turn"]]
    return {f"{port}/tcp" for port in tcp} | {f"{port}/udp" for port in udp}


def told(server: Server, igd: Igd) -> str:
    return f"{ports(server)}\n{server.log.read_text()}\n{igd.log}"


def router_of(address: str) -> str:
    return address.rpartition(".")[0] + ".1"


def ask_by_nat_pmp(own: str, router: str, port: int) -> None:
    """Has a UDP port forwarded to another device (RFC 6886 §3.3)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.bind((own, 0))
        asking.settimeout(5)
        asking.sendto(struct.pack(">BBHHHI", 0, 1, 0, port, port, 3600), (router, 5351))
        assert asking.recv(16)[3] == 0, "the router forwards it"


if __name__ == "__main__":
    ask_by_nat_pmp(sys.argv[1], sys.argv[2], int(sys.argv[3]))
