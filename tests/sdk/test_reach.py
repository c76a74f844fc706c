"""Calls from any network: whoever sits behind a router hears and is heard, with whatever that lets through."""

import asyncio
import base64
import json
import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from participant import PythonParticipant, until, until_hears
from piped import Host as Process
from piped import PipedParticipant
from server import Banter, Server
from tone import WINDOW, Tone, strongest
from wan import Host, Wan

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="networks of one's own need root")

FAR, NEAR = 440, 660
PATIENCE = 20
WORKERS = 2
ROOM = "hall"
TURN_PORT = 3478
BODIES = {
    "python": (Path("tests/sdk/python_host.py"),),
    "chromium": (Path("tests/browser/participants.mjs"), "chromium"),
}


@pytest.fixture(params=BODIES)
def sdk(request) -> str:
    return request.param


@pytest.fixture(params=[True, False], ids=["single", "dual"])
def single(request) -> bool:
    return request.param


@pytest.fixture(params=["many ports", "one port"])
def layout(request) -> str:
    return request.param


@pytest.fixture
def wan() -> Iterator[Wan]:
    with Wan() as wan:
        yield wan


@asynccontextmanager
async def far_away(
    host: Host, sdk: str, name: str, server: Server, single: bool, flags: tuple[str, ...] = (), scheme: str = "ws"
) -> AsyncIterator["Far"]:
    """Somebody on the machine `host`, not in the call yet."""
    script, *arguments = BODIES[sdk]
    process = await Process.start(script, *arguments, *flags, prefix=host.prefix)
    try:
        yield (FarBrowser if sdk == "chromium" else Far)(process, name, server, single, scheme)
    finally:
        await process.stop()


class Far(PipedParticipant):
    def __init__(self, process: Process, name: str, server: Server, single: bool, scheme: str) -> None:
        super().__init__(process, name)
        self._server, self._single = server, single
        self._url = f"{scheme}://{server.host}"

    async def join(self, room: str) -> None:
        token = self._server.token(room, self.identity)
        await self.ask("join", url=self._url, token=token, single=self._single, autoSubscribe=True)

    async def tone(self, who: str) -> Tone | None:
        ear = self.ears.get(who)
        return ear.tone() if ear else None


class FarBrowser(Far):
    async def tone(self, who: str) -> Tone | None:
        samples = np.frombuffer(base64.b64decode(await self.ask("hear", who=who)), dtype=np.int16) / 32768
        return strongest(samples[-WINDOW:]) if len(samples) >= WINDOW else None


async def until_heard(listener: Far, speaker: str, hz: float, within: float = PATIENCE) -> float:
    """Waits until half a second of `hz` has come, and answers for how long."""
    began = time.monotonic()
    while not ((tone := await listener.tone(speaker)) and abs(tone.hz - hz) <= 5 and tone.rms > 0.05):
        assert time.monotonic() < began + within, f"{listener.identity} heard {tone}, was told {listener.notices}"
        await asyncio.sleep(0.05)
    return time.monotonic() - began


@asynccontextmanager
async def near_by(server: Server) -> AsyncIterator[PythonParticipant]:
    """Somebody on the internet, who talks."""
    near = await PythonParticipant.join(server, ROOM, "near")
    await near.speak(NEAR)
    try:
        yield near
    finally:
        await near.leave()


@asynccontextmanager
async def conversation(
    name: str,
    server: Server,
    host: Host,
    sdk: str,
    single: bool,
    capsys,
    paths: tuple[str, ...] = ("udp",),
    flags: tuple[str, ...] = (),
    scheme: str = "ws",
) -> AsyncIterator[Far]:
    """Somebody at `host`, by one of `paths`, and somebody nearby hear each other. The former's wait is told."""
    async with near_by(server) as near, far_away(host, sdk, "far", server, single, flags, scheme) as far:
        began = time.monotonic()
        await far.join(ROOM)
        await until_heard(far, "near", NEAR)
        waited = time.monotonic() - began
        await far.speak(FAR)
        await until_hears(near, "far", FAR, PATIENCE)
        # The first path may be followed by a better one, which is told a few seconds later.
        await until(lambda: path_of(server, "far") in paths, 10, lambda: f"{path_of(server, 'far')} is none of {paths}")
        with capsys.disabled():
            print(f"\n  {name}, {sdk}, by {path_of(server, 'far')}: first half second of sound after {waited:.2f} s")
        yield far
        await far.leave()


@pytest.mark.parametrize("nat", ["cone", "symmetric"])
async def test_behind_a_router(wan: Wan, sdk: str, nat: str, single: bool, layout: str, capsys):
    home, _ = wan.home("far", nat)
    with server_on(wan.host("srv"), layout=layout) as server:
        async with conversation(f"behind {nat} NAT, {layout}", server, home, sdk, single, capsys):
            pass


async def test_no_udp_gets_through(wan: Wan, sdk: str, single: bool, layout: str, capsys):
    home, router = wan.home("far", "symmetric")
    router.forbid("ip protocol udp")
    # Where there is TURN over TCP as well, a client takes what it finds first, and some stay with it.
    paths = ("tcp",) if layout == "many ports" else ("tcp", "relay-tcp")
    with server_on(wan.host("srv"), layout=layout) as server:
        async with conversation(f"UDP blocked, {layout}", server, home, sdk, single, capsys, paths):
            pass


@pytest.mark.parametrize("way", ["udp", "tcp"])
async def test_only_turn_gets_through(wan: Wan, sdk: str, way: str, single: bool, capsys):
    """Of all ports the router lets nothing through but that of signalling and that of TURN, by UDP or by TCP."""
    home, router = wan.home("far", "symmetric")
    with server_on(wan.host("srv"), turn_port=TURN_PORT) as server:
        allowed = {"udp": [], "tcp": [server.port]}
        allowed[way].append(TURN_PORT)
        let_through(router, **allowed)
        async with conversation(
            f"only TURN over {way} let through", server, home, sdk, single, capsys, (f"relay-{way}",)
        ):
            pass


@pytest.mark.parametrize("sdk", ["chromium"], indirect=True)
async def test_only_tls_gets_through(wan: Wan, sdk: str, single: bool, layout: str, capsys, tmp_path):
    """Nothing but TLS, to 443 and 5349. (The Python SDK would need an authority that it knows.)"""
    home, router = wan.home("far", "symmetric")
    machine = wan.host("srv")
    files = self_signed(tmp_path, machine.address)
    let_through(router, udp=[], tcp=[443, 5349])
    # Nor STUN as it is, which TURN and ICE begin with: without a header, or after a length.
    router.forbid("tcp dport { 443, 5349 } @ih,32,32 0x2112a442", "tcp dport { 443, 5349 } @ih,48,32 0x2112a442")
    settings = {"BANTER_TLS": "files", "BANTER_TLS_CERT": str(files[0]), "BANTER_TLS_KEY": str(files[1])}
    if layout == "many ports":
        settings["BANTER_TURN_TLS_PORT"] = "5349"
    banter = Banter(
        machine.address, prefix=machine.prefix, port=443, settings=settings, single_port=layout == "one port"
    )
    with banter as server:
        name, flags = f"only TLS let through, {layout}", ("--ignore-certificate-errors",)
        async with conversation(name, server, home, sdk, single, capsys, ("relay-tls",), flags, "wss"):
            pass


async def test_everybody_is_heard_whichever_worker_their_datagrams_come_to(wan: Wan, sdk: str, capsys):
    """Several rooms on several workers that share a port: the system puts people's datagrams where it likes."""
    homes = [wan.home(f"far{number}", "symmetric")[0] for number in range(2)]
    settings = {"BANTER_RTC_WORKERS": str(WORKERS)}
    machine = wan.host("srv")
    with Banter(machine.address, prefix=machine.prefix, settings=settings, single_port=True) as server:
        async with AsyncExitStack() as stack:
            rooms = {f"room {number}": [] for number in range(2 * WORKERS)}
            for number, (room, people) in enumerate(rooms.items()):
                host = homes[number % len(homes)]
                far = await stack.enter_async_context(
                    far_away(host, sdk if number == 0 else "python", "far", server, True)
                )
                await far.join(room)
                near = await PythonParticipant.join(server, room, "near")
                stack.push_async_callback(near.leave)
                people += [far, near]
                await asyncio.gather(far.speak(FAR + 40 * number), near.speak(NEAR + 40 * number))
            for number, (far, near) in enumerate(rooms.values()):
                await until_heard(far, "near", NEAR + 40 * number)
                await until_hears(near, "far", FAR + 40 * number, PATIENCE)
            with capsys.disabled():
                print(f"\n  {len(rooms)} rooms on {WORKERS} workers and one port, {sdk}: everybody is heard")


async def test_members_are_told_by_what_everybody_is_connected(wan: Wan):
    with server_on(wan.host("srv")) as server:
        ada = server.add_user("ada", "admin")
        status, channel = server.request("POST", "/api/voice/channels", {"name": "Lobby"}, ada)
        assert status == 201, channel

        def path() -> dict | None:
            _, channels = server.request("GET", "/api/voice/channels", bearer=ada)
            return channels[0]["participants"][0]["path"]

        near = await PythonParticipant.join(server, channel["id"], "near")
        await until(lambda: path() is not None, 10, server.log.read_text)
        assert (path()["transport"], path()["family"]) == ("udp", 4)
        assert path()["rtt_ms"] in range(1000)
        assert set(path()) == {"transport", "family", "rtt_ms"}, "addresses are nobody's business"
        await near.leave()


async def test_both_behind_symmetric_nat(wan: Wan, sdk: str, capsys):
    homes = [wan.home(name, "symmetric")[0] for name in ("ann", "ben")]
    with server_on(wan.host("srv")) as server:
        await hear_each_other("both behind symmetric NAT", server, homes, sdk, capsys)


async def test_all_on_one_lan(wan: Wan, sdk: str, capsys):
    """Both people and the server, which the internet does not reach."""
    machine, router = wan.home("srv", "symmetric")
    wan.let_in(router)
    homes = [wan.neighbour(name, router) for name in ("ann", "ben")]
    with server_on(machine) as server:
        await hear_each_other("both and the server on one LAN", server, homes, sdk, capsys)


async def test_both_on_one_lan_and_the_server_outside(wan: Wan, sdk: str, capsys):
    ann, router = wan.home("ann", "symmetric")
    homes = [ann, wan.neighbour("ben", router)]
    with server_on(wan.host("srv")) as server:
        await hear_each_other("both on one LAN", server, homes, sdk, capsys)


@pytest.mark.parametrize("blocked", [None, "udp"], ids=["UDP", "TCP"])
async def test_server_in_a_container(wan: Wan, sdk: str, blocked: str | None, single: bool, capsys):
    """It knows the address of its bridge only, and its host publishes its ports."""
    host = wan.host("host")
    far, router = wan.home("far", "cone")
    if blocked:
        router.forbid("ip protocol udp")
    with in_container(wan, host) as server:
        paths = ("tcp", "relay-tcp") if blocked else ("udp",)
        async with conversation(f"server in a container, by {paths[0]}", server, far, sdk, single, capsys, paths=paths):
            pass


async def test_server_in_a_container_on_a_lan(wan: Wan, sdk: str, capsys):
    host, router = wan.home("host", "cone")
    wan.let_in(router)
    homes = [wan.neighbour(name, router) for name in ("ann", "ben")]
    with in_container(wan, host) as server:
        await hear_each_other("server in a container on the LAN", server, homes, sdk, capsys)


async def test_ipv6_only(wan: Wan, sdk: str, single: bool, capsys):
    far, machine = wan.host("far"), wan.host("srv")
    for host in (far, machine):
        host.ip("address", "flush", "dev", "eth0", "scope", "global", "to", "0.0.0.0/0")
    with Banter(machine.address6, prefix=machine.prefix) as server:
        async with conversation("IPv6 only", server, far, sdk, single, capsys):
            pass


async def test_small_mtu(wan: Wan, sdk: str, single: bool, capsys):
    home, router = wan.home("far", "cone")
    router.ip("link", "set", "lan0", "mtu", "1200")
    home.ip("link", "set", "eth0", "mtu", "1200")
    with server_on(wan.host("srv")) as server:
        async with conversation("MTU 1200", server, home, sdk, single, capsys):
            pass


async def test_loss(wan: Wan, sdk: str, single: bool, capsys):
    home, router = wan.home("far", "cone")
    router.forbid("ip protocol udp numgen random mod 100 < 5")
    with server_on(wan.host("srv")) as server:
        async with conversation("5 % loss", server, home, sdk, single, capsys):
            pass


async def test_server_behind_one_to_one_nat(wan: Wan, sdk: str, single: bool, capsys):
    """The server knows its private address only; the one that people use is learned from how they come in."""
    machine, router = wan.home("srv", "cone")
    router.nft(f"""
        table ip forwarding {{
            chain arrivals {{ type nat hook prerouting priority dstnat; iifname "eth0" dnat to {machine.address}; }}
        }}
    """)
    with Banter(machine.address, prefix=machine.prefix, reached_at=router.address) as server:
        async with conversation("server behind 1:1 NAT", server, wan.host("far"), sdk, single, capsys):
            pass


async def test_server_behind_one_to_one_nat_and_a_proxy(wan: Wan, sdk: str, single: bool, capsys):
    """People come in by another address than that of the media ports, which the server learns from a STUN server."""
    machine, router = wan.home("srv", "cone")
    front = "198.51.100.200"
    router.ip("address", "add", f"{front}/32", "dev", "eth0")
    router.nft(f"""
        table ip forwarding {{
            chain arrivals {{
                type nat hook prerouting priority dstnat;
                iifname "eth0" ip daddr {front} meta l4proto tcp dnat to {machine.address}
                iifname "eth0" ip daddr {router.address} meta l4proto udp dnat to {machine.address}
            }}
        }}
    """)
    with server_on(wan.host("stun"), turn_port=TURN_PORT) as stun:
        settings = {"BANTER_STUN_SERVERS": f"{stun.host.split(':')[0]}:{TURN_PORT}"}
        with Banter(machine.address, prefix=machine.prefix, reached_at=front, settings=settings) as server:
            await until(lambda: router.address in server.log.read_text(), 10, server.log.read_text)
            async with conversation("proxy and 1:1 NAT", server, wan.host("far"), sdk, single, capsys):
                pass


async def test_nat_rebinding(wan: Wan, sdk: str, single: bool, layout: str, capsys):
    """The router forgets who talks to whom, as at a restart. The call goes on from another port, same session."""
    home, router = wan.home("far", "symmetric")
    with server_on(wan.host("srv"), layout=layout) as server:
        async with conversation(f"before rebinding, {layout}", server, home, sdk, single, capsys) as far:
            router.run("conntrack", "-F")
            rebound = time.monotonic()
            await asyncio.sleep(1)  # What was under way then has been heard by now.
            await until_heard(far, "near", NEAR)
            with capsys.disabled():
                print(f"  after rebinding: heard again after {time.monotonic() - rebound:.2f} s")
            assert not [n for n in far.notices if n.what == "disconnected"]


async def hear_each_other(name: str, server: Server, homes: list[Host], sdk: str, capsys) -> None:
    """Somebody at each of two homes. How long both waited for sound is told."""
    async with (
        far_away(homes[0], sdk, "ann", server, single=True) as ann,
        far_away(homes[1], "python", "ben", server, single=False) as ben,
    ):
        began = time.monotonic()
        await asyncio.gather(ann.join(ROOM), ben.join(ROOM))
        await asyncio.gather(ann.speak(FAR), ben.speak(NEAR))
        await asyncio.gather(until_heard(ann, "ben", NEAR), until_heard(ben, "ann", FAR))
        with capsys.disabled():
            print(f"\n  {name}, {sdk}: both heard after {time.monotonic() - began:.2f} s")
        await asyncio.gather(ann.leave(), ben.leave())


def in_container(wan: Wan, host: Host) -> Banter:
    inside = wan.container("srv", host, tcp="7880, 7881, 3478", udp="50000-50010, 3478")
    settings = {"BANTER_RTC_PORT_RANGE": "50000-50010", "BANTER_TURN_PORT": "3478"}
    more = {"port": 7880, "rtc_tcp_port": 7881, "reached_at": host.address}
    return Banter(inside.address, prefix=inside.prefix, settings=settings, **more)


def server_on(machine: Host, turn_port: int | None = None, layout: str = "many ports") -> Banter:
    settings = {"BANTER_TURN_PORT": str(turn_port or "off")}
    if layout == "one port":
        # More than there may be cores: what comes to one of them is hardly ever for it.
        settings = {"BANTER_RTC_WORKERS": "4"}
    return Banter(machine.address, prefix=machine.prefix, settings=settings, single_port=layout == "one port")


def self_signed(folder: Path, address: str) -> tuple[Path, Path]:
    """A certificate for an address, and its key."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=srv", "-addext", f"subjectAltName=IP:{address}", "-days", "30"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


def let_through(router: Host, udp: list[int], tcp: list[int]) -> None:
    """From the inside only packets to these ports."""
    for protocol, ports in {"udp": udp, "tcp": tcp}.items():
        among = "{ " + ", ".join(str(port) for port in ports) + " }"
        router.forbid(f'iifname "lan0" {protocol} dport {f"!= {among}" if ports else "0-65535"}')


def path_of(server: Server, identity: str) -> str | None:
    """By what somebody's media travels, as the server has said last."""
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    sids = {line["identity"]: line["participant"] for line in lines if line["message"] == "joined"}
    paths = [line for line in lines if line["message"] == "media path" and line["participant"] == sids.get(identity)]
    return paths[-1]["transport"] if paths else None
