"""Participants that run in another process, driven over its pipes with JSON lines (`lines.mjs` and
`python_host.py` are the other end)."""

import asyncio
import base64
import itertools
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from participant import Ear, Notice
from server import PROJECT

LINE_LIMIT = 1 << 24
PATIENCE = 40
"""Seconds in which everything that a participant is asked must be done."""


class Host:
    """A process in which participants live."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._people: dict[str, PipedParticipant] = {}
        self._answers: dict[int, asyncio.Future] = {}
        self._numbers = itertools.count(1)
        self._reading = asyncio.ensure_future(self._read())

    @classmethod
    async def start(cls, script: Path, *arguments: str, prefix: Sequence[str] = ()) -> "Host":
        """Runs a script of Node's or Python's; `prefix` comes before the command."""
        pipe = asyncio.subprocess.PIPE
        interpreter = sys.executable if script.suffix == ".py" else "node"
        command = [*prefix, interpreter, PROJECT / script, *arguments]
        return cls(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=LINE_LIMIT))

    def admit(self, participant: "PipedParticipant") -> None:
        self._people[participant.name] = participant

    async def ask(self, person: str, command: str, **given) -> Any:
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        line = json.dumps({"id": number, "person": person, "command": command, **given})
        self.process.stdin.write(line.encode() + b"\n")
        return await asyncio.wait_for(answer, PATIENCE)

    async def stop(self) -> None:
        if self.process.returncode is None:
            self.process.stdin.close()
        await asyncio.wait_for(self.process.wait(), 15)
        await self._reading

    async def _read(self) -> None:
        while line := await self.process.stdout.readline():
            message = json.loads(line)
            if "id" in message:
                self._settle(message)
            elif person := self._people.get(message.get("person")):
                person.take(message)
            # The SDKs log to standard output too.
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(AssertionError("the process of this participant has ended"))

    def _settle(self, message: dict) -> None:
        answer = self._answers.pop(message["id"])
        if answer.done():
            return
        if "error" in message:
            answer.set_exception(RuntimeError(message["error"]))
        else:
            answer.set_result(message["result"])


class PipedParticipant:
    """One participant in a `Host`."""

    _serial = itertools.count(1)

    def __init__(self, host: Host, identity: str) -> None:
        self.identity = identity
        self.name = f"{identity}-{next(self._serial)}"
        self.ears: dict[str, Ear] = {}
        self.notices: list[Notice] = []
        self.present: set[str] = set()
        self.host = host
        host.admit(self)

    async def ask(self, command: str, **given) -> Any:
        return await self.host.ask(self.name, command, **given)

    async def speak(self, hz: float) -> str:
        """Publishes a microphone; answers the track's sid."""
        return await self.ask("speak", hz=hz)

    async def hush(self) -> None:
        await self.ask("hush")

    async def leave(self) -> None:
        await self.ask("leave")

    def take(self, message: dict) -> None:
        """A line from the other end that is about this participant."""
        if message["kind"] == "heard":
            pcm = np.frombuffer(base64.b64decode(message["pcm"]), dtype=np.int16)
            self.ears.setdefault(message["who"], Ear()).feed(pcm / 32768)
        else:
            self._note(message["what"], message["who"], message.get("detail"))

    def _note(self, what: str, who: str, detail: Any) -> None:
        if isinstance(detail, dict) and "payload" in detail:
            detail["payload"] = base64.b64decode(detail["payload"])
        self.notices.append(Notice(time.monotonic(), what, who, detail))
        if what == "joined":
            self.present.add(who)
        elif what == "left":
            self.present.discard(who)
        elif what == "subscribed":
            self.ears[who] = Ear()
