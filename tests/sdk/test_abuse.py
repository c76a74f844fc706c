"""Whoever does harm has one clear answer, and the call of two others goes on as if nothing were."""

import asyncio
import base64
import gzip
import json
import random
import re
import socket
import time
import urllib.request
from collections.abc import AsyncIterator

import pytest
from livekit.protocol.rtc import (
    LeaveRequest,
    SessionDescription,
    TrickleRequest,
    WrappedJoinRequest,
)

from hostile import Hostile, connect, is_closed, status
from participant import PythonParticipant, until_hears
from server import Banter, Server, Usage

MEMORY = 200 * 1024 * 1024
"""More than this the program may not take at any moment, whatever is sent."""


@pytest.fixture(autouse=True)
def _needs_banter(banter: Server) -> None:
    """Every test here is about the program itself."""


@pytest.fixture
async def call() -> AsyncIterator[Server]:
    """A server on which alice speaks and bob listens, before, during and after."""
    with Banter(settings={"BANTER_METRICS_PORT": "0"}) as server:
        alice = await PythonParticipant.join(server, "victims", "alice")
        bob = await PythonParticipant.join(server, "victims", "bob")
        await alice.speak(440)
        await until_hears(bob, "alice", 440)
        before = media(server)
        yield server
        await until_hears(bob, "alice", 440)
        after = await until_counted(server, before["forwarded"] + 50)
        spoken = after["forwarded"] - before["forwarded"]
        assert after["due"] - before["due"] == spoken, f"owed and not sent: {before} {after}"
        assert not [what for what in bob.notices if what.what in ("reconnecting", "disconnected")], bob.notices
        assert Usage.of(server.process).peak_resident_bytes < MEMORY
        await alice.leave()
        await bob.leave()


def media(server: Server) -> dict[str, int]:
    """The media plane's own account."""
    port = json.loads((server.data_dir / "ports.json").read_text())["metrics"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    lines = re.findall(r'banter_media_packets_total\{fate="(\w+)"\} (\d+)', text)
    return {fate: int(count) for fate, count in lines}


async def until_counted(server: Server, forwarded: int) -> dict[str, int]:
    """The workers' account once it knows of so many packets: they write it down now and then."""
    deadline = time.monotonic() + 10
    while (counted := media(server))["forwarded"] < forwarded:
        assert time.monotonic() < deadline, f"not {forwarded} packets in 10 s: {counted}"
        await asyncio.sleep(0.1)
    return counted


async def test_slow_heads_and_silent_sockets_are_closed(call: Server):
    def attack() -> None:
        silent = [connect(call) for _ in range(150)]
        slow = [connect(call) for _ in range(150)]
        for opened in slow:
            opened.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        assert status(call, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") == 200
        for opened in silent + slow:
            assert is_closed(opened), "a connection that says nothing stays open"
            opened.close()

    await asyncio.to_thread(attack)


async def test_requests_beyond_bounds_have_their_status(call: Server):
    def get(target: str, headers: str = "", method: str = "GET") -> bytes:
        return f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n".encode()

    def attack() -> None:
        assert status(call, get("/rtc/validate?x=" + "a" * 60_000)) == 401, "a long target is no fault"
        assert status(call, get("/rtc/validate?x=" + "a" * 70_000)) == 414
        assert status(call, get("/healthz", "X-Long: " + "a" * 300_000 + "\r\n")) == 431
        assert status(call, get("/healthz", "".join(f"X-{i}: a\r\n" for i in range(300)))) == 431
        assert status(call, get("/rtc/validate", method="DELETE")) == 405
        assert status(call, get("/api/auth/login", method="GET")) == 405
        assert status(call, b"BREW " + bytes(range(128, 256)) + b"\r\n\r\n") == 400
        body = b'{"username": "' + b"a" * 1_000_000 + b'"}'
        head = (
            f"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        )
        assert status(call, head.encode() + b"\r\nConnection: close\r\n\r\n" + body) == 413

    await asyncio.to_thread(attack)


async def test_a_join_request_that_unpacks_without_end_is_refused(call: Server):
    bomb = WrappedJoinRequest(compression=WrappedJoinRequest.GZIP, join_request=gzip.compress(bytes(30_000_000)))
    parameter = base64.urlsafe_b64encode(bomb.SerializeToString()).decode()
    target = f"/rtc/v1/validate?access_token={call.token('victims', 'eve')}&join_request={parameter}"
    request = f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    assert await asyncio.to_thread(status, call, request) == 400


async def test_frames_that_are_no_requests_end_the_socket_that_sent_them(call: Server):
    rng = random.Random(7)

    def attack() -> None:
        with Hostile(call, "junk") as eve:
            eve.frame(2, b"\xff" * 1000)
            assert is_closed(eve.socket)
        with Hostile(call, "words") as eve:
            eve.frame(1, b"{]")
            assert is_closed(eve.socket)
        good = TrickleRequest(candidateInit='{"candidate":""}').SerializeToString()
        for turn in range(40):
            with Hostile(call, f"mutant-{turn}") as eve:
                bytes_ = bytearray(b"\x1a" + bytes([len(good)]) + good)
                for _ in range(rng.randint(1, 4)):
                    bytes_[rng.randrange(len(bytes_))] = rng.randrange(256)
                eve.frame(2, bytes(bytes_))

    await asyncio.to_thread(attack)


async def test_endless_fragments_and_floods_of_pings_hurt_only_their_sender(call: Server):
    def attack() -> None:
        with Hostile(call, "fragments") as eve:
            try:
                eve.frame(2, bytes(60_000), final=False)
                for _ in range(100):
                    eve.frame(0, bytes(60_000), final=False)
            except OSError:
                pass  # It was closed meanwhile, as it should be.
            assert is_closed(eve.socket)
        with Hostile(call, "pings") as eve:
            eve.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            eve.socket.settimeout(3)
            try:
                for _ in range(50_000):
                    eve.frame(9, b"x" * 100)
            except OSError:
                pass  # Who does not read the answers may be cut off.

    await asyncio.to_thread(attack)


HEAD = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
SECTION = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:111 opus/48000/2\r\n"


@pytest.mark.parametrize(
    "sdp",
    [
        HEAD + SECTION * 10_000,
        HEAD + SECTION + "a=candidate:1 1 UDP 1 10.0.0.1 9 typ host\r\n" * 10_000,
        HEAD + SECTION + "a=fmtp:111 " + "x" * 1_000_000 + "\r\n",
        "a" * 1_500_000,
        "\0" * 1000,
    ],
    ids=["sections", "candidates", "line", "text", "zeros"],
)
async def test_a_hostile_description_ends_the_session_that_sent_it(call: Server, sdp: str):
    def attack() -> None:
        with Hostile(call, "eve") as eve:
            eve.request(offer=SessionDescription(type="offer", sdp=sdp, id=1))
            last = eve.last_words()
            assert last is not None and last.WhichOneof("message") == "leave", last
            assert last.leave.action == LeaveRequest.DISCONNECT

    await asyncio.to_thread(attack)


async def test_senseless_candidates_lead_nowhere(call: Server):
    addresses = [
        "localhost",
        "evil.example",
        "127.0.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "::1",
        "fe80::1",
        "x",
    ]

    def attack() -> None:
        with Hostile(call, "eve") as eve:
            for number in range(3000):
                address = addresses[number % len(addresses)]
                port = number % 70_000
                candidate = f"candidate:{number} 1 udp {number} {address} {port} typ host"
                eve.request(trickle=TrickleRequest(candidateInit=json.dumps({"candidate": candidate}), target=0))
            eve.request(ping=1)
            kinds = (response.WhichOneof("message") for response in eve.responses())
            assert any(kind == "pong" for kind in kinds), "it goes on"

    await asyncio.to_thread(attack)


async def test_many_who_come_and_go_at_once_leave_nothing_behind(call: Server):
    def attack() -> None:
        for number in range(60):
            Hostile(call, f"guest-{number}").socket.close()

    await asyncio.to_thread(attack)
