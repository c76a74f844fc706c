"""A participant that runs on LiveKit's Node SDK, in a process of its own (`participant.mjs`)."""

import base64
from pathlib import Path

from participant import CHUNK_MS
from piped import Host, PipedParticipant
from server import Server

SCRIPT = Path("tests/sdk/participant.mjs")


class NodeParticipant(PipedParticipant):
    @classmethod
    async def join(cls, server: Server, room: str, identity: str, single: bool = True, chunk_ms: int = CHUNK_MS):
        """Enters `room` with a token that `livekit-server-sdk` mints; `single` chooses one peer connection or two."""
        participant = cls(await Host.start(SCRIPT, str(chunk_ms)), identity)
        token = await participant.ask(
            "token",
            key=server.api_key,
            secret=server.api_secret,
            identity=identity,
            grants={"roomJoin": True, "room": room},
        )
        await participant.ask("join", url=server.ws_url, token=token, single=single)
        await participant.ask("answerRpc", method="echo", behaviour="sign")
        return participant

    async def publish_data(self, text: str, topic: str, reliable: bool = True) -> None:
        payload = base64.b64encode(text.encode()).decode()
        await self.ask("publishData", payload=payload, topic=topic, reliable=reliable, to=[])

    async def kill(self) -> None:
        """Ends it without a chance to say so to anybody."""
        self.host.process.kill()
        await self.host.stop()

    async def leave(self) -> None:
        if self.host.process.returncode is None:
            await super().leave()
            await self.host.stop()
