"""One test's room, everybody who has entered it, and what one waits for in it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from livekit import api

from clients import PYTHON, Client, Hosts, Kind
from participant import Notice
from server import Server

PATIENCE = 30
"""Seconds in which what must happen has to have happened."""


class Hall:
    def __init__(self, server: Server, hosts: Hosts, room: str) -> None:
        self.server = server
        self.hosts = hosts
        self.room = room
        self.everybody: list[Client] = []

    async def enter(
        self,
        identity: str,
        kind: Kind = PYTHON,
        *,
        url: str | None = None,
        token: str | None = None,
        auto_subscribe: bool = True,
        **grants,
    ) -> Client:
        """Joins `identity` on the SDK that `kind` names; `url` leads there by a detour."""
        client = await self.hosts.client(kind.sdk, identity)
        self.everybody.append(client)
        token = token or self.token(identity, **grants)
        await client.join(url or self.server.ws_url, token, kind.single, auto_subscribe)
        return client

    def token(self, identity: str, **grants) -> str:
        return self.server.token(self.room, identity, **grants)

    def rich_token(self, identity: str, *, attributes: dict | None = None, metadata="", kind="standard", **grants):
        """An access token with more than a grant in it."""
        token = api.AccessToken(self.server.api_key, self.server.api_secret).with_identity(identity)
        video = api.VideoGrants(**{"room_join": True, "room": self.room, **grants})
        token = token.with_name(identity).with_grants(video).with_ttl(timedelta(hours=1)).with_kind(kind)
        return token.with_metadata(metadata).with_attributes(attributes or {}).to_jwt()

    async def close(self) -> None:
        # One who cannot leave any more must not keep the others from it.
        await asyncio.gather(*(one.leave() for one in self.everybody), return_exceptions=True)


async def until(condition: Callable[[], Any], what: Callable[[], Any], within: float = PATIENCE) -> Any:
    """Waits until `condition` (which may have to be awaited) is true and answers it; else fails with `what`."""
    deadline = time.monotonic() + within
    while True:
        answer = condition()
        if isinstance(answer, Awaitable):
            answer = await answer
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what()}")
        await asyncio.sleep(0.03)


def noticed(client: Client, what: str, who: str | None = None, since: float = 0.0) -> list[Notice]:
    """What `client` was told of one kind, about `who` if that matters."""
    return [n for n in client.notices if n.what == what and (who is None or n.who == who) and n.at >= since]


async def until_told(
    client: Client, what: str, who: str | None = None, *, detail: Any = None, since: float = 0.0, within=PATIENCE
) -> Notice:
    """Waits for a notice and answers it; `detail` is what must come with it, or a test of that."""

    def fits(notice: Notice) -> bool:
        return detail is None or (detail(notice.detail) if callable(detail) else notice.detail == detail)

    found = await until(
        lambda: [notice for notice in noticed(client, what, who, since) if fits(notice)],
        lambda: f"{client.identity} is told '{who or 'somebody'} {what}'; was told {client.notices[-20:]}",
        within,
    )
    return found[0]


async def until_hears(client: Client, who: str, hz: float, within: float = PATIENCE) -> None:
    """Waits until `client` hears `hz` within 5 Hz, clean and loud, from `who`."""
    heard = None

    async def clean() -> bool:
        nonlocal heard
        heard = await client.tone(who)
        return heard is not None and abs(heard.hz - hz) <= 5 and heard.rms > 0.05 and heard.purity > 0.95

    await until(clean, lambda: f"{client.identity} hears {hz} Hz from {who}; hears {heard}", within)


async def until_silent(client: Client, who: str, within: float = PATIENCE) -> None:
    """Waits until half a second without sound has come from `who`, or nothing more comes."""
    heard = None

    async def silent() -> bool:
        nonlocal heard
        heard = await client.tone(who)
        return heard is None or heard.rms < 0.002

    await until(silent, lambda: f"{client.identity} hears nothing from {who}; hears {heard}", within)


async def until_snapshot(client: Client, condition: Callable[[dict], Any], within: float = PATIENCE) -> dict:
    """Waits until what the SDK holds to be true fulfils `condition`, and answers that."""
    seen: dict = {}

    async def fulfilled() -> bool:
        nonlocal seen
        seen = await client.snapshot()
        try:
            return bool(condition(seen))
        except KeyError:
            return False

    await until(fulfilled, lambda: f"{client.identity} sees it; sees {seen}", within)
    return seen


def moment() -> float:
    """Now, as `since` of the functions above."""
    return time.monotonic()
