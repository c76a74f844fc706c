"""What TURN costs: Banter and coturn in turn, under the same load by coturn's own client. Prints tables for RESULTS.md.

    make bench-turn                        all of it
    .venv/bin/python benches/turn.py cost  only that: cost, delay or capacity

`cost` is the server's CPU time (proc_pid_stat(5)) per relayed packet, as the clients count them, both ways. Each
round gives both servers the same load, so that what else the machine does falls on both.
"""

import argparse
import asyncio
import base64
import hmac
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "tests/sdk"))

from aioice import turn  # noqa: E402

from server import Banter, Server, Usage  # noqa: E402

ECHO = "192.0.2.55"
"""Exists nowhere: Banter's peer for tests."""
ECHO_PORT = 3480
PAYLOAD = 172
WAYS = {"UDP": [], "TCP": ["-t"], "TLS": ["-t", "-S"]}
PAUSE = {"UDP": 1, "TCP": 1, "TLS": 4}
"""Milliseconds between two packets of a client. It reads one record at a time, and falls behind TLS that is faster."""
CLIENTS_PER_SESSION = 6
"""A session has twelve allocations, and the client makes more than it needs at first."""
ATTEMPTS = 400


@dataclass(frozen=True)
class Relay:
    """A TURN server under load. `credentials` are those of a new participant."""

    name: str
    process: int
    port: int
    tls_port: int
    peer: tuple[str, int]
    credentials: Callable[[], tuple[str, str]]


@dataclass
class Tally:
    sent: int = 0
    received: int = 0
    lost: int = 0

    def add(self, text: str) -> None:
        counts = {word: re.findall(rf"tot_{word}_msgs=(\d+)", text) for word in ("send", "recv")}
        lost = re.search(r"Total lost packets (\d+)", text)
        assert counts["send"] and lost, f"the client has counted nothing\n{text[-2000:]}"
        self.sent += int(counts["send"][-1])
        self.received += int(counts["recv"][-1])
        self.lost += int(lost[1])


@asynccontextmanager
async def banter(folder: Path, certificate: tuple[Path, Path]) -> AsyncIterator[Relay]:
    settings = {
        "BANTER_TURN_PORT": "0",
        "BANTER_TURN_TLS_PORT": "0",
        "BANTER_TURN_ECHO_PEER": f"{ECHO}:{ECHO_PORT}",
        "BANTER_TLS": "files",
        "BANTER_TLS_CERT": str(certificate[0]),
        "BANTER_TLS_KEY": str(certificate[1]),
    }
    with Banter(data_dir=folder / "banter", settings=settings) as server:
        secret = base64.b64decode((server.data_dir / "turn-secret").read_text().split()[0])
        numbers = iter(range(10**6))

        def credentials() -> tuple[str, str]:
            """As the server makes them for a session, which would cost more than what is measured."""
            username = f"{int(time.time()) + 600}:load-{next(numbers)}"
            return username, base64.b64encode(hmac.digest(secret, username.encode(), "sha1")).decode()

        ports = banter_ports(server)
        yield Relay("Banter", server.process, ports["turn"], ports["turn_tls"], (ECHO, ECHO_PORT), credentials)


@asynccontextmanager
async def coturn(folder: Path, certificate: tuple[Path, Path]) -> AsyncIterator[Relay]:
    port, tls_port, peer_port = 13478, 13479, 13480
    command = ["turnserver", "-n", "-L", "127.0.0.1", "-p", port, "--tls-listening-port", tls_port, "-a", "-r", "test"]
    command += ["--min-port", 20000, "--max-port", 29999, "-u", "u1:p1", "--allow-loopback-peers", "--no-cli", "-f"]
    command += [
        "--cert",
        certificate[0],
        "--pkey",
        certificate[1],
        "--log-file",
        folder / "coturn.log",
        "--no-stdout-log",
    ]
    command += ["--simple-log", "--pidfile", folder / "coturn.pid", "--userdb", folder / "coturn.db"]
    peer = ["turnutils_peer", "-L", "127.0.0.1", "-p", peer_port]
    async with started(*command) as process, started(*peer):
        await listening("127.0.0.1", tls_port)
        yield Relay("coturn", process, port, tls_port, ("127.0.0.1", peer_port), lambda: ("u1", "p1"))


@asynccontextmanager
async def started(*command: object) -> AsyncIterator[int]:
    nowhere = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*map(str, command), stdout=nowhere, stderr=nowhere)
    try:
        yield process.pid
    finally:
        process.terminate()
        await process.wait()


async def listening(host: str, port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            _, writer = await asyncio.open_connection(host, port)
            return writer.close()
        except OSError:
            assert time.monotonic() < deadline, f"nothing listens at {host}:{port}"
            await asyncio.sleep(0.1)


async def load(
    relay: Relay, way: str, packets: int, pause: int, clients: int = 1, network: str = "127.0.0", send: bool = False
) -> str:
    """One process of coturn's client: each of its clients sends so many packets, one each `pause` ms, and hears all."""
    port = relay.tls_port if way == "TLS" else relay.port
    flags = (
        f"-c -n {packets} -z {pause} -m {clients} -l {PAYLOAD} -p {port} -e {relay.peer[0]} -r {relay.peer[1]}".split()
    )
    flags += [*WAYS[way], *(["-s"] if send else [])]
    for attempt in range(ATTEMPTS):
        name, password = relay.credentials()
        # It leaves allocations behind when it fails, and an address may have 64.
        own = ["-u", name, "-w", password, "-L", f"{network}.{1 + attempt % 250}"]
        process = await asyncio.create_subprocess_exec(
            *("turnutils_uclient", *own, *flags, "127.0.0.1"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        text = (await process.communicate())[0].decode()
        # It draws channel numbers of which three of four are among those that RFC 8656 took back.
        if "Total lost packets" in text and "channel bind: error 400" not in text:
            return text
    raise AssertionError(f"no channel can be bound\n{text}")


async def cost(relay: Relay, way: str, clients: int, packets: int) -> tuple[float, Tally]:
    """Microseconds of CPU per relayed packet, with `clients` that send a thousand packets a second each."""
    before = Usage.of(relay.process).cpu_seconds
    # Each from a network of its own: a server answers so many strangers from one of them.
    networks = [f"127.7.{number}" for number in range(clients)]
    texts = await asyncio.gather(
        *(load(relay, way, packets, pause=PAUSE[way], network=network) for network in networks)
    )
    used = Usage.of(relay.process).cpu_seconds - before
    tally = Tally()
    for text in texts:
        tally.add(text)
    return used * 1e6 / (tally.sent + tally.received), tally


async def compare(folder: Path, certificate: tuple[Path, Path], rounds: int, clients: int, packets: int) -> None:
    print(
        f"\n{clients} clients, {clients * 1000} packets a second each way, {PAYLOAD} bytes, {rounds} rounds, channels\n"
    )
    print("| way | Banter | coturn | ratio | lost, Banter | lost, coturn |\n|---|---|---|---|---|---|")
    for way in WAYS:
        costs: dict[str, list[float]] = {"Banter": [], "coturn": []}
        lost = {"Banter": Tally(), "coturn": Tally()}
        for _ in range(rounds):
            for start in (banter, coturn):
                async with start(Path(tempfile.mkdtemp(dir=folder)), certificate) as relay:
                    one, tally = await cost(relay, way, clients, packets)
                costs[relay.name].append(one)
                lost[relay.name].lost += tally.lost
                lost[relay.name].sent += tally.sent
        ours, theirs = (statistics.median(costs[name]) for name in ("Banter", "coturn"))
        shown = {name: " · ".join(f"{one:.1f}" for one in values) for name, values in costs.items()}
        shares = [f"{lost[name].lost} of {lost[name].sent}" for name in ("Banter", "coturn")]
        print(
            f"| {way} | {shown['Banter']} µs | {shown['coturn']} µs | {ours / theirs:.2f} | {' | '.join(shares)} |",
            flush=True,
        )


class Echo(asyncio.DatagramProtocol):
    """Notes how long each packet was under way, by the time that it was sent at."""

    def __init__(self) -> None:
        self.delays: list[float] = []

    def datagram_received(self, data: bytes, _: object) -> None:
        self.delays.append(time.monotonic() - float(data[:20]))


async def delays(transport: asyncio.DatagramTransport, echo: Echo, peer: tuple[str, int], count: int) -> list[float]:
    """Of one packet each 20 ms, as in a conversation."""
    for _ in range(count):
        transport.sendto(f"{time.monotonic():20.9f}".encode().ljust(PAYLOAD), peer)
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.5)
    return sorted(echo.delays)


async def delay(folder: Path, certificate: tuple[Path, Path], clients: int, seconds: int) -> None:
    """There and back through the relay, beside the same without any server, while others send half of the full load."""
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        relay = await stack.enter_async_context(banter(folder, certificate))
        await stack.enter_async_context(started("turnutils_peer", "-L", "127.0.0.1", "-p", 13490))
        name, password = relay.credentials()
        others = [
            asyncio.create_task(load(relay, "UDP", seconds * 1000, 1, network=f"127.7.{number}"))
            for number in range(clients)
        ]
        await asyncio.sleep(3)
        through, echo = await turn.create_turn_endpoint(
            Echo, ("127.0.0.1", relay.port), username=name, password=password, transport="udp"
        )
        direct, beside = await loop.create_datagram_endpoint(Echo, ("127.0.0.1", 0))
        count = (seconds - 6) * 50
        relayed, bare = await asyncio.gather(
            delays(through, echo, relay.peer, count), delays(direct, beside, ("127.0.0.1", 13490), count)
        )
        through.close()
        direct.close()
        await asyncio.gather(*others)
    print(f"\n{clients} clients besides, {clients * 1000} packets a second each way\n")
    print("| there and back | packets | median | p99 | longest |\n|---|---|---|---|---|")
    for name, values in {"through TURN": relayed, "without": bare}.items():
        p99 = values[int(len(values) * 0.99) - 1]
        shown = " | ".join(f"{value * 1e3:.2f} ms" for value in (statistics.median(values), p99, values[-1]))
        print(f"| {name} | {len(values)} of {count} | {shown} |", flush=True)


async def capacity(folder: Path, certificate: tuple[Path, Path], allocations: int) -> None:
    """So many clients at once, all of whom hear every packet of theirs come back."""
    processes = -(-allocations // CLIENTS_PER_SESSION)
    async with banter(folder, certificate) as relay:
        before = Usage.of(relay.process)
        # Of ten seconds each, so that all are there at once.
        tasks = [
            load(relay, "UDP", 50, 200, CLIENTS_PER_SESSION, f"127.8.{number}", send=True)
            for number in range(processes)
        ]
        texts = await asyncio.gather(*tasks)
        after = Usage.of(relay.process)
    tally = Tally()
    for text in texts:
        tally.add(text)
    grown = (after.peak_resident_bytes - before.resident_bytes) / 2**20
    print(
        f"\n{processes * CLIENTS_PER_SESSION} allocations at once: {tally.received} of {tally.sent} packets back, ",
        end="",
    )
    print(f"{grown:.1f} MiB more memory, {after.cpu_seconds - before.cpu_seconds:.2f} s of CPU", flush=True)


def banter_ports(server: Server) -> dict:
    return json.loads((server.data_dir / "ports.json").read_text())


def self_signed(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "30"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=["all", "cost", "delay", "capacity"], default="all")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--packets", type=int, default=10_000, help="of each client")
    given = parser.parse_args()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="banter-bench-")))
        certificate = self_signed(folder)
        if given.part in ("all", "cost"):
            await compare(folder, certificate, given.rounds, given.clients, given.packets)
        if given.part in ("all", "delay"):
            await delay(folder, certificate, given.clients // 2, 20)
        if given.part in ("all", "capacity"):
            await capacity(folder, certificate, 500)


if __name__ == "__main__":
    asyncio.run(main())
