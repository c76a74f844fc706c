"""The doors of TURN, each statement of the requirements by its number: ports, certificates, patience, logs."""

import asyncio
import json
import shutil
import signal
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from os import kill
from pathlib import Path

import pytest
from aioice import stun, turn

from server import Banter, Server
from test_reach import self_signed
from test_turn import PEER, Echoes, allocate, relay_of, session, uclient

TRANSPORTS = {"udp": ("turn", "udp", False), "tcp": ("turn", "tcp", False), "tls": ("turn_tls", "tcp", True)}
FIRST_MESSAGE = 10
"""Seconds that a stream has for its first message."""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return self_signed(tmp_path, "127.0.0.1")


@pytest.fixture
def server(files: tuple[Path, Path]) -> Iterator[Server]:
    with server_with(files) as server:
        yield server


def server_with(files: tuple[Path, Path], address: str = "127.0.0.1", **settings: str) -> Banter:
    given = {
        "BANTER_TURN_PORT": "0",
        "BANTER_TURN_TLS_PORT": "0",
        "BANTER_TURN_ECHO_PEER": "{}:{}".format(*PEER),
        "BANTER_TLS": "files",
        "BANTER_TLS_CERT": str(files[0]),
        "BANTER_TLS_KEY": str(files[1]),
        **settings,
    }
    return Banter(address, settings=given, reached_at="127.0.0.1")


@asynccontextmanager
async def allocation(server: Server, way: str, participant: str = "alice") -> AsyncIterator["Allocation"]:
    port, transport, secure = TRANSPORTS[way]
    async with session(server, participant) as (one, *_):
        endpoint, echoes = await turn.create_turn_endpoint(
            Echoes,
            server_addr=("127.0.0.1", ports(server)[port]),
            username=one.username,
            password=one.credential,
            transport=transport,
            ssl=believing() if secure else False,
        )
        yield Allocation(endpoint, echoes)
        endpoint.close()


class Allocation:
    def __init__(self, endpoint: asyncio.DatagramTransport, echoes: Echoes) -> None:
        self._endpoint, self._echoes = endpoint, echoes
        self.turn = endpoint._TurnTransport__inner_protocol

    async def hears(self, datagram: bytes) -> None:
        """Sends it, and waits for it to come back."""
        self._endpoint.sendto(datagram, PEER)
        deadline = time.monotonic() + 10
        while (datagram, PEER) not in self._echoes.received:
            assert time.monotonic() < deadline, self._echoes.received
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("way", TRANSPORTS)
async def test_a1_every_transport_answers_the_same_protocol(server: Server, way: str):
    async with allocation(server, way) as client:
        await client.hears(b"hello by " + way.encode())


@pytest.mark.parametrize(
    ("settings", "left"),
    [
        ({"BANTER_TURN_PORT": "off", "BANTER_TURN_TLS_PORT": "off"}, set()),
        ({"BANTER_TURN_PORT": "off"}, {"turn_tls"}),
        ({"BANTER_TURN_TLS_PORT": "off"}, {"turn"}),
        ({"BANTER_TURN_PORT": "{moved}"}, {"turn", "turn_tls"}),
    ],
    ids=["none", "TLS only", "no TLS", "moved"],
)
async def test_a1_each_port_can_be_moved_and_turned_off(files, settings: dict[str, str], left: set[str]):
    moved = free_port()
    settings = {key: value.format(moved=moved) for key, value in settings.items()}
    with server_with(files, **settings) as server:
        assert {name for name in ("turn", "turn_tls") if ports(server)[name]} == left
        if settings.get("BANTER_TURN_PORT") == str(moved):
            assert ports(server)["turn"] == moved
        async with session(server, "alice") as servers:
            urls = [url for one in servers for url in one.urls]
        known = {"turn": f":{ports(server)['turn']}?", "turn_tls": f":{ports(server)['turn_tls']}?"}
        assert [url for url in urls if not any(known[name] in url for name in left)] == []
        assert bool(urls) == bool(left)


@pytest.mark.parametrize("way", ["tcp", "tls"])
async def test_a6_a_stream_that_says_nothing_is_closed(server: Server, way: str):
    port, _, secure = TRANSPORTS[way]
    began = time.monotonic()
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", ports(server)[port], ssl=believing() if secure else None
    )
    writer.write(b"\0\1\0")  # The beginning of a message.
    assert await asyncio.wait_for(reader.read(), FIRST_MESSAGE + 5) == b""
    assert time.monotonic() - began > FIRST_MESSAGE - 1
    writer.close()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_a7_an_old_version_of_tls_is_refused(server: Server):
    old = believing()
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match="alert"):  # Of the server's, so this end would have spoken it.
        await asyncio.open_connection("127.0.0.1", ports(server)["turn_tls"], ssl=old)


async def test_a7_the_certificate_is_replaced_without_ending_allocations(server: Server, files, tmp_path: Path):
    async with allocation(server, "tls") as client:
        await client.hears(b"before")
        before = certificate(server)
        other = tmp_path / "other"
        other.mkdir()
        for old, new in zip(files, self_signed(other, "127.0.0.1"), strict=True):
            shutil.copy(new, old)
        kill(server.process, signal.SIGHUP)
        deadline = time.monotonic() + 10
        while (shown := certificate(server)) == before:
            assert time.monotonic() < deadline, "the old certificate is still shown"
            await asyncio.sleep(0.1)
        assert shown == ssl.PEM_cert_to_DER_cert(files[0].read_text())
        await client.hears(b"after")
        await client.turn.request_with_retry(refresh())


@pytest.mark.parametrize("asked", ["127.0.0.1", "127.0.0.77", "::1"])
def test_a8_answers_come_from_where_they_were_asked(files, asked: str):
    with (
        server_with(files, "::") as server,
        socket.socket(socket.AF_INET6 if ":" in asked else socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        client.settimeout(5)
        for port in (ports(server)["turn"], ports(server)["rtc_udp"][0]):
            request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
            client.sendto(bytes(request), (asked, port))
            answer, source = client.recvfrom(1000)
            assert source[:2] == (asked, port)
            assert stun.parse_message(answer).transaction_id == request.transaction_id


async def test_g11_logs_hold_no_secret_and_no_payload(files):
    with server_with(files, BANTER_LOG="info,banter_sfu=trace,banter_server=trace") as server:
        async with relay_of(server, "alice") as relay:
            endpoint, _ = await allocate(relay, "udp")
            client = endpoint._TurnTransport__inner_protocol
            endpoint.sendto(b"a whispered word", PEER)
            with pytest.raises(stun.TransactionFailed):
                await allocate(relay, "udp", password="wrong")
            await asyncio.sleep(0.5)  # For what is logged of it.
            nonce = client.nonce.decode(errors="replace")
            endpoint.close()
        log = server.log.read_text()
        assert '"allocation made"' in log
        secret = (server.data_dir / "turn-secret").read_text().split()[0]
        for told in (relay.password, relay.username, nonce, secret, "a whispered word", b"a whispered word".hex()):
            assert told not in log, told
        loud = [
            line
            for line in map(json.loads, (line for line in log.splitlines() if line.startswith("{")))
            if line["level"] != "DEBUG"
        ]
        assert not [line for line in loud if line["level"] != "TRACE" and line.get("client")], (
            "addresses are for debugging"
        )


async def test_h_coturns_client_gets_everything_back_over_tls(server: Server):
    for _ in range(4):
        text = await uclient(server, "-t", "-S", "-p", str(ports(server)["turn_tls"]), "-z", "20")
        # It takes one TLS record each time that its socket wakes it, so of several at once it leaves some behind.
        if "Total lost packets 0" in text:
            return
    raise AssertionError(text)


@pytest.mark.parametrize("way", ["tcp", "tls"])
async def test_h_nothing_is_left_behind_of_what_comes_at_once(server: Server, way: str):
    async with allocation(server, way) as client:
        await client.hears(b"first")
        for burst in range(40):
            datagrams = [f"{burst}, {number}".encode().ljust(160) for number in range(1 + burst % 30)]
            await asyncio.gather(*map(client.hears, datagrams))


def ports(server: Server) -> dict:
    return json.loads((server.data_dir / "ports.json").read_text())


def refresh() -> stun.Message:
    message = stun.Message(message_method=stun.Method.REFRESH, message_class=stun.Class.REQUEST)
    message.attributes["LIFETIME"] = 600
    return message


def certificate(server: Server) -> bytes:
    """The one that a new client is shown."""
    plain = socket.create_connection(("127.0.0.1", ports(server)["turn_tls"]), 5)
    with plain, believing().wrap_socket(plain) as secured:
        return secured.getpeercert(binary_form=True)


def believing() -> ssl.SSLContext:
    """Whoever the server is."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as chosen:
        return chosen.getsockname()[1]
