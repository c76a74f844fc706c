"""Webhooks"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from administrators import Administrator, NodeAdministrator, PythonAdministrator
from clients import Hosts
from hall import Hall, until, until_told
from server import Server
from servers import own_server

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(params=["livekit-api", "livekit-server-sdk"])
def administrator(request: pytest.FixtureRequest) -> str:
    return request.param


class Receiver:
    """What has come to the webhook's address."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.failures = 0
        """How many of the next deliveries are answered with an error."""

    async def take(self, request: web.Request) -> web.Response:
        body = await request.text()
        if self.failures > 0:
            self.failures -= 1
            return web.Response(status=500)
        self.requests.append((body, dict(request.headers)))
        return web.Response()

    @classmethod
    @asynccontextmanager
    async def listening(cls) -> AsyncIterator["Receiver"]:
        receiver = cls()
        app = web.Application()
        app.router.add_post("/hook", receiver.take)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        receiver.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/hook"
        yield receiver
        await runner.cleanup()


async def test_events(hosts: Hosts, administrator: str):
    """A call is told as signed events in their order, from room_started to room_finished"""
    async with Receiver.listening() as receiver:
        with own_server({"webhook": {"api_key": "devkey", "urls": [receiver.url]}}) as server:
            hall = Hall(server, hosts, "hooked")
            alice = await hall.enter("alice")
            await until_names(receiver, ["room_started", "participant_joined"], hall, hosts, administrator)
            bob = await hall.enter("bob")
            sid = await bob.speak(440)
            await until_told(alice, "subscribed", "bob")
            await bob.leave()
            await alice.leave()
            await verifier(administrator, server, hosts).delete_room("hooked")
            names = ["room_started", "participant_joined", "participant_joined", "track_published", "track_unpublished"]
            names += ["participant_left", "participant_left", "room_finished"]
            events = await until_names(receiver, names, hall, hosts, administrator)

    body, headers = receiver.requests[0]
    assert headers["Content-Type"].startswith("application/webhook+json")
    assert len({event["id"] for event in events}) == len(events)
    assert all(event["room"]["name"] == "hooked" and int(event["createdAt"]) > 1_600_000_000 for event in events)
    joined = [event["participant"]["identity"] for event in events if event["event"] == "participant_joined"]
    assert joined == ["alice", "bob"]
    published = next(event for event in events if event["event"] == "track_published")
    assert published["track"]["sid"] == sid and published["participant"]["identity"] == "bob"


async def test_delivery_is_tried_again(hosts: Hosts, administrator: str):
    """An event that was not taken is delivered again, before the next one"""
    async with Receiver.listening() as receiver:
        receiver.failures = 1
        with own_server({"webhook": {"api_key": "devkey", "urls": [receiver.url]}}) as server:
            hall = Hall(server, hosts, "hooked")
            await hall.enter("alice")
            await until_names(receiver, ["room_started", "participant_joined"], hall, hosts, administrator)
            await hall.close()


def verifier(administrator: str, server: Server, hosts: Hosts) -> Administrator:
    if administrator == "livekit-api":
        return PythonAdministrator(server)
    return NodeAdministrator(server, hosts.started("administrator"))


async def until_names(receiver: Receiver, names: list[str], hall: Hall, hosts: Hosts, administrator: str) -> list[dict]:
    """Waits until as many events have come and answers them; their signatures are good and their names `names`."""
    await hosts.host("administrator")
    verify = verifier(administrator, hall.server, hosts)
    await until(
        lambda: len(receiver.requests) >= len(names),
        lambda: f"{names}; came {[body[:60] for body, _ in receiver.requests]}",
        within=30,
    )
    events = [await verify.receive(body, headers["Authorization"]) for body, headers in receiver.requests]
    assert sorted(event["event"] for event in events) == sorted(names)
    assert [event["event"] for event in events][0] == "room_started"
    return events
