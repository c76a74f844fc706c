"""Signalling protocol, without an SDK"""

import time
from contextlib import suppress
from datetime import timedelta

import aiohttp
import jwt
import pytest
from livekit import api
from livekit.protocol import models, rtc

from administrators import PythonAdministrator
from clients import Kind
from hall import Hall, until, until_hears, until_snapshot, until_told
from server import Server
from servers import IS_BANTER, own_server
from wire import Wire, connect, get, join_request, offer, parameters, path_of, resuming, wrapped

NOT_ALLOWED = rtc.RequestResponse.Reason.NOT_ALLOWED
MIC = {"type": models.TrackType.AUDIO, "source": models.TrackSource.MICROPHONE}


@pytest.fixture(params=["single", "dual"], name="path")
def _path(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def single(path: str) -> bool:
    return path == "single"


async def test_health(server: Server):
    """`/` answers that the server is well"""
    status, _, text = await get(server, "/")
    assert status == 200 and (text == "OK" or "<html" in text)
    status, _, _ = await get(server, "/", method="HEAD")
    assert status == 200


async def test_validate(hall: Hall, path: str, single: bool):
    """`validate` says success of a good token, in the query or in the header"""
    query = parameters(hall.token("alice"), single)
    assert (await get(hall.server, path_of(single) + "/validate", query))[::2] == (200, "success")
    token = query.pop("access_token")
    status, _, text = await get(hall.server, path_of(single) + "/validate", query, Authorization=f"Bearer {token}")
    assert (status, text) == (200, "success")


REFUSALS = {
    "expired": (401, lambda hall: hall.server.token(hall.room, "x", ttl=timedelta(seconds=-120))),
    "forged": (401, lambda hall: Server(hall.server.host, api_secret="other").token(hall.room, "x")),
    "unknown key": (401, lambda hall: Server(hall.server.host, api_key="other").token(hall.room, "x")),
    "garbage": (401, lambda hall: "not-a-token"),
    "no roomJoin": (401, lambda hall: hall.server.token(hall.room, "x", room_join=False)),
    "no video grant": (401, lambda hall: api.AccessToken("devkey", "secret").with_identity("x").to_jwt()),
    "no room": (400, lambda hall: signed({"roomJoin": True}, sub="x")),
    "no identity": (400, lambda hall: signed({"roomJoin": True, "room": hall.room})),
    "long room name": (400, lambda hall: hall.server.token("r" * 300, "x")),
    "long identity": (400, lambda hall: hall.server.token(hall.room, "x" * 300)),
}


@pytest.mark.parametrize("reason", REFUSALS)
async def test_refusals(hall: Hall, path: str, single: bool, reason: str):
    """Tokens that are no good are refused with the status that clients expect"""
    status, spoil = REFUSALS[reason]
    query = parameters(spoil(hall), single)
    answer = await get(hall.server, path_of(single) + "/validate", query)
    assert answer[0] == status, answer
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with connect(hall.server, spoil(hall), single):
            pass
    assert refused.value.status == status


async def test_cors(server: Server, path: str, single: bool):
    """Pages of any origin can read the answers, also about a bad token"""
    headers = {"Origin": "https://somewhere.example"}
    status, answered, _ = await get(server, path_of(single) + "/validate", parameters("bad", single), **headers)
    assert status == 401
    assert answered["Access-Control-Allow-Origin"] in ("*", headers["Origin"])


async def test_plain_request(hall: Hall, path: str, single: bool):
    """A plain request where a WebSocket is meant: 404"""
    status, _, _ = await get(hall.server, path_of(single), parameters(hall.token("alice"), single))
    assert status == 404


async def test_double_slash(hall: Hall, path: str, single: bool):
    """A doubled slash in the path does no harm"""
    query = parameters(hall.token("alice"), single)
    assert (await get(hall.server, f"/{path_of(single)}/validate", query))[0] == 200
    async with connect(hall.server, hall.token("alice"), single, path=f"/{path_of(single)}") as wire:
        await wire.next("join")


async def test_join_response(hall: Hall, path: str, single: bool):
    """`join` comes first and has all that clients rely on"""
    await hall.enter("bob")
    async with connect(hall.server, hall.token("alice"), single) as wire:
        join = await wire.next("join")
        assert wire.messages[0].WhichOneof("message") == "join"
        assert join.room.sid.startswith("RM_") and join.room.name == hall.room
        assert join.participant.sid.startswith("PA_") and join.participant.identity == "alice"
        assert [other.identity for other in join.other_participants] == ["bob"]
        assert (join.ping_interval, join.ping_timeout) == (5, 15)
        assert join.server_info.version and join.server_version and join.server_info.protocol >= 13
        assert join.subscriber_primary is (not single)
        assert "audio/opus" in {codec.mime.lower() for codec in join.enabled_publish_codecs}
        assert join.participant.permission.can_publish and join.participant.permission.can_subscribe


async def test_ping(hall: Hall, path: str, single: bool):
    """Both kinds of ping are answered in milliseconds within a second"""
    async with connect(hall.server, hall.token("alice"), single) as wire:
        await wire.next("join")
        await wire.send(ping=12345)
        await wire.send(ping_req=rtc.Ping(timestamp=12345, rtt=7))
        pong = await wire.next("pong")
        answer = await wire.next("pong_resp")
    assert abs(pong - time.time() * 1000) < 5000
    assert answer.last_ping_timestamp == 12345 and abs(answer.timestamp - time.time() * 1000) < 5000


async def test_json(hall: Hall, path: str, single: bool):
    """Whoever sends text is answered in JSON"""
    async with connect(hall.server, hall.token("alice"), single) as wire:
        await wire.next("join")
        await wire.send_text(ping_req=rtc.Ping(timestamp=12345))
        answer = await until(lambda: [text for text in wire.texts if "pongResp" in text], lambda: f"{wire.texts}")
        assert answer[0]["pongResp"]["lastPingTimestamp"] == "12345"
        await wire.send(ping_req=rtc.Ping(timestamp=54321))
        assert (await wire.next("pong_resp")).last_ping_timestamp == 54321


async def test_nonsense(hall: Hall, path: str, single: bool):
    """Unknown requests are ignored"""
    async with connect(hall.server, hall.token("alice"), single) as wire:
        await wire.next("join")
        unknown = b"\xba\x3e\x03abc"  # field 999
        await wire.socket.send_bytes(unknown)
        await wire.send(ping=1)
        await wire.next("pong")


async def test_message_size(hall: Hall, path: str, single: bool):
    """A message above 2 MiB closes the connection"""
    if not IS_BANTER:
        pytest.skip("LiveKit 1.13.5 has no such limit yet")
    async with connect(hall.server, hall.token("alice"), single) as wire:
        await wire.next("join")
        with suppress(ConnectionError):  # it may be closed before everything is sent
            await wire.send(update_metadata=rtc.UpdateParticipantMetadata(metadata="x" * (5 << 20)))
        await wire.until_closed()


async def test_unpacked_join_request(hall: Hall):
    """`join_request` may come without compression"""
    query = {"access_token": hall.token("alice"), "join_request": wrapped(join_request(), compressed=False)}
    assert (await get(hall.server, "/rtc/v1/validate", query))[0] == 200


@pytest.mark.parametrize("spoilt", ["missing", "no base64", "no protobuf", "too large"])
async def test_bad_join_request(hall: Hall, spoilt: str):
    """A `join_request` that is missing, broken or too large: 400"""
    huge = join_request(metadata="x" * (3 << 20))
    query = {"access_token": hall.token("alice", can_update_own_metadata=True)}
    query |= {"missing": {}, "no base64": {"join_request": "!!!"}, "no protobuf": {"join_request": "//8="}}.get(
        spoilt, {"join_request": wrapped(huge)}
    )
    status, _, text = await get(hall.server, "/rtc/v1/validate", query)
    assert status == 400, text


async def test_attributes_in_the_request(hall: Hall):
    """Attributes and metadata in `join_request` need canUpdateOwnMetadata and join those of the token"""
    joining = {"join": join_request(metadata="mine", participant_attributes={"b": "2"})}
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with connect(hall.server, hall.token("alice"), True, **joining):
            pass
    assert refused.value.status == 401
    token = hall.rich_token("alice", attributes={"a": "1"}, can_update_own_metadata=True)
    async with connect(hall.server, token, True, **joining) as wire:
        me = (await wire.next("join")).participant
    assert me.metadata == "mine" and dict(me.attributes) == {"a": "1", "b": "2"}


async def test_publish_suffix(hall: Hall):
    """`publish=` makes a second connection of one identity, for publishing only"""
    async with (
        connect(hall.server, hall.token("alice"), False) as first,
        connect(hall.server, hall.token("alice"), False, publish="screen") as second,
    ):
        await first.next("join")
        joined = await second.next("join")
        assert joined.participant.identity == "alice#screen"
        assert not joined.participant.permission.can_subscribe and not joined.subscriber_primary
        assert not first.of("leave")


async def test_unknown_resume(hall: Hall, path: str, single: bool):
    """A resume of nothing is answered with `leave` first: RECONNECT, STATE_MISMATCH"""
    async with connect(hall.server, hall.token("alice"), single, **resuming(single, "PA_nobody12345")) as wire:
        leave = await wire.next("leave")
        assert leave.action == rtc.LeaveRequest.Action.RECONNECT
        assert leave.reason == models.DisconnectReason.STATE_MISMATCH
        await wire.until_closed()
        assert wire.messages[0].WhichOneof("message") == "leave"


async def test_resume(hall: Hall, path: str, single: bool):
    """A resume takes a session over, even while its old connection looks alive"""
    bob = await hall.enter("bob")
    alice = await hall.enter("alice", Kind("python", single))
    await alice.speak(440)
    await until_hears(bob, "alice", 440)
    sid = (await alice.snapshot())["sid"]
    async with connect(hall.server, hall.token("alice"), single, **resuming(single, sid)) as wire:
        await wire.next("reconnect")
        assert wire.messages[0].WhichOneof("message") == "reconnect"
        people = {one.identity: one.sid for one in (await wire.next("update", fits=complete)).participants}
        assert people == {"alice": sid, "bob": (await bob.snapshot())["sid"]}
        await wire.next("refresh_token")


async def test_signal_close_before_media(hall: Hall, path: str, single: bool):
    """Who goes before any media was connected is gone at once"""
    bob = await hall.enter("bob")
    async with connect(hall.server, hall.token("alice"), single) as wire:
        await wire.next("join")
        await until_told(bob, "joined", "alice")
    await until_told(bob, "left", "alice", within=5)


async def test_leave(hall: Hall, path: str, single: bool):
    """`leave` ends the session at once, and the server closes"""
    bob = await hall.enter("bob")
    async with connect(hall.server, hall.token("alice"), single) as wire:
        await wire.next("join")
        await until_told(bob, "joined", "alice")
        await wire.send(leave=rtc.LeaveRequest(reason=models.DisconnectReason.CLIENT_INITIATED))
        await until_told(bob, "left", "alice", within=5)
        await wire.until_closed()


async def test_refresh_token(hall: Hall, path: str, single: bool):
    """A fresh token comes after the join and after every change, and says what was changed"""
    async with connect(hall.server, hall.token("alice"), single) as wire:
        first = claims(await wire.next("refresh_token"))
        assert (first["sub"], first["name"], first["video"]["room"]) == ("alice", "alice", hall.room)
        assert first["exp"] - time.time() > 500
        permission = {"canSubscribe": True, "canPublish": False, "canPublishData": True}
        changes = {"name": "Alice", "metadata": "a farmer", "attributes": {"cows": "4"}, "permission": permission}
        await PythonAdministrator(hall.server).update_participant(hall.room, "alice", **changes)

        def changed(token: str) -> bool:
            told = claims(token)
            known = {"name": "Alice", "metadata": "a farmer", "attributes": {"cows": "4"}}
            return known.items() <= told.items() and told["video"]["canPublish"] is False

        assert claims(await wire.next("refresh_token", fits=changed))["video"]["canSubscribe"] is True


async def test_metadata_requests(hall: Hall, path: str, single: bool):
    """Changes of oneself are answered: OK, NOT_ALLOWED or LIMIT_EXCEEDED"""
    change = rtc.UpdateParticipantMetadata(name="Alice", request_id=7)
    async with connect(hall.server, hall.token("alice"), single) as wire:
        await wire.next("join")
        await wire.send(update_metadata=change)
        answer = await wire.next("request_response")
        assert (answer.request_id, answer.reason) == (7, NOT_ALLOWED)
    async with connect(hall.server, hall.token("bob", can_update_own_metadata=True), single) as wire:
        await wire.next("join")
        await wire.send(update_metadata=change)
        answer = await wire.next("request_response")
        assert (answer.request_id, answer.reason) == (7, rtc.RequestResponse.Reason.OK)
        await wire.next("update", fits=lambda update: any(one.name == "Alice" for one in update.participants))
        await wire.send(update_metadata=rtc.UpdateParticipantMetadata(name="x" * 300, request_id=8))
        answer = await wire.next("request_response", fits=lambda answer: answer.request_id == 8)
        assert answer.reason == rtc.RequestResponse.Reason.LIMIT_EXCEEDED


async def test_unknown_track(hall: Hall, path: str, single: bool):
    """Muting an unknown track: NOT_FOUND"""
    async with connect(hall.server, hall.token("alice"), single) as wire:
        await wire.next("join")
        await wire.send(mute=rtc.MuteTrackRequest(sid="TR_unknown", muted=True))
        answer = await wire.next("request_response")
        assert answer.reason == rtc.RequestResponse.Reason.NOT_FOUND


async def test_add_track(hall: Hall, path: str, single: bool):
    """`add_track` is answered at once with the track, and its offer with the same id"""
    async with connect(hall.server, hall.token("alice"), single) as wire:
        await wire.next("join")
        await wire.send(add_track=rtc.AddTrackRequest(cid="mic1", name="microphone", **MIC))
        published = await wire.next("track_published")
        assert published.cid == "mic1" and published.track.sid.startswith("TR_AM")
        assert (published.track.name, published.track.source) == ("microphone", models.TrackSource.MICROPHONE)
        await wire.send(offer=offer("sendonly", "mic1"))
        answer = await wire.next("answer")
        assert answer.id == 1 and "a=recvonly" in answer.sdp


async def test_source_not_allowed(hall: Hall, path: str, single: bool):
    """A source that canPublishSources does not name: NOT_ALLOWED"""
    token = hall.token("alice", can_publish_sources=["screen_share_audio"])
    async with connect(hall.server, token, single) as wire:
        await wire.next("join")
        await wire.send(add_track=rtc.AddTrackRequest(cid="mic1", **MIC))
        answer = await wire.next("request_response")
        assert answer.reason == NOT_ALLOWED and answer.add_track.cid == "mic1"


async def test_offer_in_the_request(hall: Hall):
    """Tracks and an offer inside `join_request` are answered after `join`"""
    track = rtc.AddTrackRequest(cid="mic1", **MIC)
    joining = {"join": join_request(publisher_offer=offer("sendonly", "mic1"), add_track_requests=[track])}
    async with connect(hall.server, hall.token("alice"), True, **joining) as wire:
        await wire.next("answer")
        kinds = [message.WhichOneof("message") for message in wire.messages]
        assert kinds[0] == "join" and kinds.index("track_published") < kinds.index("answer")


async def test_data_track_request(hall: Hall, path: str, single: bool):
    """A request for a data track is answered"""
    async with connect(hall.server, hall.token("alice"), single) as wire:
        await wire.next("join")
        await wire.send(publish_data_track_request=rtc.PublishDataTrackRequest(pub_handle=1, name="positions"))
        await until(lambda: wire.of("publish_data_track_response") or refused(wire), lambda: f"{wire.messages}")


async def test_auto_create_off(path: str, single: bool, hosts):
    """With auto_create off a room has to be created first: 404"""
    with own_server({"room": {"auto_create": False}}) as server:
        hall = Hall(server, hosts, "made")
        query = parameters(hall.token("alice"), single)
        status, _, text = await get(server, path_of(single) + "/validate", query)
        assert status == 404 and "requested room does not exist" in text
        await PythonAdministrator(server).create_room("made")
        async with connect(server, hall.token("alice"), single) as wire:
            await wire.next("join")


async def test_empty_room_ends(hall: Hall):
    """A room that nobody joins ends after its empty timeout"""
    administrator = PythonAdministrator(hall.server)
    await administrator.create_room(hall.room, emptyTimeout=1)
    await until_gone(administrator, hall.room)


async def test_left_room_ends(hall: Hall):
    """A room that everybody has left ends after its departure timeout"""
    administrator = PythonAdministrator(hall.server)
    await administrator.create_room(hall.room, departureTimeout=1)
    alice = await hall.enter("alice")
    await until_snapshot(alice, lambda seen: seen["connected"])
    await alice.leave()
    await until_gone(administrator, hall.room)


async def until_gone(administrator: PythonAdministrator, room: str) -> None:
    async def gone() -> bool:
        return not await administrator.list_rooms(room)

    await until(gone, lambda: f"{room} is gone", within=15)


def refused(wire: Wire) -> bool:
    return any(answer.reason == NOT_ALLOWED for answer in wire.of("request_response"))


def complete(update: rtc.ParticipantUpdate) -> bool:
    return {one.identity for one in update.participants} == {"alice", "bob"}


def claims(token: str) -> dict:
    return jwt.decode(token, "secret", algorithms=["HS256"])


def signed(grant: dict, **more) -> str:
    """A token that the SDKs would not make."""
    now = int(time.time())
    return jwt.encode({"iss": "devkey", "nbf": now, "exp": now + 600, "video": grant, **more}, "secret", "HS256")
