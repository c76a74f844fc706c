"""People in a room: one face, two bodies, both LiveKit's own SDKs (Python here, Node in `node_participant.py`)."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from livekit import rtc

from server import Server
from tone import RATE, WINDOW, Tone, level_db, rms, strongest

AMPLITUDE = 0.25
FRAME = RATE // 100
"""Ten milliseconds: without a queue the SDK takes nothing else."""
CHUNK_MS = 20
"""Of sound that is heard. Larger ones cost less where many hear many."""
LOOK = 0.1
"""Seconds between looks at what is heard: each keeps the process busy whose microphones have to play on time."""


@dataclass
class Ear:
    """The last two seconds of what one participant received from another."""

    chunks: deque[np.ndarray] = field(default_factory=deque)
    kept: int = 0
    total: int = 0
    """Samples received since the beginning."""
    fed: float = 0.0
    """When the newest came (seconds of the monotonic clock)."""

    def feed(self, samples: np.ndarray) -> None:
        self.fed = time.monotonic()
        self.chunks.append(samples)
        self.kept += len(samples)
        self.total += len(samples)
        while self.kept - len(self.chunks[0]) >= 2 * RATE:
            self.kept -= len(self.chunks.popleft())

    def last(self, count: int) -> np.ndarray:
        """The newest `count` samples, or fewer where fewer have come."""
        newest: list[np.ndarray] = []
        found = 0
        for chunk in reversed(self.chunks):
            newest.append(chunk)
            found += len(chunk)
            if found >= count:
                break
        return np.concatenate(newest[::-1])[-count:] if newest else np.zeros(0)

    def tone(self) -> Tone | None:
        """What the newest half second sounds like; `None` before there is so much."""
        return strongest(self.last(WINDOW)) if self.kept >= WINDOW else None

    def level_db(self, hz: float) -> float:
        return level_db(self.last(WINDOW), hz)

    def loudness(self, seconds: float) -> float:
        return rms(self.last(int(seconds * RATE)))


@dataclass(frozen=True)
class Notice:
    """Something that a participant was told, and when (seconds of the monotonic clock)."""

    at: float
    what: str
    who: str
    detail: Any = None


@dataclass(frozen=True)
class Streams:
    """RTP packets that a participant has sent and received, over all its streams."""

    incoming: int = 0
    """Streams that come in."""
    sent: int = 0
    received: int = 0
    lost: int = 0

    @classmethod
    def of(cls, stats: rtc.RtcStats) -> "Streams":
        reports = [*stats.publisher_stats, *stats.subscriber_stats]
        outbound = [report.outbound_rtp.sent for report in reports if report.HasField("outbound_rtp")]
        inbound = [report.inbound_rtp.received for report in reports if report.HasField("inbound_rtp")]
        return cls(
            incoming=len(inbound),
            sent=sum(stream.packets_sent for stream in outbound),
            received=sum(stream.packets_received for stream in inbound),
            lost=sum(stream.packets_lost for stream in inbound),
        )


class Participant(Protocol):
    identity: str
    ears: dict[str, Ear]
    notices: list[Notice]
    present: set[str]
    """The others in the room, as far as this participant was told."""

    async def speak(self, hz: float) -> None: ...
    async def hush(self) -> None: ...
    async def leave(self) -> None: ...


class PythonParticipant:
    """A participant that runs on the Python SDK."""

    def __init__(self, identity: str, listening: bool = True, chunk_ms: int = CHUNK_MS) -> None:
        self.identity = identity
        self.listening = listening
        self.chunk_ms = chunk_ms
        self.ears: dict[str, Ear] = {}
        self.notices: list[Notice] = []
        self.room = rtc.Room()
        self.publication: rtc.LocalTrackPublication | None = None
        self.flowing = asyncio.Event()
        """While it is clear, what the microphone plays pauses, and not a packet is sent."""
        self.flowing.set()
        self._tasks: set[asyncio.Task] = set()
        self._playing: asyncio.Task | None = None
        self._watch()

    @classmethod
    async def join(
        cls,
        server: Server,
        room: str,
        identity: str,
        single: bool = True,
        token: str | None = None,
        listening: bool = True,
        chunk_ms: int = CHUNK_MS,
    ):
        """Enters `room`; `single` chooses one peer connection or two.

        Without `listening` it receives all the same, but nothing is kept of the sound. What it hears comes in chunks.
        """
        participant = cls(identity, listening, chunk_ms)
        options = rtc.RoomOptions(single_peer_connection=single)
        await participant.room.connect(server.ws_url, token or server.token(room, identity), options)
        return participant

    @property
    def present(self) -> set[str]:
        return set(self.room.remote_participants)

    async def speak(self, hz: float, queue: int = 100, amplitude: float = AMPLITUDE, red: bool = True) -> None:
        """Publishes a microphone that plays a sine of `hz` until told otherwise; an `amplitude` of 1 is full scale.

        It is RED if the server would have it, unless that is not wanted.

        A queue of so many milliseconds evens out how late this process may be. The SDK fills an empty queue with
        silence, which is sent too; without a queue, what is not played is not sent.
        """
        source = rtc.AudioSource(RATE, 1, queue_size_ms=queue)
        track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, red=red)
        self.publication = await self.room.local_participant.publish_track(track, options)
        self._playing = self._start(_play(source, hz, amplitude, self.flowing, queued=queue > 0))

    async def hush(self) -> None:
        """Unpublishes the microphone."""
        self._playing.cancel()
        await self.room.local_participant.unpublish_track(self.publication.sid)

    async def mute(self) -> None:
        self.publication.track.mute()

    async def unmute(self) -> None:
        self.publication.track.unmute()

    async def streams(self) -> Streams:
        """What the RTP streams of this participant's connections have carried so far."""
        return Streams.of(await self.room.get_rtc_stats())

    async def last_packet(self) -> float | None:
        """When the newest packet came on the streams that are there (seconds since the epoch)."""
        stats = await self.room.get_rtc_stats()
        reports = [*stats.publisher_stats, *stats.subscriber_stats]
        inbound = [report.inbound_rtp.inbound for report in reports if report.HasField("inbound_rtp")]
        return max((one.last_packet_received_timestamp / 1000 for one in inbound), default=None)

    async def leave(self) -> None:
        await self.room.disconnect()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _watch(self) -> None:
        self.room.on("participant_connected", lambda other: self._note("joined", other.identity))
        self.room.on("participant_disconnected", lambda other: self._note("left", other.identity))
        self.room.on("track_muted", lambda other, _: self._note("muted", other.identity))
        self.room.on("track_unmuted", lambda other, _: self._note("unmuted", other.identity))
        self.room.on("track_unpublished", lambda _, other: self._note("unpublished", other.identity))
        self.room.on("disconnected", lambda reason: self._note("disconnected", rtc.DisconnectReason.Name(reason)))
        self.room.on("reconnected", lambda: self._note("reconnected", self.identity))
        self.room.on("track_subscribed", self._listen)
        self.room.on("active_speakers_changed", self._note_speakers)
        self.room.on("connection_quality_changed", self._note_quality)

    def _note(self, what: str, who: str, detail: Any = None) -> None:
        self.notices.append(Notice(time.monotonic(), what, who, detail))

    def _note_speakers(self, speakers: list[rtc.Participant]) -> None:
        self._note("speaking", " ".join(sorted(speaker.identity for speaker in speakers)))

    def _note_quality(self, who: rtc.Participant, quality: rtc.ConnectionQuality) -> None:
        self._note("quality", f"{who.identity} {quality.name.removeprefix('QUALITY_')}")

    def _listen(self, track: rtc.Track, _: rtc.RemoteTrackPublication, other: rtc.RemoteParticipant) -> None:
        self._note("subscribed", other.identity)
        if not self.listening:
            return
        ear = self.ears[other.identity] = self._ear_for(other.identity)
        self._start(_hear(track, ear, self.chunk_ms))

    def _ear_for(self, _who: str) -> Ear:
        return Ear()

    def _start(self, work) -> asyncio.Task:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _play(source: rtc.AudioSource, hz: float, amplitude: float, flowing: asyncio.Event, queued: bool) -> None:
    clock = asyncio.get_running_loop().time
    position, due = 0, clock()
    try:
        while await flowing.wait():
            time_axis = (position + np.arange(FRAME)) / RATE
            samples = (amplitude * 32767 * np.sin(2 * np.pi * hz * time_axis)).astype(np.int16)
            await source.capture_frame(rtc.AudioFrame(samples.tobytes(), RATE, 1, FRAME))
            position += FRAME
            if not queued:
                # What is late is made up for, what was a pause is not.
                due = max(due + FRAME / RATE, clock() - 0.1)
                await asyncio.sleep(due - clock())
    finally:
        await source.aclose()


async def _hear(track: rtc.Track, ear: Ear, chunk_ms: int) -> None:
    stream = rtc.AudioStream(track, sample_rate=RATE, num_channels=1, frame_size_ms=chunk_ms)
    try:
        async for event in stream:
            ear.feed(np.frombuffer(event.frame.data, dtype=np.int16) / 32768)
    finally:
        await stream.aclose()


async def until(
    condition: Callable[[], bool], within: float, otherwise: Callable[[], str], every: float = 0.02
) -> None:
    """Waits for `condition`; past `within` seconds fails with what `otherwise` tells."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within} s: {otherwise()}"
        await asyncio.sleep(every)


async def until_hears(listener: Participant, speaker: str, hz: float, within: float = 15) -> None:
    """Waits until `listener` hears `hz` within 5 Hz, clean and loud, from `speaker`."""

    def tone() -> Tone | None:
        ear = listener.ears.get(speaker)
        return ear.tone() if ear else None

    def heard() -> bool:
        now = tone()
        return now is not None and abs(now.hz - hz) <= 5 and now.rms > 0.05 and now.purity > 0.95

    await until(heard, within, lambda: f"{listener.identity} hears {tone()} from {speaker}, expected {hz} Hz", LOOK)


async def until_silent(listener: Participant, speaker: str, within: float) -> None:
    """Waits until the last 50 ms that `listener` received from `speaker` hold no sound."""
    ear = listener.ears[speaker]
    await until(
        lambda: ear.loudness(0.05) < 0.002,
        within,
        lambda: f"{listener.identity} still hears {ear.tone()} from {speaker}",
    )


async def until_noticed(listener: Participant, what: str, who: str, within: float, since: float = 0.0) -> Notice:
    """Waits until `listener` has been told `what` about `who`, and answers the first such notice after `since`."""

    def found() -> list[Notice]:
        return [n for n in listener.notices if n.what == what and n.who == who and n.at >= since]

    await until(
        lambda: bool(found()),
        within,
        lambda: f"{listener.identity} never noticed '{who} {what}' but {listener.notices}",
    )
    return found()[0]
