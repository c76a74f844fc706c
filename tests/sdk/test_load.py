"""Ten people who all talk at once for a minute: every packet that reaches the server leaves it for everybody else."""

import asyncio
import os
import time

import pytest

from participant import PythonParticipant, Streams, until, until_hears
from server import Banter, Usage

PEOPLE = 10
SECONDS = float(os.environ.get("BANTER_LOAD_SECONDS", "60"))
ROOM = "load"


@pytest.mark.timeout(SECONDS + 120)
async def test_ten_speakers_for_a_minute_lose_nothing(capsys):
    if os.environ.get("BANTER_TEST_SERVER_URL"):
        pytest.skip("needs banter's own counters")
    with Banter() as server:
        operator = server.add_user("operator", "owner")
        idle = Usage.of(server.process)
        people = await gather_people(server)
        began, before = time.monotonic(), Usage.of(server.process)
        await asyncio.sleep(SECONDS)  # the load itself, not a wait for anything
        took, after = time.monotonic() - began, Usage.of(server.process)

        sent_before = total(await streams(people)).sent
        counted = counters(server, operator)
        listeners = await streams(people)
        told = report(idle, before, after, took, counted, listeners)
        with capsys.disabled():
            print(told)

        for person, one in zip(people, listeners, strict=True):
            assert one.incoming == PEOPLE - 1, f"{person.identity} receives {one.incoming} streams\n{told}"
            assert one.lost == 0, f"{person.identity} lost {one.lost} packets\n{told}"
        core, socket = counted["core"], counted["socket"]
        # What was sent before the counters were read has been received, and nothing has that was not sent.
        assert sent_before <= core["received"] + core["unknown"] <= total(listeners).sent, told
        assert core["due"] == core["forwarded"], told
        assert core["late"] == core["unsendable"] == core["unauthentic"] == 0, told
        assert socket["dropped"] == socket["failed"] == socket["oversized"] == 0, told
        assert total(listeners).received >= core["forwarded"], f"packets lost between server and listeners\n{told}"
        await asyncio.gather(*(person.leave() for person in people))


async def gather_people(server) -> list[PythonParticipant]:
    """Everybody inside and speaking, half of them over two connections; the first one checks the others' tones."""
    people = []
    tones = {f"p{index}": 300.0 + 120 * index for index in range(PEOPLE)}
    for index, (identity, hz) in enumerate(tones.items()):
        person = await PythonParticipant.join(server, ROOM, identity, single=index % 2 == 0, listening=index == 0)
        await person.speak(hz)
        people.append(person)
    await asyncio.gather(*(until_hears(people[0], one, hz, within=30) for one, hz in tones.items() if one != "p0"))
    incoming: list[int] = []

    async def count() -> None:
        incoming[:] = [one.incoming for one in await streams(people)]

    for _ in range(30):
        await count()
        if min(incoming) == PEOPLE - 1:
            break
        await asyncio.sleep(0.5)
    await until(lambda: min(incoming) == PEOPLE - 1, 0, lambda: f"streams that come in: {incoming}")
    return people


async def streams(people: list[PythonParticipant]) -> list[Streams]:
    return list(await asyncio.gather(*(person.streams() for person in people)))


def total(all_streams: list[Streams]) -> Streams:
    return Streams(
        *(sum(getattr(one, name) for one in all_streams) for name in ("incoming", "sent", "received", "lost"))
    )


def counters(server, bearer: str) -> dict:
    status, answer = server.request("GET", "/api/media", bearer=bearer)
    assert status == 200, answer
    return answer


def report(idle: Usage, before: Usage, after: Usage, took: float, counted: dict, listeners: list[Streams]) -> str:
    cpu = after.cpu_seconds - before.cpu_seconds
    forwarded = counted["core"]["forwarded"]
    resident, peak, empty = (
        size / 2**20 for size in (after.resident_bytes, after.peak_resident_bytes, idle.resident_bytes)
    )
    return f"""
{PEOPLE} people, {took:.0f} s: {forwarded} packets forwarded, {total(listeners).lost} lost
  CPU {100 * cpu / took:.1f} % of one core
  resident {resident:.1f} MiB, peak {peak:.1f} MiB, before anybody came {empty:.1f} MiB
  core   {counted["core"]}
  socket {counted["socket"]}
  listeners {total(listeners)}"""
