"""In a large room the loudest are heard, shown as speaking, and nobody else is."""

import asyncio
import time
import uuid
from collections.abc import Iterator

import pytest

from conftest import Gathering
from participant import PythonParticipant, until, until_hears, until_silent
from server import Banter, Server

LOUD, SOFT = 0.25, 0.06
"""Amplitudes: 15 and 27 dB below overload."""
TONES = {"ann": 440, "ben": 660, "cat": 880, "dan": 1210}


@pytest.fixture(scope="module", name="server")
def _server() -> Iterator[Server]:
    with Banter(settings={"BANTER_RTC_LOUDEST_SPEAKERS": "2", "BANTER_RTC_LOUDEST_ABOVE": "4"}) as server:
        yield server


@pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])
async def test_the_loudest_are_heard_and_shown_and_the_rest_when_they_have_fallen_silent(server: Server, single: bool):
    gathering = Gathering(server, f"test-{uuid.uuid4().hex[:12]}")
    try:
        people = {name: await gathering.join(name, single=single) for name in TONES}
        listener = await gathering.join("eve", single=single)
        await asyncio.gather(*(people[name].speak(TONES[name], amplitude=SOFT) for name in ("ann", "ben")))
        await asyncio.gather(*(until_sounds(listener, name) for name in ("ann", "ben")))

        since = time.monotonic()
        await asyncio.gather(*(people[name].speak(TONES[name], amplitude=LOUD) for name in ("cat", "dan")))
        await asyncio.gather(*(until_hears(listener, name, TONES[name]) for name in ("cat", "dan")))
        await asyncio.gather(*(until_silent(listener, name, within=5) for name in ("ann", "ben")))
        await until_shown(listener, {"cat", "dan"}, since)

        since = time.monotonic()
        await asyncio.gather(*(people[name].mute() for name in ("cat", "dan")))
        await until_shown(listener, {"ann", "ben"}, since)
        await asyncio.gather(*(until_silent(listener, name, within=5) for name in ("cat", "dan")))
        await asyncio.gather(*(until_sounds(listener, name) for name in ("ann", "ben")))

        since = time.monotonic()
        await asyncio.gather(*(people[name].unmute() for name in ("cat", "dan")))
        await until_shown(listener, {"cat", "dan"}, since)
        await asyncio.gather(*(until_silent(listener, name, within=5) for name in ("ann", "ben")))
        # Four are not a large room any more.
        since = time.monotonic()
        await people["dan"].leave()
        await until_shown(listener, {"ann", "ben"}, since)
        await asyncio.gather(*(until_sounds(listener, name) for name in ("ann", "ben")))
        await until_hears(listener, "cat", TONES["cat"])
    finally:
        await asyncio.gather(*(one.leave() for one in gathering.everybody))


async def until_sounds(listener: PythonParticipant, speaker: str) -> None:
    """Waits until `listener` hears the soft tone of `speaker`."""

    def sounds() -> bool:
        ear = listener.ears.get(speaker)
        tone = ear.tone() if ear else None
        return tone is not None and abs(tone.hz - TONES[speaker]) <= 5 and tone.rms > 0.02 and tone.purity > 0.9

    await until(
        sounds, 15, lambda: f"{listener.identity} hears {speaker} not but {listener.ears.get(speaker)}", every=0.1
    )


def shown(listener: PythonParticipant, since: float) -> set[str]:
    """Those of whom `listener` was told since then that they speak."""
    told = (notice for notice in listener.notices if notice.what == "speaking" and notice.at >= since)
    return {name for notice in told for name in notice.who.split()}


async def until_shown(listener: PythonParticipant, names: set[str], since: float) -> None:
    await until(
        lambda: names <= shown(listener, since),
        10,
        lambda: f"{listener.identity} is shown {shown(listener, since)}, not {names}",
    )
