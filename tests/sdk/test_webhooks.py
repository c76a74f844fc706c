"""What an operator's backend is told, as the SDKs of both languages read it."""

import dataclasses
import socket

import pytest

from participant import PythonParticipant, until_hears
from receiver import Receiver, verified_by_node
from server import Banter, Server

MEETING = [
    "room_started",
    "participant_joined",
    "track_published",
    "track_unpublished",
    "participant_left",
    "room_finished",
]


@pytest.fixture(autouse=True)
def _needs_banter(banter: Server) -> None:
    """Every test here is about the program itself."""


async def meet(server: Server) -> None:
    """Alice comes, is heard, and goes, before a witness whom `taken_of_alice` leaves out."""
    witness = await PythonParticipant.join(server, "hall", "witness")
    alice = await PythonParticipant.join(server, "hall", "alice")
    await alice.speak(440)
    await until_hears(witness, "alice", 440)
    await alice.leave()
    await witness.leave()


def taken_of_alice(receiver: Receiver) -> list[str]:
    taken = [post.event for post in receiver.posts if post.status == 200]
    return [event.event for event in taken if event.participant.identity != "witness"]


async def test_a_meeting_is_told_in_order_and_signed():
    with Receiver() as receiver:
        settings = {"BANTER_WEBHOOK_URLS": receiver.url, "BANTER_ROOM_DEPARTURE_TIMEOUT": "1"}
        with Banter(settings=settings) as server:
            await meet(server)
            receiver.wait_for("room_finished")
        assert taken_of_alice(receiver) == MEETING
        for post in receiver.posts:
            assert post.content_type == "application/webhook+json"
            assert not post.authorization.startswith("Bearer ")
            event = post.event
            by_node = verified_by_node(post)
            assert (by_node["event"], by_node["id"], by_node["room"]) == (event.event, event.id, "hall")
            assert by_node["sid"] == receiver.posts[0].event.room.sid
            if "room" not in event.event:
                assert by_node["identity"] == event.participant.identity
        assert len({post.event.id for post in receiver.posts}) == len(receiver.posts)
        first = receiver.posts[0]
        tampered = dataclasses.replace(first, body=first.body.replace("hall", "cellar"))
        with pytest.raises(Exception, match="hash mismatch"):
            _ = tampered.event


async def test_what_a_receiver_in_trouble_misses_comes_again_in_order():
    with Receiver(status=lambda number: 503 if number < 2 else 200) as receiver:
        with Banter(settings={"BANTER_WEBHOOK_URLS": receiver.url}) as server:
            await meet(server)
            receiver.wait_for("participant_left", within=20)
        assert taken_of_alice(receiver) == MEETING
        assert [post.status for post in receiver.posts[:3]] == [503, 503, 200]
        assert len({post.event.id for post in receiver.posts[:3]}) == 1


async def test_a_receiver_that_is_away_holds_nobody_up():
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # Not listening: connections are refused.
        dead = f"http://127.0.0.1:{nobody.getsockname()[1]}/"
        with Receiver() as receiver, Banter(settings={"BANTER_WEBHOOK_URLS": f"{dead},{receiver.url}"}) as server:
            alice = await PythonParticipant.join(server, "hall", "alice")
            bob = await PythonParticipant.join(server, "hall", "bob")
            await alice.speak(440)
            await until_hears(bob, "alice", 440)
            await alice.leave()
            await bob.leave()
            receiver.wait_for("participant_left")


async def test_the_end_of_the_server_is_told_as_well():
    with Receiver() as receiver:
        with Banter(settings={"BANTER_WEBHOOK_URLS": receiver.url}) as server:
            alice = await PythonParticipant.join(server, "hall", "alice")
            receiver.wait_for("participant_joined")
        assert receiver.taken() == ["room_started", "participant_joined", "participant_left", "room_finished"]
        assert receiver.posts[-1].event.room_end_reason != 0
        await alice.leave()


async def test_only_the_events_that_are_wanted_come():
    with Receiver() as receiver:
        excluded = "track_published, room_started"
        settings = {"BANTER_WEBHOOK_URLS": receiver.url, "BANTER_WEBHOOK_EXCLUDE_EVENTS": excluded}
        with Banter(settings=settings) as server:
            await meet(server)
            receiver.wait_for("participant_left")
        assert taken_of_alice(receiver)[:3] == ["participant_joined", "track_unpublished", "participant_left"]
