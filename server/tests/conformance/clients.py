"""The clients under test: LiveKit's SDKs, unmodified, behind one vocabulary.

What an SDK has no call for skips the test that asks for it, which the table shows as a dash.
"""

import asyncio
import base64
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from livekit import rtc

from participant import Ear, PythonParticipant
from piped import Host, PipedParticipant
from tone import WINDOW, Tone, strongest

SCENARIOS = {
    "signal reconnect": "SIMULATE_SIGNAL_RECONNECT",
    "full reconnect": "SIMULATE_FULL_RECONNECT",
    "server leave": "SIMULATE_SERVER_LEAVE",
    "node failure": "SIMULATE_NODE_FAILURE",
    "migration": "SIMULATE_MIGRATION",
    "disconnect on resume": "SIMULATE_DISCONNECT_SIGNAL_ON_RESUME",
    "speakers": "SIMULATE_SPEAKER",
}


@dataclass(frozen=True)
class Kind:
    """Which SDK, and whether it uses one peer connection for both directions (`/rtc/v1`) or two (`/rtc`)."""

    sdk: str
    single: bool

    def __str__(self) -> str:
        return f"{self.sdk}-{'single' if self.single else 'dual'}"


STALE = 1.0
"""Seconds after which what was heard is not what is heard."""

KINDS = [Kind(sdk, single) for sdk in ("python", "node", "chromium", "firefox") for single in (True, False)]
PYTHON = Kind("python", True)


@dataclass(frozen=True)
class RpcAnswer:
    """How a call ended: with a payload, or with the code of an error."""

    payload: str | None = None
    code: int | None = None
    message: str | None = None
    data: str | None = None


class PythonClient(PythonParticipant):
    """LiveKit's Python SDK."""

    def __init__(self, identity: str) -> None:
        super().__init__(identity)
        self.tracks: list[rtc.LocalTrackPublication] = []

    async def join(self, url: str, token: str, single: bool, auto_subscribe: bool) -> None:
        options = rtc.RoomOptions(single_peer_connection=single, auto_subscribe=auto_subscribe)
        await self.room.connect(url, token, options)
        for other in self.room.remote_participants.values():
            self._note("joined", other.identity)
            for sid in other.track_publications:
                self._note("published", other.identity, sid)

    async def speak(self, hz: float) -> str:
        await super().speak(hz)
        return self.publication.sid

    async def publish(self, count: int) -> None:
        """Publishes further tracks, from which not one packet comes."""
        for index in range(count):
            # With a queue the SDK would send silence.
            source = rtc.AudioSource(48_000, 1, queue_size_ms=0)
            track = rtc.LocalAudioTrack.create_audio_track(f"track {index}", source)
            options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
            self.tracks.append(await self.room.local_participant.publish_track(track, options))

    async def tone(self, who: str) -> Tone | None:
        """What the newest half second from `who` sounds like; `None` if there is none."""
        return tone_of(self.ears.get(who))

    async def publish_data(self, payload: bytes, reliable=True, topic: str = "", to: tuple[str, ...] = ()) -> None:
        await self.me.publish_data(payload, reliable=reliable, topic=topic, destination_identities=list(to))

    async def send_text(self, text: str, topic: str, to: tuple[str, ...] = ()) -> None:
        await self.me.send_text(text, topic=topic, destination_identities=list(to))

    async def send_bytes(self, payload: bytes, topic: str, to: tuple[str, ...] = ()) -> None:
        await self.me.send_bytes(payload, topic=topic, destination_identities=list(to))

    async def send_chat(self, text: str) -> None:
        pytest.skip("this SDK has no chat")

    async def take_streams(self, topic: str) -> None:
        """Takes part in text and byte streams of one topic."""

        async def take_text(reader: rtc.TextStreamReader, who: str) -> None:
            self._note("text", who, {"topic": topic, "text": await reader.read_all()})

        async def take_bytes(reader: rtc.ByteStreamReader, who: str) -> None:
            self._note("bytes", who, {"topic": topic, "payload": b"".join([chunk async for chunk in reader])})

        self.room.register_text_stream_handler(topic, lambda *given: self._start(take_text(*given)))
        self.room.register_byte_stream_handler(topic, lambda *given: self._start(take_bytes(*given)))

    async def answer_rpc(self, method: str, behaviour: str = "echo") -> None:
        """Answers calls of `method` with what came (`echo`), or with an error (`refuse`, `crash`)."""

        async def answer(call: rtc.RpcInvocationData) -> str:
            self._note("called", call.caller_identity, len(call.payload))
            if behaviour == "refuse":
                raise rtc.RpcError(101, "refused", "because")
            if behaviour == "crash":
                raise ValueError("a bare error")
            return call.payload

        self.me.register_rpc_method(method, answer)

    async def call_rpc(self, to: str, method: str, payload: str, seconds: float = 5) -> RpcAnswer:
        try:
            answer = await self.me.perform_rpc(
                destination_identity=to, method=method, payload=payload, response_timeout=seconds
            )
        except rtc.RpcError as error:
            return RpcAnswer(code=error.code, message=error.message, data=error.data)
        return RpcAnswer(payload=answer)

    async def set_metadata(self, metadata: str) -> None:
        await self.me.set_metadata(metadata)

    async def set_name(self, name: str) -> None:
        await self.me.set_name(name)

    async def set_attributes(self, attributes: dict[str, str]) -> None:
        await self.me.set_attributes(attributes)

    async def subscribe(self, who: str, wanted: bool) -> None:
        """Asks for, or no longer for, everything that `who` publishes."""
        for publication in self.room.remote_participants[who].track_publications.values():
            publication.set_subscribed(wanted)

    async def allow(self, *identities: str, everybody: bool = False) -> None:
        """Lets everybody, or only `identities`, subscribe to what this participant publishes."""
        self.me.set_track_subscription_permissions(
            allow_all_participants=everybody,
            participant_permissions=[
                rtc.ParticipantTrackPermission(participant_identity=identity, allow_all=True) for identity in identities
            ],
        )

    async def simulate(self, scenario: str) -> None:
        await self.room.simulate_scenario(rtc.SimulateScenarioKind.Value(SCENARIOS[scenario]))

    async def publish_transcription(self, track: str, text: str) -> None:
        segment = rtc.TranscriptionSegment(id="1", text=text, start_time=0, end_time=1, language="en", final=True)
        await self.me.publish_transcription(rtc.Transcription(self.identity, track, [segment]))

    async def publish_data_track(self) -> None:
        await asyncio.wait_for(self.me.publish_data_track(name="positions"), 15)

    async def snapshot(self) -> dict[str, Any]:
        """What the SDK now holds to be true."""
        return {
            "connected": self.room.connection_state == rtc.ConnectionState.CONN_CONNECTED,
            "sid": self.me.sid,
            "name": self.me.name,
            "metadata": self.me.metadata,
            "attributes": dict(self.me.attributes),
            "tracks": list(self.me.track_publications),
            "room": {"sid": await self.room.sid, "name": self.room.name, "metadata": self.room.metadata},
            "others": {who: _describe(other) for who, other in self.room.remote_participants.items()},
        }

    @property
    def me(self) -> rtc.LocalParticipant:
        return self.room.local_participant

    def _watch(self) -> None:
        super()._watch()
        on, note = self.room.on, self._note
        on("track_published", lambda one, other: note("published", other.identity, one.sid))
        on("track_unsubscribed", lambda _, one, other: note("unsubscribed", other.identity, one.sid))
        on("local_track_unpublished", lambda one: note("dropped", self.identity, one.sid))
        on("reconnecting", lambda: note("reconnecting", ""))
        on("reconnected", lambda: note("reconnected", ""))
        on("moved", lambda: note("moved", ""))
        on("room_metadata_changed", lambda _, metadata: note("room metadata", "", metadata))
        on("participant_metadata_changed", lambda who, _, now: note("metadata", who.identity, now))
        on("participant_name_changed", lambda who, _, name: note("name", who.identity, name))
        on("participant_attributes_changed", lambda changed, who: note("attributes", who.identity, dict(changed)))
        on("transcription_received", self._note_transcription)
        on("data_received", self._note_data)

    def _note_quality(self, who: rtc.Participant, quality: rtc.ConnectionQuality) -> None:
        self._note("quality", who.identity, quality.name.removeprefix("QUALITY_").lower())

    def _note_data(self, packet: rtc.DataPacket) -> None:
        who = packet.participant.identity if packet.participant else ""
        self._note("data", who, {"payload": bytes(packet.data), "topic": packet.topic or ""})

    def _note_transcription(self, segments: list, who: rtc.Participant | None, _) -> None:
        for segment in segments:
            self._note("transcription", who.identity if who else "", segment.text)


class PipedClient(PipedParticipant):
    """A JavaScript SDK in another process; what the commands do stands in `tests/sdk/commands.mjs`."""

    async def join(self, url: str, token: str, single: bool, auto_subscribe: bool) -> None:
        await self.ask("join", url=url, token=token, single=single, autoSubscribe=auto_subscribe)

    async def mute(self) -> None:
        await self.ask("mute")

    async def unmute(self) -> None:
        await self.ask("unmute")

    async def publish(self, count: int) -> None:
        await self.ask("publish", count=count)

    async def tone(self, who: str) -> Tone | None:
        return tone_of(self.ears.get(who))

    async def publish_data(self, payload: bytes, reliable=True, topic: str = "", to: tuple[str, ...] = ()) -> None:
        await self.ask("publishData", payload=_base64(payload), reliable=reliable, topic=topic, to=to)

    async def send_text(self, text: str, topic: str, to: tuple[str, ...] = ()) -> None:
        await self.ask("sendText", text=text, topic=topic, to=to)

    async def send_bytes(self, payload: bytes, topic: str, to: tuple[str, ...] = ()) -> None:
        await self.ask("sendBytes", payload=_base64(payload), topic=topic, to=to)

    async def send_chat(self, text: str) -> None:
        await self.ask("sendChat", text=text)

    async def take_streams(self, topic: str) -> None:
        await self.ask("takeStreams", topic=topic)

    async def answer_rpc(self, method: str, behaviour: str = "echo") -> None:
        await self.ask("answerRpc", method=method, behaviour=behaviour)

    async def call_rpc(self, to: str, method: str, payload: str, seconds: float = 5) -> RpcAnswer:
        return RpcAnswer(**await self.ask("callRpc", to=to, method=method, payload=payload, seconds=seconds))

    async def set_metadata(self, metadata: str) -> None:
        await self.ask("setMetadata", metadata=metadata)

    async def set_name(self, name: str) -> None:
        await self.ask("setName", name=name)

    async def set_attributes(self, attributes: dict[str, str]) -> None:
        await self.ask("setAttributes", attributes=attributes)

    async def subscribe(self, who: str, wanted: bool) -> None:
        await self.ask("subscribe", who=who, wanted=wanted)

    async def allow(self, *identities: str, everybody: bool = False) -> None:
        await self.ask("allow", all=everybody, identities=identities)

    async def simulate(self, scenario: str) -> None:
        await self.ask("simulate", scenario=scenario)

    async def publish_data_track(self) -> None:
        await self.ask("publishDataTrack")

    async def snapshot(self) -> dict[str, Any]:
        return await self.ask("snapshot")


class NodeClient(PipedClient):
    """`@livekit/rtc-node`."""

    async def mute(self) -> None:
        pytest.skip("this SDK cannot mute a track")

    async def allow(self, *identities: str, everybody: bool = False) -> None:
        pytest.skip("this SDK has no subscription permissions")

    async def publish_data_track(self) -> None:
        pytest.skip("this SDK has no data tracks")


class BrowserClient(PipedClient):
    """`livekit-client` in a browser."""

    async def tone(self, who: str) -> Tone | None:
        samples = np.frombuffer(base64.b64decode(await self.ask("hear", who=who)), dtype=np.int16) / 32768
        return strongest(samples[-WINDOW:]) if len(samples) >= WINDOW else None


Client = PythonClient | PipedClient


class Hosts:
    """The processes in which the JavaScript clients live, started when the first is wanted and kept."""

    def __init__(self) -> None:
        self._hosts: dict[str, Host] = {}

    async def client(self, sdk: str, identity: str) -> Client:
        match sdk:
            case "python":
                return PythonClient(identity)
            case "node":
                return NodeClient(await self.host("node"), identity)
            case _:
                return BrowserClient(await self.host(sdk), identity)

    async def host(self, name: str) -> Host:
        if name not in self._hosts:
            self._hosts[name] = await start_host(name)
        return self._hosts[name]

    def started(self, name: str) -> Host:
        return self._hosts[name]

    async def stop(self) -> None:
        for host in self._hosts.values():
            await host.stop()


async def start_host(name: str) -> Host:
    match name:
        case "node":
            return await Host.start(Path("tests/sdk/participant.mjs"))
        case "administrator":
            return await Host.start(Path("tests/sdk/administrator.mjs"))
        case browser:
            return await Host.start(Path("tests/browser/participants.mjs"), browser)


def tone_of(ear: Ear | None) -> Tone | None:
    return ear.tone() if ear and time.monotonic() - ear.fed < STALE else None


def _describe(other: rtc.RemoteParticipant) -> dict[str, Any]:
    return {
        "sid": other.sid,
        "name": other.name,
        "metadata": other.metadata,
        "attributes": dict(other.attributes),
        "tracks": {
            one.sid: {"muted": one.muted, "subscribed": one.track is not None, "mime": one.mime_type}
            for one in other.track_publications.values()
        },
    }


def _base64(payload: bytes) -> str:
    return base64.b64encode(payload).decode()
