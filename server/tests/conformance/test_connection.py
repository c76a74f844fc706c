"""Joining and leaving"""

from datetime import timedelta

import pytest

from administrators import PythonAdministrator
from clients import PYTHON, Kind
from hall import Hall, until, until_snapshot, until_told
from servers import own_server


async def test_client_connects(hall: Hall, kind: Kind):
    """Connects, and learns its room and its own sid"""
    alice = await hall.enter("alice", kind)
    seen = await until_snapshot(alice, lambda seen: seen["connected"])
    assert seen["sid"].startswith("PA_") and seen["room"]["sid"].startswith("RM_")
    assert (seen["room"]["name"], seen["name"], seen["others"]) == (hall.room, "alice", {})


async def test_two_see_each_other(hall: Hall, kind: Kind):
    """Two participants see each other come and go"""
    alice = await hall.enter("alice", kind)
    bob = await hall.enter("bob")
    await until_told(alice, "joined", "bob")
    await until_told(bob, "joined", "alice")
    assert (await alice.snapshot())["others"]["bob"]["sid"] == (await bob.snapshot())["sid"]
    await bob.leave()
    await until_told(alice, "left", "bob")


async def test_leaving_is_seen(hall: Hall, kind: Kind):
    """A publisher's leaving is seen by the others at once"""
    alice = await hall.enter("alice", kind)
    await alice.publish(1)
    bob = await hall.enter("bob")
    await until_told(bob, "subscribed", "alice")
    await alice.leave()
    await until_told(bob, "left", "alice", within=2)


async def test_leave_upon_receiving(hall: Hall, kind: Kind):
    """Whoever leaves at once after joining does not stay behind"""
    bob = await hall.enter("bob")
    alice = await hall.enter("alice", kind)
    await alice.leave()
    carol = await hall.enter("carol")
    await until_told(bob, "joined", "carol")
    assert bob.present == {"carol"} and carol.present == {"bob"}


async def test_duplicate_identity(hall: Hall, kind: Kind):
    """A second session of one identity ends the first: DUPLICATE_IDENTITY"""
    first = await hall.enter("alice", kind)
    watcher = await hall.enter("watcher")
    second = await hall.enter("alice", kind)
    await until_told(first, "disconnected", "DUPLICATE_IDENTITY")
    sid = (await second.snapshot())["sid"]
    await until_snapshot(
        watcher, lambda seen: seen["others"].keys() == {"alice"} and seen["others"]["alice"]["sid"] == sid
    )


async def test_removed(hall: Hall, kind: Kind):
    """RemoveParticipant ends the session: PARTICIPANT_REMOVED"""
    alice = await hall.enter("alice", kind)
    bob = await hall.enter("bob")
    await until_told(alice, "joined", "bob")
    await PythonAdministrator(hall.server).remove_participant(hall.room, "alice")
    await until_told(alice, "disconnected", "PARTICIPANT_REMOVED")
    await until_told(bob, "left", "alice")


async def test_room_deleted(hall: Hall, kind: Kind):
    """DeleteRoom ends all sessions: ROOM_DELETED; joining again makes a new room"""
    alice = await hall.enter("alice", kind)
    before = (await alice.snapshot())["room"]["sid"]
    await PythonAdministrator(hall.server).delete_room(hall.room)
    await until_told(alice, "disconnected", "ROOM_DELETED")
    again = await hall.enter("alice", kind)
    seen = await until_snapshot(again, lambda seen: seen["connected"])
    assert seen["room"]["sid"] != before


@pytest.mark.timeout(240)
async def test_server_shutdown(hall: Hall, kind: Kind):
    """A stopping server says so: SERVER_SHUTDOWN"""
    program = own_server({})
    with program as server:
        alice = await hall.enter("alice", kind, url=server.ws_url)
        program.terminate()
        await until_told(alice, "disconnected", "SERVER_SHUTDOWN", within=30)


async def test_bad_token(hall: Hall, kind: Kind):
    """An expired token is refused at once"""
    token = hall.server.token(hall.room, "alice", ttl=timedelta(seconds=-120))
    with pytest.raises(Exception, match="(?i)expired|unauthorized|401|token|client error|invalid"):
        await hall.enter("alice", kind, token=token)


async def test_full_room(hall: Hall, kind: Kind):
    """A full room lets nobody else in, and somebody again when one has left"""
    administrator = PythonAdministrator(hall.server)
    await administrator.create_room(hall.room, maxParticipants=1)
    bob = await hall.enter("bob", PYTHON)
    with pytest.raises(Exception):  # noqa: B017 - every SDK has its own
        await hall.enter("alice", kind)
    await bob.leave()
    # The SDK does not wait until the server has read its goodbye.
    await until(lambda: is_empty(administrator, hall.room), lambda: "bob is still there")
    again = await hall.enter("alice", kind)
    await until_snapshot(again, lambda seen: seen["connected"])


async def is_empty(administrator: PythonAdministrator, room: str) -> bool:
    return not await administrator.list_participants(room)


async def test_hidden(hall: Hall, kind: Kind):
    """A hidden participant sees others and is not seen"""
    bob = await hall.enter("bob")
    ghost = await hall.enter("ghost", kind, hidden=True)
    await until_told(ghost, "joined", "bob")
    await hall.enter("carol")
    await until_told(bob, "joined", "carol")
    assert bob.present == {"carol"}


async def test_room_survives_publisher(hall: Hall, kind: Kind):
    """Server and client agree who is there after everybody but one has left"""
    alice = await hall.enter("alice", kind)
    others = [await hall.enter(name) for name in ("bob", "carol", "dan")]
    await until_snapshot(alice, lambda seen: len(seen["others"]) == 3)
    for other in others:
        await other.leave()
    await until_snapshot(alice, lambda seen: not seen["others"])
    administrator = PythonAdministrator(hall.server)
    assert [one["identity"] for one in await administrator.list_participants(hall.room)] == ["alice"]
