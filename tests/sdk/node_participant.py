"""A participant that runs on LiveKit's Node SDK, in a process of its own (`participant.mjs`), driven over its pipes."""

import asyncio
import base64
import json
import time

import numpy as np

from participant import Ear, Notice
from server import PROJECT, Server

SCRIPT = PROJECT / "tests/sdk/participant.mjs"
LINE_LIMIT = 1 << 20


class NodeParticipant:
    def __init__(self, identity: str, process: asyncio.subprocess.Process) -> None:
        self.identity = identity
        self.ears: dict[str, Ear] = {}
        self.notices: list[Notice] = []
        self.present: set[str] = set()
        self._process = process
        self._answers: asyncio.Queue[dict] = asyncio.Queue()
        self._reading = asyncio.ensure_future(self._read())

    @classmethod
    async def join(cls, server: Server, room: str, identity: str, single: bool = True):
        """Enters `room` with a token that `livekit-server-sdk` mints; `single` chooses one peer connection or two."""
        process = await asyncio.create_subprocess_exec(
            "node", SCRIPT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LINE_LIMIT
        )
        participant = cls(identity, process)
        await participant._ask(
            "join",
            url=server.ws_url,
            key=server.api_key,
            secret=server.api_secret,
            room=room,
            identity=identity,
            single=single,
        )
        return participant

    async def speak(self, hz: float) -> None:
        await self._ask("speak", hz=hz)

    async def hush(self) -> None:
        await self._ask("hush")

    async def publish_data(self, text: str, topic: str, reliable: bool = True) -> None:
        await self._ask("data", text=text, topic=topic, reliable=reliable)

    async def leave(self) -> None:
        if self._process.returncode is None:
            await self._ask("leave")
            self._process.stdin.close()
            await asyncio.wait_for(self._process.wait(), 10)
        await self._reading

    async def _ask(self, command: str, **arguments) -> None:
        self._process.stdin.write((json.dumps({"command": command, **arguments}) + "\n").encode())
        answer = await asyncio.wait_for(self._answers.get(), 20)
        assert answer.get("command") == command, f"node participant {self.identity}: {answer}"

    async def _read(self) -> None:
        while line := await self._process.stdout.readline():
            message = json.loads(line)
            match message.get("kind"):
                case "heard":
                    pcm = np.frombuffer(base64.b64decode(message["pcm"]), dtype=np.int16)
                    self.ears.setdefault(message["who"], Ear()).feed(pcm / 32768)
                case "notice":
                    self._note(message["what"], message["who"])
                case "done" | "error":
                    self._answers.put_nowait(message)
                case _:
                    pass  # the SDK logs to standard output too
        self._answers.put_nowait({"kind": "error", "error": "its process has ended"})

    def _note(self, what: str, who: str) -> None:
        self.notices.append(Notice(time.monotonic(), what, who))
        if what == "joined":
            self.present.add(who)
        elif what == "left":
            self.present.discard(who)
        elif what == "subscribed":
            self.ears[who] = Ear()
