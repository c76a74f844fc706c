"""Sound arrives, whole and at the right ears, whichever SDK speaks and listens, over one connection or two."""

import asyncio
import time

import pytest

from conftest import Gathering
from participant import until, until_hears, until_noticed, until_silent

MODES = {"single": [True, True, True], "dual": [False, False, False], "mixed": [True, False, True]}
"""By name: which of three participants use one peer connection for both directions."""

TONES = [440, 660, 1030]


@pytest.fixture(params=MODES, name="modes")
def _modes(request) -> list[bool]:
    return MODES[request.param]


@pytest.mark.parametrize("speaker", ["python", "node"])
@pytest.mark.parametrize("listener", ["python", "node"])
async def test_a_tone_arrives_at_its_own_frequency(gathering: Gathering, modes, speaker, listener):
    alice = await gathering.join("alice", speaker, modes[0])
    bob = await gathering.join("bob", listener, modes[1])
    carol = await gathering.join("carol", "python", modes[2])
    await alice.speak(440)
    await asyncio.gather(until_hears(bob, "alice", 440), until_hears(carol, "alice", 440))


async def test_three_tones_do_not_mix(gathering: Gathering, modes):
    people = [
        await gathering.join("alice", "python", modes[0]),
        await gathering.join("bob", "node", modes[1]),
        await gathering.join("carol", "python", modes[2]),
    ]
    await asyncio.gather(*(person.speak(hz) for person, hz in zip(people, TONES, strict=True)))
    pairs = [(a, b, hz) for a in people for b, hz in zip(people, TONES, strict=True) if a is not b]
    await asyncio.gather(*(until_hears(listener, speaker.identity, hz) for listener, speaker, hz in pairs))
    for listener, speaker, hz in pairs:
        for other in TONES:
            level = listener.ears[speaker.identity].level_db(other)
            assert other == hz or level < -30, (
                f"{listener.identity} hears {other} Hz at {level:.0f} dB from {speaker.identity}"
            )


async def test_a_late_joiner_hears_everybody(gathering: Gathering, modes):
    # Five speakers are more than the three audio sections that a first offer brings along.
    tones = {"ann": 300, "ben": 440, "cat": 660, "dan": 880, "eve": 1210}
    for index, (identity, hz) in enumerate(tones.items()):
        speaker = await gathering.join(identity, "python", modes[index % 3])
        await speaker.speak(hz)
    late = [await gathering.join("late", "python", modes[0]), await gathering.join("later", "node", modes[1])]
    await asyncio.gather(*(until_hears(listener, identity, hz) for listener in late for identity, hz in tones.items()))


async def test_speakers_come_and_go_without_being_mistaken(gathering: Gathering, modes):
    listener = await gathering.join("listener", "python", modes[0])
    alice = await gathering.join("alice", "python", modes[1])
    await alice.speak(440)
    await until_hears(listener, "alice", 440)
    await alice.leave()
    await until_noticed(listener, "left", "alice", within=2)
    bob = await gathering.join("bob", "node", modes[2])
    await bob.speak(660)
    await until_hears(listener, "bob", 660)
    again = await gathering.join("alice", "python", modes[0])
    await again.speak(880)
    await asyncio.gather(
        until_hears(listener, "alice", 880), until_hears(bob, "alice", 880), until_hears(again, "bob", 660)
    )


async def test_mute_silences_and_unmute_restores(gathering: Gathering, modes):
    alice = await gathering.join("alice", "python", modes[0])
    bob = await gathering.join("bob", "python", modes[1])
    await alice.speak(440)
    await until_hears(bob, "alice", 440)
    await alice.mute()
    await until_noticed(bob, "muted", "alice", within=2)
    await until_silent(bob, "alice", within=1)
    await alice.unmute()
    await until_noticed(bob, "unmuted", "alice", within=2)
    await until_hears(bob, "alice", 440, within=5)


async def test_an_unpublished_microphone_falls_silent_and_a_new_one_is_heard(gathering: Gathering, modes):
    alice = await gathering.join("alice", "python", modes[0])
    bob = await gathering.join("bob", "python", modes[1])
    await alice.speak(440)
    await until_hears(bob, "alice", 440)
    await alice.hush()
    await until_noticed(bob, "unpublished", "alice", within=2)
    await alice.speak(660)
    await until_hears(bob, "alice", 660)


async def test_who_speaks_is_told_and_who_stops_is_told(gathering: Gathering):
    alice = await gathering.join("alice")
    bob = await gathering.join("bob")
    await alice.speak(440)
    await until_noticed(bob, "speaking", "alice", within=10)
    stopped = time.monotonic()
    await alice.mute()
    await until_noticed(bob, "speaking", "", within=5, since=stopped)


async def test_everyone_in_a_growing_room_hears_everyone(gathering: Gathering):
    tones = [300 + 170 * index for index in range(6)]
    people = []
    for index, hz in enumerate(tones):
        person = await gathering.join(f"p{index}", "python", single=index % 2 == 0)
        await person.speak(hz)
        people.append(person)
    await asyncio.gather(
        *(
            until_hears(listener, speaker.identity, hz, within=25)
            for listener in people
            for speaker, hz in zip(people, tones, strict=True)
            if listener is not speaker
        )
    )
    await until(
        lambda: all(len(person.present) == len(people) - 1 for person in people),
        5,
        lambda: str({person.identity: person.present for person in people}),
    )
