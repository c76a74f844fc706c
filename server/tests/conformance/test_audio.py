"""Audio"""

import pytest

from administrators import PythonAdministrator
from clients import Client, Kind
from hall import (
    Hall,
    moment,
    noticed,
    until,
    until_hears,
    until_silent,
    until_snapshot,
    until_told,
)


async def test_audio_is_heard_by_others(hall: Hall, kind: Kind):
    """Published audio arrives at its own frequency"""
    alice = await hall.enter("alice", kind)
    bob = await hall.enter("bob")
    await alice.speak(440)
    await until_hears(bob, "alice", 440)


async def test_audio_of_others_is_heard(hall: Hall, kind: Kind):
    """Subscribed audio arrives at its own frequency"""
    alice = await hall.enter("alice", kind)
    bob = await hall.enter("bob")
    await bob.speak(660)
    await until_hears(alice, "bob", 660)


async def test_single_publisher(hall: Hall, kind: Kind):
    """A publisher's tracks have their sids and formats, also for who comes late"""
    alice = await hall.enter("alice", kind)
    bob = await hall.enter("bob")
    sid = await alice.speak(440)
    assert sid.startswith("TR_")
    await until_told(bob, "subscribed", "alice")
    late = await hall.enter("late", kind)
    for listener in (bob, late):
        await until_hears(listener, "alice", 440)
        track = (await listener.snapshot())["others"]["alice"]["tracks"][sid]
        assert track["subscribed"] and track["mime"].lower() in ("audio/opus", "audio/red"), track
    await until_told(bob, "joined", "late")
    await late.leave()
    await until_told(bob, "left", "late")


async def test_late_joiner_hears_everybody(hall: Hall, kind: Kind):
    """Who joins late hears more people than a first offer has sections for"""
    tones = {"ann": 300, "ben": 440, "cat": 660, "dan": 880, "eve": 1210}
    for identity, hz in tones.items():
        speaker = await hall.enter(identity)
        await speaker.speak(hz)
    late = await hall.enter("late", kind)
    for identity, hz in tones.items():
        await until_hears(late, identity, hz)


async def test_auto_subscribe_off(hall: Hall, kind: Kind):
    """Without automatic subscription nothing comes until it is asked for, and nothing any more after that"""
    bob = await hall.enter("bob")
    await bob.speak(660)
    alice = await hall.enter("alice", kind, auto_subscribe=False)
    await until_told(alice, "published", "bob")
    assert not noticed(alice, "subscribed")
    await alice.subscribe("bob", True)
    await until_hears(alice, "bob", 660)
    await alice.subscribe("bob", False)
    await until_told(alice, "unsubscribed", "bob")
    since = moment()
    await alice.subscribe("bob", True)
    await until_told(alice, "subscribed", "bob", since=since)
    await until_hears(alice, "bob", 660)


async def test_ten_and_ten_tracks(hall: Hall, kind: Kind):
    """Ten tracks in each direction"""
    alice = await hall.enter("alice", kind)
    bob = await hall.enter("bob")
    await alice.publish(10)
    await bob.publish(10)
    await until_subscribed(alice, "bob", 10)
    await until_subscribed(bob, "alice", 10)


async def test_published_without_sound(hall: Hall, kind: Kind):
    """A track from which no packet comes is published and subscribed all the same"""
    alice = await hall.enter("alice", kind)
    bob = await hall.enter("bob", Kind("python", kind.single))
    await bob.publish(1)
    await until_told(alice, "published", "bob")
    await until_told(alice, "subscribed", "bob")


async def test_publishing_upon_joining(hall: Hall, kind: Kind):
    """Three publish upon joining, one comes back and publishes again"""
    tones = {"alice": 440, "bob": 660, "carol": 880}
    people = {}
    for identity, hz in tones.items():
        people[identity] = await hall.enter(identity, kind)
        await people[identity].speak(hz)
    await all_hear_all(people, tones)
    await people["carol"].leave()
    await until(lambda: noticed(people["alice"], "left", "carol"), lambda: "alice sees carol leave")
    people["carol"] = await hall.enter("carol", kind)
    await people["carol"].speak(1210)
    await all_hear_all(people, {**tones, "carol": 1210})


async def test_unpublish(hall: Hall, kind: Kind):
    """Unpublishing ends the track for others, and publishing again makes a new one"""
    alice = await hall.enter("alice", kind)
    bob = await hall.enter("bob")
    await alice.speak(440)
    await until_hears(bob, "alice", 440)
    await alice.hush()
    await until_told(bob, "unpublished", "alice")
    await alice.speak(880)
    await until_hears(bob, "alice", 880)


async def test_unpublished_by_others(hall: Hall, kind: Kind):
    """A track that another unpublishes ends, and his next one is heard"""
    alice = await hall.enter("alice", kind)
    bob = await hall.enter("bob")
    await bob.speak(440)
    await until_hears(alice, "bob", 440)
    await bob.hush()
    await until_told(alice, "unpublished", "bob")
    await bob.speak(880)
    await until_hears(alice, "bob", 880)


async def test_mute(hall: Hall, kind: Kind):
    """Muting silences and is told to others, unmuting restores"""
    alice = await hall.enter("alice", kind)
    bob = await hall.enter("bob")
    await alice.speak(440)
    await until_hears(bob, "alice", 440)
    await alice.mute()
    await until_told(bob, "muted", "alice")
    await until_silent(bob, "alice")
    await alice.unmute()
    await until_told(bob, "unmuted", "alice")
    await until_hears(bob, "alice", 440)


async def test_muted_by_others(hall: Hall, kind: Kind):
    """The muting and unmuting of others is told and heard"""
    alice = await hall.enter("alice", kind)
    bob = await hall.enter("bob")
    await bob.speak(440)
    await until_hears(alice, "bob", 440)
    await bob.mute()
    await until_told(alice, "muted", "bob")
    await until_silent(alice, "bob")
    await bob.unmute()
    await until_told(alice, "unmuted", "bob")
    await until_hears(alice, "bob", 440)


async def test_muted_by_administrator(hall: Hall, kind: Kind):
    """A track that the server mutes is silent for all, and its publisher knows"""
    alice = await hall.enter("alice", kind)
    bob = await hall.enter("bob")
    sid = await alice.speak(440)
    await until_hears(bob, "alice", 440)
    await PythonAdministrator(hall.server).mute_track(hall.room, "alice", sid, True)
    await until_told(bob, "muted", "alice")
    await until_told(alice, "muted", "alice")
    await until_silent(bob, "alice")


async def test_active_speakers(hall: Hall, kind: Kind):
    """Who speaks is told while it lasts"""
    alice = await hall.enter("alice", kind)
    bob = await hall.enter("bob")
    await bob.speak(440)
    await until_told(alice, "speaking", "bob")
    since = moment()
    await bob.mute()
    await until_told(alice, "speaking", "", since=since)


async def test_own_speaking(hall: Hall, kind: Kind):
    """A speaker is told to others and to himself"""
    alice = await hall.enter("alice", kind)
    bob = await hall.enter("bob")
    await alice.speak(440)
    await until_told(bob, "speaking", "alice")
    await until_told(alice, "speaking", "alice")


async def test_connection_quality(hall: Hall, kind: Kind):
    """On a good line connection quality is excellent, for oneself and for others"""
    alice = await hall.enter("alice", kind)
    bob = await hall.enter("bob")
    await bob.speak(440)
    await alice.speak(660)
    await until_told(alice, "quality", "alice", detail="excellent", within=20)
    await until_told(alice, "quality", "bob", detail="excellent", within=20)


async def test_subscribing_not_allowed(hall: Hall, kind: Kind):
    """Without canSubscribe others are seen and not heard; once it is granted, tracks come by themselves"""
    bob = await hall.enter("bob")
    await bob.speak(660)
    alice = await hall.enter("alice", kind, can_subscribe=False)
    await until_told(alice, "published", "bob")
    await alice.speak(440)
    await until_hears(bob, "alice", 440)
    assert not noticed(alice, "subscribed")
    permission = {"canSubscribe": True, "canPublish": True, "canPublishData": True}
    await PythonAdministrator(hall.server).update_participant(hall.room, "alice", permission=permission)
    await until_hears(alice, "bob", 660)


async def test_subscribing_revoked(hall: Hall, kind: Kind):
    """When canSubscribe is taken away, nothing more is heard"""
    bob = await hall.enter("bob")
    await bob.speak(660)
    alice = await hall.enter("alice", kind)
    await until_hears(alice, "bob", 660)
    permission = {"canSubscribe": False, "canPublish": True, "canPublishData": True}
    await PythonAdministrator(hall.server).update_participant(hall.room, "alice", permission=permission)
    await until_silent(alice, "bob")


async def test_publishing_revoked(hall: Hall, kind: Kind):
    """When canPublish is taken away, tracks end for others and for their publisher"""
    bob = await hall.enter("bob")
    alice = await hall.enter("alice", kind)
    await alice.speak(440)
    await until_hears(bob, "alice", 440)
    permission = {"canSubscribe": True, "canPublish": False, "canPublishData": True}
    administrator = PythonAdministrator(hall.server)
    await administrator.update_participant(hall.room, "alice", permission=permission)
    await until_told(bob, "unpublished", "alice")
    if kind.sdk in ("chromium", "firefox"):
        await until_told(alice, "dropped", "alice")  # the others do not tell of it
    assert not (await administrator.get_participant(hall.room, "alice")).get("isPublisher", False)


@pytest.mark.timeout(240)
async def test_publishing_not_allowed(hall: Hall, kind: Kind):
    """Without canPublish nothing can be published, and others are heard"""
    alice = await hall.enter("alice", kind, can_publish=False)
    bob = await hall.enter("bob")
    await bob.speak(660)
    await until_hears(alice, "bob", 660)
    with pytest.raises(Exception):  # noqa: B017 - every SDK has its own, some after ten seconds
        await alice.speak(440)
    assert not noticed(bob, "published", "alice")


async def test_publisher_chooses_subscribers(hall: Hall, kind: Kind):
    """A publisher chooses who may subscribe"""
    alice = await hall.enter("alice", kind)
    bob = await hall.enter("bob")
    carol = await hall.enter("carol")
    await alice.allow("bob")
    await alice.speak(440)
    await until_hears(bob, "alice", 440)
    assert not noticed(carol, "subscribed", "alice")
    await alice.allow("carol")
    await until_hears(carol, "alice", 440)
    await until_silent(bob, "alice")
    await alice.allow(everybody=True)
    await until_hears(bob, "alice", 440)


async def test_not_chosen_by_publisher(hall: Hall, kind: Kind):
    """Whom a publisher excludes hears nothing until he is let in"""
    alice = await hall.enter("alice", kind)
    bob = await hall.enter("bob")
    await bob.allow()
    await bob.speak(440)
    await until_told(alice, "published", "bob")
    assert not noticed(alice, "subscribed")
    await bob.allow("alice")
    await until_hears(alice, "bob", 440)
    await bob.allow()
    await until_silent(alice, "bob")


async def until_subscribed(client: Client, who: str, count: int) -> None:
    def subscribed(seen: dict) -> bool:
        tracks = seen["others"][who]["tracks"].values()
        return len(tracks) == count and all(track["subscribed"] for track in tracks)

    await until_snapshot(client, subscribed, within=30)


async def all_hear_all(people: dict[str, Client], tones: dict[str, int]) -> None:
    for listener in people.values():
        for speaker, hz in tones.items():
            if speaker != listener.identity:
                await until_hears(listener, speaker, hz)
