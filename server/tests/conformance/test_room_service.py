"""Server API"""

import asyncio

import pytest

from administrators import Administrator, NodeAdministrator, PythonAdministrator, Refused
from clients import Hosts
from hall import Hall, noticed, until, until_hears, until_silent, until_snapshot, until_told
from server import Server
from servers import IS_BANTER
from wire import call, get

NOBODY = "nobody"


@pytest.fixture(params=["livekit-api", "livekit-server-sdk"])
async def administrator(request: pytest.FixtureRequest, server: Server, hosts: Hosts) -> Administrator:
    if request.param == "livekit-api":
        return PythonAdministrator(server)
    return NodeAdministrator(server, await hosts.host("administrator"))


async def test_create_room(hall: Hall, administrator: Administrator):
    """CreateRoom makes a room with what it is given"""
    room = await administrator.create_room(
        hall.room, emptyTimeout=120, departureTimeout=15, maxParticipants=7, metadata="cosy"
    )
    assert room["sid"].startswith("RM_") and room["name"] == hall.room
    expected = {"emptyTimeout": 120, "departureTimeout": 15, "maxParticipants": 7, "metadata": "cosy"}
    assert expected.items() <= room.items(), room
    assert int(room["creationTime"]) > 1_600_000_000


async def test_create_room_twice(hall: Hall, administrator: Administrator):
    """CreateRoom of a room that is there answers that room as it is"""
    first = await administrator.create_room(hall.room, metadata="cosy")
    second = await administrator.create_room(hall.room, metadata="cosier")
    assert (second["sid"], second["metadata"]) == (first["sid"], "cosy")


async def test_list_rooms(hall: Hall, administrator: Administrator):
    """ListRooms lists rooms, all or by name, with how many are inside"""
    await administrator.create_room(hall.room)
    assert hall.room in [room["name"] for room in await administrator.list_rooms()]
    assert await administrator.list_rooms(f"{hall.room}-other") == []
    await hall.enter("alice")

    async def counted() -> bool:
        [room] = await administrator.list_rooms(hall.room)
        return room.get("numParticipants") == 1

    await until(counted, lambda: "one participant is listed", within=15)


async def test_delete_room(hall: Hall, administrator: Administrator):
    """DeleteRoom ends the sessions in it and forgets it"""
    alice = await hall.enter("alice")
    await administrator.delete_room(hall.room)
    await until_told(alice, "disconnected", "ROOM_DELETED")
    assert await administrator.list_rooms(hall.room) == []


async def test_delete_empty_room(hall: Hall, administrator: Administrator):
    """DeleteRoom of a room that nobody has joined"""
    await administrator.create_room(hall.room)
    await administrator.delete_room(hall.room)
    assert await administrator.list_rooms(hall.room) == []


async def test_delete_unknown_room(hall: Hall, administrator: Administrator):
    """DeleteRoom of an unknown room: not_found"""
    with pytest.raises(Refused) as refused:
        await administrator.delete_room(hall.room)
    assert refused.value.code == "not_found"


async def test_room_metadata_of_empty_room(hall: Hall, administrator: Administrator):
    """UpdateRoomMetadata of an empty room is there for who joins"""
    await administrator.create_room(hall.room)
    room = await administrator.update_room_metadata(hall.room, "quiet")
    assert room["metadata"] == "quiet"
    alice = await hall.enter("alice")
    await until_snapshot(alice, lambda seen: seen["room"]["metadata"] == "quiet")


async def test_update_room_metadata(hall: Hall, administrator: Administrator):
    """UpdateRoomMetadata is told to who is there"""
    alice = await hall.enter("alice")
    await administrator.update_room_metadata(hall.room, "lively")
    await until_told(alice, "room metadata", detail="lively")


async def test_list_participants(hall: Hall, administrator: Administrator):
    """ListParticipants lists everybody, hidden ones included, with their tracks"""
    alice = await hall.enter("alice")
    await hall.enter("ghost", hidden=True)
    sid = await alice.speak(440)

    async def complete() -> bool:
        people = {one["identity"]: one for one in await administrator.list_participants(hall.room)}
        return people.keys() == {"alice", "ghost"} and [one["sid"] for one in people["alice"].get("tracks", [])] == [
            sid
        ]

    await until(complete, lambda: "alice with her track, and the ghost")


async def test_list_participants_of_unknown_room(hall: Hall, administrator: Administrator):
    """ListParticipants of an unknown room: nobody"""
    assert await administrator.list_participants(hall.room) == []


async def test_get_participant(hall: Hall, administrator: Administrator):
    """GetParticipant answers one; of an unknown one: not_found"""
    alice = await hall.enter("alice")
    sid = (await alice.snapshot())["sid"]

    async def active() -> bool:
        one = await administrator.get_participant(hall.room, "alice")
        return one["sid"] == sid and one["state"] == "ACTIVE" and one["permission"]["canPublish"]

    await until(active, lambda: "alice is active")
    with pytest.raises(Refused) as refused:
        await administrator.get_participant(hall.room, NOBODY)
    assert refused.value.code == "not_found"


async def test_remove_participant(hall: Hall, administrator: Administrator):
    """RemoveParticipant removes one; an unknown one: not_found"""
    alice, bob = await hall.enter("alice"), await hall.enter("bob")
    await until_told(alice, "joined", "bob")
    await administrator.remove_participant(hall.room, "alice")
    await until_told(alice, "disconnected", "PARTICIPANT_REMOVED")
    await until_told(bob, "left", "alice")
    with pytest.raises(Refused) as refused:
        await administrator.remove_participant(hall.room, NOBODY)
    assert refused.value.code == "not_found"


async def test_update_participant(hall: Hall, administrator: Administrator):
    """UpdateParticipant answers the changed participant; of an unknown one: not_found"""
    alice = await hall.enter("alice")
    changes = {"name": "Alice", "metadata": "a farmer", "attributes": {"cows": "4"}}
    answer = await administrator.update_participant(hall.room, "alice", **changes)
    assert changes.items() <= answer.items(), answer
    await until_snapshot(alice, lambda seen: changes.items() <= seen.items())
    with pytest.raises(Refused) as refused:
        await administrator.update_participant(hall.room, NOBODY, name="Nobody")
    assert refused.value.code == "not_found"


async def test_update_permission(hall: Hall, administrator: Administrator):
    """UpdateParticipant with a permission replaces the whole of it"""
    alice, bob = await hall.enter("alice"), await hall.enter("bob")
    await alice.speak(440)
    await until_hears(bob, "alice", 440)
    permission = {"canSubscribe": True, "canPublishData": True}
    answer = await administrator.update_participant(hall.room, "alice", permission=permission)
    assert not answer["permission"].get("canPublish", False)
    await until_told(bob, "unpublished", "alice")


async def test_mute_track(hall: Hall, administrator: Administrator):
    """MutePublishedTrack mutes; without the room's leave it does not unmute: failed_precondition"""
    alice, bob = await hall.enter("alice"), await hall.enter("bob")
    sid = await alice.speak(440)
    await until_hears(bob, "alice", 440)
    track = await administrator.mute_track(hall.room, "alice", sid, True)
    assert track["sid"] == sid and track["muted"]
    await until_told(bob, "muted", "alice")
    await until_silent(bob, "alice")
    with pytest.raises(Refused) as refused:
        await administrator.mute_track(hall.room, "alice", sid, False)
    assert refused.value.code == "failed_precondition"


async def test_update_subscriptions(hall: Hall, administrator: Administrator):
    """UpdateSubscriptions ends and begins a participant's subscriptions"""
    alice, bob = await hall.enter("alice"), await hall.enter("bob")
    sid = await bob.speak(440)
    await until_hears(alice, "bob", 440)
    await administrator.update_subscriptions(hall.room, "alice", [sid], False)
    await until_silent(alice, "bob")
    await administrator.update_subscriptions(hall.room, "alice", [sid], True)
    await until_hears(alice, "bob", 440)


@pytest.mark.parametrize("reliable", [True, False], ids=["reliable", "lossy"])
async def test_send_data(hall: Hall, administrator: Administrator, reliable: bool):
    """SendData reaches whom it is for"""
    alice, bob = await hall.enter("alice"), await hall.enter("bob")
    await until_told(alice, "joined", "bob")
    for client in (alice, bob):
        await until_active(administrator, hall.room, client.identity)
    await administrator.send_data(hall.room, b"for bob", reliable=reliable, topic="news", to=("bob",))
    await until_told(bob, "data", "", detail={"payload": b"for bob", "topic": "news"})
    await administrator.send_data(hall.room, b"for all", reliable=reliable, topic="news")
    await until_told(alice, "data", "", detail={"payload": b"for all", "topic": "news"})
    assert len(noticed(alice, "data")) == 1


async def test_unsigned_calls(hall: Hall):
    """Calls without the right grant are refused: unauthenticated"""
    administrator = PythonAdministrator(hall.server)
    await administrator.create_room(hall.room)
    other_room = hall.server.token("other", "x", room_admin=True)
    for token in (hall.server.token(hall.room, "x"), other_room):
        status, _, text = await call(hall.server, "ListParticipants", f'{{"room": "{hall.room}"}}', token)
        assert status == 401 and '"unauthenticated"' in text, (status, text)
    status, _, _ = await call(hall.server, "ListRooms", "{}", "not-a-token")
    assert status == 401


async def test_json_in_both_spellings(hall: Hall):
    """JSON requests may use snake_case or camelCase, and unknown fields are ignored"""
    token = hall.server.token(hall.room, "x", room_join=False, room_create=True)
    for body in ('{"name": "%s", "max_participants": 5}', '{"name": "%s", "maxParticipants": 5, "unknown": 1}'):
        status, headers, text = await call(hall.server, "CreateRoom", body % hall.room, token)
        assert status == 200 and headers["Content-Type"].startswith("application/json"), (status, text)
        assert ('"max_participants":5' in text.replace(" ", "")) or ('"maxParticipants":5' in text.replace(" ", ""))


async def test_unknown_method(hall: Hall):
    """An unknown method and an unknown way of asking: bad_route; no JSON: malformed"""
    token = hall.server.token(hall.room, "x", room_join=False, room_create=True, room_list=True)
    status, _, text = await call(hall.server, "Sing", "{}", token)
    assert (status, '"bad_route"' in text) == (404, True), text
    status, _, text = await get(hall.server, "/twirp/livekit.RoomService/ListRooms", Authorization=f"Bearer {token}")
    assert (status, '"bad_route"' in text) == (404, True), text
    status, _, text = await call(hall.server, "ListRooms", "{nonsense", token)
    assert (status, '"malformed"' in text) == (400, True), text


async def test_many_rooms_at_once(hall: Hall):
    """Fifty rooms are created, listed and deleted at once"""
    administrator = PythonAdministrator(hall.server)
    names = [f"{hall.room}-{number}" for number in range(50)]
    await asyncio.gather(*(administrator.create_room(name) for name in names))
    assert {room["name"] for room in await administrator.list_rooms(*names)} == set(names)
    await asyncio.gather(*(administrator.delete_room(name) for name in names))
    assert await administrator.list_rooms(*names) == []


async def test_move_participant(hall: Hall, administrator: Administrator):
    """MoveParticipant takes one to another room"""
    if not IS_BANTER:
        pytest.skip("LiveKit's own server has not implemented it")
    alice, bob = await hall.enter("alice"), await hall.enter("bob")
    await alice.speak(440)
    await until_hears(bob, "alice", 440)
    elsewhere = Hall(hall.server, hall.hosts, f"{hall.room}-elsewhere")
    carol = await elsewhere.enter("carol")
    await administrator.move_participant(hall.room, "alice", elsewhere.room)
    await until_told(bob, "left", "alice")
    await until_told(carol, "joined", "alice")
    await until_hears(carol, "alice", 440)
    await until_snapshot(alice, lambda seen: seen["others"].keys() == {"carol"})
    await elsewhere.close()


async def until_active(administrator: Administrator, room: str, identity: str) -> None:
    async def active() -> bool:
        return (await administrator.get_participant(room, identity)).get("state") == "ACTIVE"

    await until(active, lambda: f"{identity} is active")
