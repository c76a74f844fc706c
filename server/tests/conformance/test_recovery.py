"""Interruptions"""

import pytest
from livekit.protocol import models, rtc

from clients import Kind
from hall import Hall, moment, noticed, until_hears, until_snapshot, until_told
from proxy import Proxy
from wire import connect, resuming

LONG = 80
"""Seconds that a client may take to come back: some wait, and try other ways first."""

pytestmark = pytest.mark.timeout(240)


async def test_signal_resumes(hall: Hall, kind: Kind):
    """A lost signalling connection is resumed: same session, nobody sees a leave"""
    bob = await hall.enter("bob")
    async with Proxy.before(hall.server) as proxy:
        alice = await hall.enter("alice", kind, url=proxy.url)
        await talk(alice, bob)
        sid = (await alice.snapshot())["sid"]
        proxy.blink()
        await until_told(alice, "reconnected", within=LONG)
        await until_they_talk(alice, bob)
        assert (await alice.snapshot())["sid"] == sid
        assert not noticed(bob, "left") and not noticed(bob, "unpublished")
        await alice.leave()


async def test_signal_resumes_without_publishing(hall: Hall, kind: Kind):
    """A session that never published is resumed too"""
    bob = await hall.enter("bob")
    await bob.speak(660)
    async with Proxy.before(hall.server) as proxy:
        alice = await hall.enter("alice", kind, url=proxy.url)
        await until_hears(alice, "bob", 660)
        proxy.blink()
        await until_told(alice, "reconnected", within=LONG)
        await until_hears(alice, "bob", 660)
        assert not noticed(bob, "left")
        await alice.speak(440)
        await until_hears(bob, "alice", 440)
        await alice.leave()


async def test_two_resumes(hall: Hall, kind: Kind):
    """A second interruption right after the first is recovered from too"""
    bob = await hall.enter("bob")
    async with Proxy.before(hall.server) as proxy:
        alice = await hall.enter("alice", kind, url=proxy.url)
        await talk(alice, bob)
        proxy.blink()
        await until_told(alice, "reconnected", within=LONG)
        since = moment()
        proxy.blink()
        await until_told(alice, "reconnected", since=since, within=LONG)
        await until_they_talk(alice, bob)
        assert not noticed(bob, "left")
        await alice.leave()


async def test_leave_during_resume(hall: Hall, kind: Kind):
    """Who left meanwhile is gone after a resume, who came is there"""
    bob, carol = await hall.enter("bob"), await hall.enter("carol")
    async with Proxy.before(hall.server) as proxy:
        alice = await hall.enter("alice", kind, url=proxy.url)
        await until_snapshot(alice, lambda seen: seen["others"].keys() == {"bob", "carol"})
        proxy.cut()
        await carol.leave()
        await hall.enter("dan")
        await until_told(bob, "joined", "dan")
        proxy.mend()
        await until_told(alice, "left", "carol", within=LONG)
        await until_snapshot(alice, lambda seen: seen["others"].keys() == {"bob", "dan"})
        await alice.leave()


async def test_mute_during_resume(hall: Hall, kind: Kind):
    """A mute while signalling is away reaches the others afterwards"""
    bob = await hall.enter("bob")
    async with Proxy.before(hall.server) as proxy:
        alice = await hall.enter("alice", kind, url=proxy.url)
        await talk(alice, bob)
        proxy.cut()
        await until_told(alice, "reconnecting")
        await alice.mute()
        proxy.mend()
        await until_told(bob, "muted", "alice", within=LONG)
        await alice.unmute()
        await until_told(bob, "unmuted", "alice", within=LONG)
        await until_hears(bob, "alice", 440)
        await alice.leave()


async def test_failed_resume_escalates(hall: Hall, kind: Kind):
    """If the server no longer knows the session, the client makes a new one and publishes again"""
    bob = await hall.enter("bob")
    async with Proxy.before(hall.server) as proxy:
        alice = await hall.enter("alice", kind, url=proxy.url)
        await talk(alice, bob)
        sid = (await alice.snapshot())["sid"]
        proxy.cut()
        await end_session_of(hall, "alice", sid, kind.single)
        await until_told(bob, "left", "alice")
        since = moment()
        proxy.mend()
        await until_told(bob, "subscribed", "alice", since=since, within=LONG)
        await until_they_talk(alice, bob)
        await until_snapshot(alice, lambda seen: seen["sid"] != sid)
        await alice.leave()


@pytest.mark.parametrize(
    "scenario", ["signal reconnect", "full reconnect", "node failure", "migration", "disconnect on resume"]
)
async def test_scenarios(hall: Hall, kind: Kind, scenario: str):
    """Recovery that a client asks for in development mode:"""
    bob = await hall.enter("bob")
    alice = await hall.enter("alice", kind)
    await talk(alice, bob)
    await alice.simulate(scenario)
    await until_told(alice, "reconnected", within=LONG)
    await until_they_talk(alice, bob)


async def test_server_leave(hall: Hall, kind: Kind):
    """A server that a client asks, in development mode, to be sent away by does so"""
    bob = await hall.enter("bob")
    alice = await hall.enter("alice", kind)
    await talk(alice, bob)
    await alice.simulate("server leave")
    await until_told(alice, "disconnected", within=LONG)
    await until_told(bob, "left", "alice")


async def talk(alice, bob) -> None:
    await alice.speak(440)
    await bob.speak(660)
    await until_they_talk(alice, bob)


async def until_they_talk(alice, bob) -> None:
    await until_hears(bob, "alice", 440, within=LONG)
    await until_hears(alice, "bob", 660, within=LONG)


async def end_session_of(hall: Hall, identity: str, sid: str, single: bool) -> None:
    """Takes a session over, as a client that resumes, and leaves the room with it."""
    async with connect(hall.server, hall.token(identity), single, **resuming(single, sid)) as wire:
        await wire.next("reconnect")
        leave = rtc.LeaveRequest(reason=models.DisconnectReason.CLIENT_INITIATED)
        await wire.send(leave=leave)
        await wire.until_closed()
