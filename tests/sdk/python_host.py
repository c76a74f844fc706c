"""Participants on LiveKit's Python SDK in a process of their own, perhaps in a network of its own (see `piped.py`)."""

import asyncio
import base64
import json
import sys
import traceback
from typing import Any

import numpy as np
from livekit import rtc

from participant import Ear, PythonParticipant


class Teller(PythonParticipant):
    """Tells the other end of the pipe what it notices and hears."""

    def __init__(self, name: str) -> None:
        super().__init__(name)

    def _note(self, what: str, who: str, detail: Any = None) -> None:
        say(person=self.identity, kind="notice", what=what, who=who, detail=detail)

    def _ear_for(self, who: str) -> Ear:
        return TellingEar(self.identity, who)

    async def join(self, url: str, token: str, single: bool) -> None:
        await self.room.connect(url, token, rtc.RoomOptions(single_peer_connection=single))

    async def answer(self, command: str, given: dict[str, Any]) -> Any:
        match command:
            case "join":
                await self.join(given["url"], given["token"], given["single"])
            case "speak":
                await self.speak(given["hz"])
            case "hush":
                await self.hush()
            case "leave":
                await self.leave()
            case _:
                raise ValueError(f"there is no command {command}")


class TellingEar(Ear):
    def __init__(self, person: str, who: str) -> None:
        super().__init__()
        self._person, self._who = person, who

    def feed(self, samples: np.ndarray) -> None:
        pcm = base64.b64encode((samples * 32767).astype(np.int16).tobytes()).decode()
        say(person=self._person, kind="heard", who=self._who, pcm=pcm)


def say(**message: Any) -> None:
    print(json.dumps(message), flush=True)


async def settle(number: int, person: Teller, command: str, given: dict[str, Any]) -> None:
    try:
        say(id=number, result=await person.answer(command, given))
    except Exception:
        say(id=number, error=traceback.format_exc())


async def main() -> None:
    people: dict[str, Teller] = {}
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    under_way = set()
    while line := await reader.readline():
        request = json.loads(line)
        number, name, command = request.pop("id"), request.pop("person"), request.pop("command")
        if name not in people:
            people[name] = Teller(name)
        task = asyncio.ensure_future(settle(number, people[name], command, request))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)


asyncio.run(main())
