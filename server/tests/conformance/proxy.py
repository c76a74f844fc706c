"""A way to the server that can be cut, for the TCP connections that go through it (media does not)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlparse

from server import Server


class Proxy:
    """Copies bytes between clients and the server, until it is cut."""

    def __init__(self, server: Server) -> None:
        address = urlparse(f"//{server.host}")
        self._target = (address.hostname, address.port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        self._open.set()
        self.accepted = 0
        """Connections so far."""

    def cut(self) -> None:
        """Breaks every connection; whoever connects afterwards waits until the way is mended."""
        self._open.clear()
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        self._open.set()

    def blink(self) -> None:
        """Breaks every connection and lets the next ones through."""
        self.cut()
        self.mend()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._writers.add(writer)
        try:
            await self._open.wait()
            to_reader, to_writer = await asyncio.open_connection(*self._target)
            self._writers.add(to_writer)
            try:
                await asyncio.gather(_copy(reader, to_writer), _copy(to_reader, writer))
            finally:
                self._writers.discard(to_writer)
                to_writer.close()
        except OSError:
            pass  # a broken connection is what this is for
        finally:
            self._writers.discard(writer)
            writer.close()

    @classmethod
    @asynccontextmanager
    async def before(cls, server: Server) -> AsyncIterator["Proxy"]:
        proxy = cls(server)
        listener = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
        proxy.url = f"ws://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        yield proxy
        proxy.cut()
        proxy.mend()
        listener.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
