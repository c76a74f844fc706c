"""Who may enter, who is there, and what each token allows."""

import asyncio
import time
from datetime import timedelta

import pytest
from livekit import api, rtc

from conftest import Gathering
from participant import PythonParticipant, until, until_hears, until_noticed
from server import Server


@pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])
async def test_people_see_each_other_come_and_go_within_a_second(gathering: Gathering, single):
    alice = await gathering.join("alice", single=single)
    await alice.speak(440)
    bob = await gathering.join("bob", single=single)
    await bob.speak(660)
    await until_noticed(alice, "joined", "bob", within=1)
    assert bob.present == {"alice"}
    await until_hears(alice, "bob", 660)
    left = time.monotonic()
    await bob.leave()
    notice = await until_noticed(alice, "left", "bob", within=1)
    assert notice.at - left < 1
    assert alice.present == set()


@pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])
async def test_a_second_session_of_one_identity_ends_the_first(gathering: Gathering, single):
    watcher = await gathering.join("watcher", single=single)
    first = await gathering.join("alice", single=single)
    await first.speak(440)
    await until_hears(watcher, "alice", 440)
    second = await gathering.join("alice", single=single)
    await second.speak(880)
    await until_noticed(first, "disconnected", "DUPLICATE_IDENTITY", within=5)
    await until_hears(watcher, "alice", 880)
    assert watcher.present == {"alice"}


async def test_a_full_channel_lets_nobody_else_in(banter: Server):
    owner = banter.add_user("full-owner", "owner")
    status, channel = banter.request("POST", "/api/voice/channels", {"name": "Two", "maxParticipants": 2}, owner)
    assert status == 201, channel
    inside = [await PythonParticipant.join(banter, channel["id"], name) for name in ("one", "two")]
    with pytest.raises(rtc.ConnectError):
        await PythonParticipant.join(banter, channel["id"], "three")
    await inside[0].leave()
    await until_noticed(inside[1], "left", "one", within=2)
    third = await PythonParticipant.join(banter, channel["id"], "three")
    for participant in (inside[1], third):
        await participant.leave()


async def test_of_two_who_race_for_the_last_place_one_gets_in(banter: Server):
    owner = banter.add_user("race-owner", "owner")
    _, channel = banter.request("POST", "/api/voice/channels", {"name": "Race", "maxParticipants": 2}, owner)
    first = await PythonParticipant.join(banter, channel["id"], "first")
    racers = [PythonParticipant.join(banter, channel["id"], name) for name in ("red", "blue")]
    results = await asyncio.gather(*racers, return_exceptions=True)
    inside = [result for result in results if not isinstance(result, BaseException)]
    assert len(inside) == 1, results
    await until(lambda: first.present == {inside[0].identity}, 2, lambda: str(first.present))
    for participant in (first, *inside):
        await participant.leave()


@pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])
@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda server: server.token("hall", "x", ttl=timedelta(seconds=-120)), id="expired"),
        pytest.param(lambda server: Server(server.host, api_secret="other").token("hall", "x"), id="forged"),
        pytest.param(lambda server: Server(server.host, api_key="other").token("hall", "x"), id="unknown-key"),
        pytest.param(lambda server: server.token("hall", "x", room_join=False), id="no-room-join"),
        pytest.param(lambda server: "not-a-token", id="garbage"),
    ],
)
async def test_a_token_that_is_no_good_is_refused(server: Server, spoil, single):
    with pytest.raises(rtc.ConnectError):
        await PythonParticipant.join(server, "hall", "x", single, token=spoil(server))


@pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])
async def test_who_may_not_publish_is_not_heard_and_still_hears(gathering: Gathering, single):
    token = gathering.server.token(gathering.room, "guest", can_publish=False)
    guest = await gathering.join("guest", single=single, token=token)
    alice = await gathering.join("alice", single=single)
    await alice.speak(440)
    await until_hears(guest, "alice", 440)
    with pytest.raises(Exception):  # noqa: B017 - the SDK raises a bare one, after its own ten seconds
        await guest.speak(660)
    assert "guest" not in alice.ears


@pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])
async def test_a_publisher_whose_right_is_taken_falls_silent_at_once(
    server: Server, gathering: Gathering, single, capsys
):
    alice = await gathering.join("alice", single=single)
    bob = await gathering.join("bob", single=single)
    await alice.speak(440)
    await until_hears(bob, "alice", 440)
    assert time.time() - await bob.last_packet() < 0.2
    async with api.LiveKitAPI(f"http://{server.host}", server.api_key, server.api_secret) as livekit:
        permission = api.ParticipantPermission(can_subscribe=True, can_publish=False, can_publish_data=True)
        request = api.UpdateParticipantRequest(room=gathering.room, identity="alice", permission=permission)
        asked = time.time()
        await livekit.room.update_participant(request)
    last = asked
    while time.time() < last + 1:
        # The SDK forgets the stream with the track.
        last = max(last, await bob.last_packet() or last)
    await until_noticed(bob, "unpublished", "alice", 5)
    took = last - asked
    with capsys.disabled():
        print(f"\n  a right that is taken: the last packet came {1000 * took:.0f} ms later")
    assert took <= 0.2


@pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])
async def test_who_may_not_subscribe_hears_nothing_and_is_heard(gathering: Gathering, single):
    token = gathering.server.token(gathering.room, "speaker", can_subscribe=False)
    speaker = await gathering.join("speaker", single=single, token=token)
    alice = await gathering.join("alice", single=single)
    await alice.speak(440)
    await speaker.speak(660)
    await until_hears(alice, "speaker", 660)
    assert speaker.ears == {}


async def test_a_hidden_participant_is_not_announced(gathering: Gathering):
    alice = await gathering.join("alice")
    await alice.speak(440)
    token = gathering.server.token(gathering.room, "ghost", hidden=True)
    ghost = await gathering.join("ghost", token=token)
    await until_hears(ghost, "alice", 440)
    bob = await gathering.join("bob")
    await until_noticed(alice, "joined", "bob", within=5)  # who publishes nothing is announced with the next batch
    assert alice.present == {"bob"} and bob.present == {"alice"}
