"""TURN as public clients see it: coturn's tools and aioice, with a peer that sends back whatever reaches it."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest
from aioice import stun, turn
from livekit.protocol import rtc

from server import Banter, Server

PEER = ("192.0.2.55", 3480)
"""Exists nowhere."""


@dataclass(frozen=True)
class Relay:
    """A TURN server and the credentials that one session was given for it."""

    server: Server
    port: int
    username: str
    password: str


@asynccontextmanager
async def session(server: Server, identity: str) -> AsyncIterator[list[rtc.ICEServer]]:
    """Joins by the bare protocol, and is in the room for as long as the block lasts."""
    url = f"{server.ws_url}/rtc?access_token={server.token('hall', identity)}&protocol=17"
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as socket:
        message = await socket.receive_bytes()
        response = rtc.SignalResponse.FromString(message)
        assert response.WhichOneof("message") == "join", response
        yield list(response.join.ice_servers)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Banter(settings={"BANTER_TURN_PORT": "0", "BANTER_TURN_ECHO_PEER": "{}:{}".format(*PEER)}) as server:
        yield server


@asynccontextmanager
async def relay_of(server: Server, identity: str) -> AsyncIterator[Relay]:
    async with session(server, identity) as servers:
        (one,) = servers
        port = int(re.fullmatch(r"turn:127\.0\.0\.1:(\d+)\?transport=udp", one.urls[0])[1])
        assert one.urls[1] == f"turn:127.0.0.1:{port}?transport=tcp"
        yield Relay(server, port, one.username, one.credential)


@pytest.fixture
async def relay(server: Server) -> AsyncIterator[Relay]:
    async with relay_of(server, "alice") as relay:
        yield relay


async def run(*command: object) -> str:
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), 50)
    return output.decode()


async def uclient(server: Server, *flags: str) -> str:
    """One client of coturn sends a hundred packets, and waits for them to come back."""
    for attempt in range(300):
        # It leaves allocations behind when it fails, and a session may have twelve.
        async with relay_of(server, f"uclient-{attempt}") as relay:
            command = ["turnutils_uclient", "-u", relay.username, "-w", relay.password, "-p", relay.port]
            command += ["-e", PEER[0], "-r", PEER[1], "-n", 100, "-m", 1, "-l", 172, "-z", 5, "-c", *flags]
            text = await run(*command, "127.0.0.1")
        # It draws two channel numbers, and three of four are among those that RFC 8656 took back.
        if "channel bind: error 400" not in text:
            return text
    raise AssertionError(f"no channel can be bound\n{text}")


@pytest.mark.parametrize(
    "flags",
    [[], ["-t"], ["-s"], ["-t", "-s"], ["-g"]],
    ids=lambda flags: " ".join(flags) or "plain",
)
async def test_coturns_client_gets_everything_back(server: Server, flags: list[str]):
    text = await uclient(server, *flags)
    found = [re.findall(rf"tot_{word}_msgs=(\d+)", text) for word in ("send", "recv")]
    assert [counts[-1:] for counts in found] == [["100"], ["100"]], text
    assert "Total lost packets 0" in text, text


async def test_coturns_stun_client_learns_its_address(relay: Relay):
    text = await run("turnutils_stunclient", "-p", relay.port, "127.0.0.1")
    assert "UDP reflexive addr: 127.0.0.1:" in text, text


class Echoes(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.received: list[tuple[bytes, tuple]] = []

    def datagram_received(self, data: bytes, source: tuple) -> None:
        self.received.append((data, source))


async def allocate(relay: Relay, transport: str, **credentials: str) -> tuple[asyncio.DatagramTransport, Echoes]:
    given = {"username": relay.username, "password": relay.password, **credentials}
    return await turn.create_turn_endpoint(
        Echoes, server_addr=("127.0.0.1", relay.port), transport=transport, lifetime=600, **given
    )


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_aioice_gets_everything_back(relay: Relay, transport: str):
    endpoint, echoes = await allocate(relay, transport)
    sent = [bytes([size % 256]) * size for size in (1, 3, 172, 1200)]
    for datagram in sent:
        endpoint.sendto(datagram, PEER)
    deadline = time.monotonic() + 10
    while len(echoes.received) < len(sent):
        assert time.monotonic() < deadline, echoes.received
        await asyncio.sleep(0.02)
    assert sorted(echoes.received) == sorted((datagram, PEER) for datagram in sent)
    endpoint.close()


async def test_g5_only_the_servers_own_media_is_reached(relay: Relay):
    """Everything else on the machine and its network is refused: at this address only the echo peer is known."""
    endpoint, _ = await allocate(relay, "udp")
    for peer in [("127.0.0.1", relay.server.port), ("10.0.0.1", 80), ("169.254.169.254", 80), ("192.0.2.56", 3480)]:
        with pytest.raises(stun.TransactionFailed) as refused:
            await endpoint._TurnTransport__inner_protocol.channel_bind(0x4001, peer)
        assert refused.value.response.attributes["ERROR-CODE"][0] == 403, peer
    endpoint.close()


async def test_wrong_credentials_are_refused(relay: Relay):
    for wrong in ({"password": "wrong"}, {"username": "1:PA_alice"}, {"username": "alice"}):
        with pytest.raises(stun.TransactionFailed) as refused:
            await allocate(relay, "udp", **wrong)
        assert refused.value.response.attributes["ERROR-CODE"][0] == 401, wrong


async def test_credentials_end_with_the_session(relay: Relay):
    async with session(relay.server, "bob") as servers:
        bob = {"username": servers[0].username, "password": servers[0].credential}
        endpoint, _ = await allocate(relay, "udp", **bob)
        endpoint.close()
    deadline = time.monotonic() + 40
    while True:
        try:
            endpoint, _ = await allocate(relay, "udp", **bob)
            endpoint.close()
        except stun.TransactionFailed as refused:
            assert refused.response.attributes["ERROR-CODE"][0] == 401
            return
        assert time.monotonic() < deadline, "the credentials outlive the session"
        await asyncio.sleep(0.5)
