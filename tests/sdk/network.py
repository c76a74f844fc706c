"""Networks that fail: a link of which kinds of packets can be lost, and a way in that can be shut."""

import asyncio
import itertools
import os
import subprocess
from contextlib import suppress
from typing import Literal

_numbers = itertools.count(os.getpid() % 200 * 16)


class Island:
    """A network namespace at the end of a cable, for a server to be put into; needs root.

    While it is cut, packets of one kind, or all, are lost at its end of the cable in both directions without a sign.
    """

    def __init__(self) -> None:
        number = next(_numbers)
        self._name = f"banter-{os.getpid()}-{number}"
        self._cable = f"bt{os.getpid() % 100_000}n{number}"
        network = f"10.213.{number // 64 % 256}"
        self._here, self.address = (f"{network}.{number % 64 * 4 + host}" for host in (1, 2))

    @property
    def prefix(self) -> list[str]:
        """What to put before a command that is to run inside."""
        return ["ip", "netns", "exec", self._name]

    def __enter__(self) -> "Island":
        _run("ip", "netns", "add", self._name)
        _run("ip", "link", "add", self._cable, "type", "veth", "peer", "name", "eth0", "netns", self._name)
        _run("ip", "address", "add", f"{self._here}/30", "dev", self._cable)
        _run("ip", "link", "set", self._cable, "up")
        self._inside("address", "add", f"{self.address}/30", "dev", "eth0")
        self._inside("link", "set", "eth0", "up")
        self._inside("link", "set", "lo", "up")
        # Rules of ours must come before the one that takes packets in.
        self._inside("rule", "add", "pref", "100", "lookup", "local")
        self._inside("rule", "del", "pref", "0")
        return self

    def __exit__(self, *_) -> None:
        _run("ip", "link", "del", self._cable)
        _run("ip", "netns", "del", self._name)

    def cut(self, what: Literal["udp", "all"]) -> None:
        self._inside("rule", "add", "pref", "1", *(["ipproto", "udp"] if what == "udp" else []), "blackhole")

    def mend(self) -> None:
        self._inside("rule", "del", "pref", "1")

    def _inside(self, *arguments: str) -> None:
        _run("ip", "-n", self._name, *arguments)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


class Gate:
    """A way to a server for signalling: `127.0.0.1:port`, relayed byte for byte while it is open."""

    def __init__(self, host: str) -> None:
        self._target = host.rsplit(":", 1)
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._is_shut = False

    async def __aenter__(self) -> "Gate":
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.host = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_) -> None:
        self.shut()
        self._flowing.set()
        self._server.close()

    def shut(self) -> None:
        """Breaks every connection, and each new one at once, until it is opened again."""
        self._is_shut = True
        for pair in list(self._pairs):
            for writer in pair:
                writer.transport.abort()

    def freeze(self) -> None:
        """Lets nothing through any more, old or new, and gives no sign of it."""
        self._flowing.clear()

    def open(self) -> None:
        self._is_shut = False
        self._flowing.set()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_shut:
            writer.transport.abort()
            return
        await self._flowing.wait()
        there, back = await asyncio.open_connection(*self._target)
        pair = (writer, back)
        self._pairs.add(pair)
        try:
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        finally:
            self._pairs.discard(pair)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(1 << 16):
                await self._flowing.wait()
                sink.write(data)
                await sink.drain()
        sink.close()
