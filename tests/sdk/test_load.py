"""Ten people who all talk at once for a minute: every packet that reaches the server leaves it for everybody else."""

import asyncio
import os
import time
from dataclasses import dataclass

import pytest

from participant import PythonParticipant, Streams, until_hears
from server import Banter, Server, Usage

PEOPLE = 10
SECONDS = float(os.environ.get("BANTER_LOAD_SECONDS", "60"))
ROOM = "load"


@dataclass(frozen=True)
class Account:
    """What the server and the SDKs have counted, at a moment when nothing is under way."""

    core: dict[str, int]
    socket: dict[str, int]
    incoming: list[int]
    """For each person, the streams that come in."""
    sent: int
    received: int
    lost: int


@pytest.mark.timeout(SECONDS + 120)
async def test_ten_speakers_for_a_minute_lose_nothing(capsys):
    if os.environ.get("BANTER_TEST_SERVER_URL"):
        pytest.skip("needs banter's own counters")
    with Banter() as server:
        operator = server.add_user("operator", "owner")
        empty = Usage.of(server.process)
        people = await gather_people(server)
        first = await settle(people, server, operator)

        began, before = time.monotonic(), Usage.of(server.process)
        for person in people:
            person.flowing.set()
        await asyncio.sleep(SECONDS)  # the load itself, not a wait for anything
        took, after = time.monotonic() - began, Usage.of(server.process)
        last = await settle(people, server, operator)

        told = report(empty, before, after, took, first, last)
        with capsys.disabled():
            print(told)
        check(first, last, told)
        await asyncio.gather(*(person.leave() for person in people))


async def gather_people(server: Server) -> list[PythonParticipant]:
    """Everybody inside and speaking, half of them over two connections; the first one checks the others' tones."""
    people = []
    tones = {f"p{index}": 300.0 + 120 * index for index in range(PEOPLE)}
    for index, (identity, hz) in enumerate(tones.items()):
        person = await PythonParticipant.join(server, ROOM, identity, single=index % 2 == 0, listening=index == 0)
        await person.speak(hz, queue=0)
        people.append(person)
    await asyncio.gather(*(until_hears(people[0], one, hz, within=30) for one, hz in tones.items() if one != "p0"))
    return people


async def settle(people: list[PythonParticipant], server: Server, operator: str) -> Account:
    """Has everybody pause, and answers what was counted once no more packets arrive anywhere."""
    for person in people:
        person.flowing.clear()
    deadline = time.monotonic() + 20
    account = None
    while time.monotonic() < deadline:
        # Longer than WebRTC statistics are cached for.
        await asyncio.sleep(0.5)
        earlier, account = account, await count(people, server, operator)
        quiet = earlier and (earlier.sent, earlier.received) == (account.sent, account.received)
        if quiet and min(account.incoming) == PEOPLE - 1:
            return account
    raise AssertionError(f"packets did not cease, or somebody does not receive all: {account}")


async def count(people: list[PythonParticipant], server: Server, operator: str) -> Account:
    streams: list[Streams] = await asyncio.gather(*(person.streams() for person in people))
    status, counters = server.request("GET", "/api/media", bearer=operator)
    assert status == 200, counters
    return Account(
        core=counters["core"],
        socket=counters["socket"],
        incoming=[one.incoming for one in streams],
        sent=sum(one.sent for one in streams),
        received=sum(one.received for one in streams),
        lost=sum(one.lost for one in streams),
    )


def check(first: Account, last: Account, told: str) -> None:
    grown = {name: last.core[name] - first.core[name] for name in last.core}
    assert grown["received"] == last.sent - first.sent, f"lost before the server\n{told}"
    assert grown["due"] == grown["received"] * (PEOPLE - 1), f"not due to everybody\n{told}"
    assert grown["forwarded"] == grown["due"], f"lost inside the server\n{told}"
    assert last.received - first.received == grown["forwarded"], f"lost after the server\n{told}"
    assert last.lost == first.lost == 0, told
    for problem in ("late", "unsendable", "unauthentic", "unknown"):
        assert grown[problem] == 0, f"{problem}\n{told}"
    for problem in ("dropped", "failed", "oversized"):
        assert last.socket[problem] == 0, f"{problem}\n{told}"
    assert grown["received"] > 40 * PEOPLE * SECONDS, f"that was no load\n{told}"


def report(empty: Usage, before: Usage, after: Usage, took: float, first: Account, last: Account) -> str:
    cpu = after.cpu_seconds - before.cpu_seconds
    forwarded = last.core["forwarded"] - first.core["forwarded"]
    resident, peak, at_first = (
        size / 2**20 for size in (after.resident_bytes, after.peak_resident_bytes, empty.resident_bytes)
    )
    return f"""
{PEOPLE} people, {took:.0f} s: {last.sent - first.sent} packets sent, {forwarded} forwarded, \
{last.received - first.received} received, {last.lost} lost
  CPU {100 * cpu / took:.1f} % of one core, {1e6 * cpu / max(forwarded, 1):.1f} µs a forwarded packet
  resident {resident:.1f} MiB, peak {peak:.1f} MiB, before anybody came {at_first:.1f} MiB
  core   {last.core}
  socket {last.socket}"""
