"""A room whose members are on several media threads is one room: each thread has but a member or two of it here."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from conftest import Gathering
from participant import Participant, until_hears, until_silent
from server import Banter

SPREAD = {"BANTER_RTC_WORKERS": "3", "BANTER_RTC_MEMBERS_PER_WORKER": "1"}
TONES = {"ann": 300, "ben": 440, "cat": 660, "dan": 880, "eve": 1210, "fay": 1550}
BODIES = {"ann": "python", "ben": "node", "cat": "python", "dan": "node", "eve": "python"}


@pytest.fixture
async def spread() -> AsyncIterator[Gathering]:
    with Banter(settings=SPREAD) as server:
        gathering = Gathering(server, "spread")
        yield gathering
        await asyncio.gather(*(one.leave() for one in gathering.everybody))


@pytest.mark.timeout(150)
async def test_people_on_three_media_threads_hear_each_other(spread: Gathering):
    people = {name: await spread.join(name, body, name in ("ann", "ben", "cat")) for name, body in BODIES.items()}
    await asyncio.gather(*(person.speak(TONES[name]) for name, person in people.items()))
    await until_all_hear(people)
    operator = spread.server.add_user("operator", "owner")
    status, counters = spread.server.request("GET", "/api/media", bearer=operator)
    assert status == 200, counters
    core = counters["core"]
    # Two have a thread to themselves with one other, so each packet is passed on to two threads.
    assert core["mirrored"] > core["received"], core
    assert core["due"] == core["forwarded"] + core["late"] + core["unsendable"], core

    await people["ann"].mute()
    await asyncio.gather(*(until_silent(people[name], "ann", within=10) for name in ("ben", "cat", "dan")))
    await people["ann"].unmute()
    await until_all_hear(people)

    # Who leaves makes room for the next, on whichever thread that is.
    await people.pop("ben").leave()
    people["fay"] = await spread.join("fay", "python")
    await people["fay"].speak(1550)
    await until_all_hear(people)


async def until_all_hear(people: dict[str, Participant]) -> None:
    pairs = [(listener, name) for listener in people.values() for name in people if people[name] is not listener]
    await asyncio.gather(*(until_hears(listener, name, TONES[name], within=30) for listener, name in pairs))
