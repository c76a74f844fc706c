"""Loss, as LiveKit's own client meets it: what it is sent then, and what it sends. Needs root."""

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from participant import LOOK, PythonParticipant, until, until_hears
from piped import Host as Process
from piped import PipedParticipant
from server import Banter, Server
from tone import WINDOW, Tone, strongest
from wan import Host, Wan

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="networks of one's own need root"),
    pytest.mark.timeout(180),
]
ROOM = "rain"


@dataclass(frozen=True)
class Line:
    """A server and the machine that it runs on."""

    server: Server
    machine: Host

    def lose(self, percent: int, hook: str) -> None:
        """From now on so many of a hundred datagrams of media are lost on their way out of the server, or into it."""
        self.machine.nft(f"""
            table inet loss
            delete table inet loss
            table inet loss {{
                chain {hook} {{
                    type filter hook {hook} priority 0;
                    meta l4proto udp numgen random mod 100 < {percent} drop
                }}
            }}
        """)

    def counters(self, bearer: str) -> dict:
        """What the media plane has counted, asked for on the machine itself: the way to it may be blocked."""
        ask = (
            "import sys, urllib.request as r; _, url, *header = sys.argv;"
            "print(r.urlopen(r.Request(url, headers=dict([header]))).read().decode())"
        )
        address = f"http://{self.server.host}/api/media"
        command = [*self.machine.prefix, sys.executable, "-c", ask, address, "Authorization", f"Bearer {bearer}"]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.fixture
def line() -> Iterator[Line]:
    with Wan() as wan:
        machine = wan.host("server")
        with Banter(machine.address, prefix=machine.prefix) as server:
            yield Line(server, machine)


@dataclass(frozen=True)
class Flow:
    """What one stream has carried so far."""

    packets: int
    bytes: int
    concealed: int = 0
    """Samples that the decoder had to make up."""

    def since(self, before: "Flow") -> "Flow":
        return Flow(self.packets - before.packets, self.bytes - before.bytes, self.concealed - before.concealed)

    @property
    def size(self) -> float:
        """Bytes of a payload, on average."""
        return self.bytes / max(1, self.packets)


async def heard(person: PythonParticipant) -> Flow:
    stats = await person.room.get_rtc_stats()
    reports = [*stats.publisher_stats, *stats.subscriber_stats]
    (one,) = (report.inbound_rtp for report in reports if report.HasField("inbound_rtp"))
    return Flow(one.received.packets_received, one.inbound.bytes_received, one.inbound.concealed_samples)


async def said(person: PythonParticipant) -> Flow:
    stats = await person.room.get_rtc_stats()
    (one,) = (report.outbound_rtp for report in stats.publisher_stats if report.HasField("outbound_rtp"))
    return Flow(one.sent.packets_sent, one.sent.bytes_sent)


async def until_size(person: PythonParticipant, flow, fits: Callable[[float], bool], within: float) -> Flow:
    """Waits until the payloads of two seconds are of a size that fits; answers what those seconds carried."""
    deadline = asyncio.get_running_loop().time() + within
    before, sizes = await flow(person), []
    while asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(LOOK)
        now = (await flow(person)).since(before)
        if now.packets >= 100:
            sizes.append(round(now.size))
            if fits(now.size):
                return now
            before = await flow(person)
    raise AssertionError(f"{person.identity}: payloads of {sizes} bytes")


@pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])
@pytest.mark.parametrize("red", [True, False], ids=["from red", "from opus"])
async def test_a_listener_who_misses_packets_is_sent_red_and_hears_well(line: Line, single: bool, red: bool):
    ann = await PythonParticipant.join(line.server, ROOM, "ann", single=single)
    ben = await PythonParticipant.join(line.server, ROOM, "ben", single=single)
    await ann.speak(440.0, red=red)
    await until_hears(ben, "ann", 440.0)
    plain = await until_size(ben, heard, lambda size: size > 0, within=20)

    line.lose(10, "output")
    await until_size(ben, heard, lambda size: size > 1.7 * plain.size, within=30)
    before = await heard(ben)
    lossy = (await until_size(ben, heard, lambda size: size > 1.7 * plain.size, within=10), await heard(ben))[1]
    concealed = lossy.since(before).concealed / (lossy.since(before).packets * 960)
    assert concealed < 0.04, f"{concealed:.3f} of the sound was made up where a tenth of the packets is lost"
    await until_hears(ben, "ann", 440.0)
    await asyncio.gather(ann.leave(), ben.leave())


async def test_a_speaker_who_loses_much_on_the_way_is_asked_for_less_and_sends_less(line: Line):
    # With two connections this SDK makes no offer for being asked, and takes the lower rate with its next one.
    ann = await PythonParticipant.join(line.server, ROOM, "ann", single=True)
    ben = await PythonParticipant.join(line.server, ROOM, "ben", single=True)
    await ann.speak(440.0, red=False)
    await until_hears(ben, "ann", 440.0)
    await until_size(ann, said, lambda size: size > 60, within=20)

    line.lose(25, "input")
    await until_size(ann, said, lambda size: size <= 45, within=60)  # 40 bytes every 20 ms are 16 kbit/s
    assert (await until_size(ann, said, lambda size: size > 0, within=10)).size <= 45
    await asyncio.gather(ann.leave(), ben.leave())


async def test_what_a_slow_device_does_not_take_in_time_is_dropped_and_all_goes_on_when_it_is_fast_again(line: Line):
    # All of them speak, so that the socket is full long before anybody is given up.
    people = [await PythonParticipant.join(line.server, ROOM, f"p{number}") for number in range(6)]
    for number, person in enumerate(people):
        await person.speak(400.0 + 100 * number)
    operator = line.server.add_user("operator", "owner")

    async def until_all_hear() -> None:
        for listener, (number, speaker) in zip(people[1:] + people[:1], enumerate(people), strict=True):
            await until_hears(listener, speaker.identity, 400.0 + 100 * number)

    def counted(fate: str) -> int:
        return line.counters(operator)["socket"][fate]

    await until_all_hear()
    assert (counted("delayed"), counted("dropped")) == (0, 0)
    slow = ("root", "tbf", "rate", "300kbit", "burst", "3000", "limit", "16000000")
    line.machine.run("tc", "qdisc", "add", "dev", "eth0", *slow)
    await until(lambda: counted("dropped") > 100, 40, lambda: f"{counted('delayed')} were delayed", every=0.5)
    line.machine.run("tc", "qdisc", "del", "dev", "eth0", "root")
    await until_all_hear()
    before = counted("dropped")
    assert counted("delayed") >= before
    await until_all_hear()
    assert counted("dropped") == before
    await asyncio.gather(*(person.leave() for person in people))


async def test_chromium_is_sent_red_too_and_hears_well(line: Line):
    operator = line.server.add_user("operator", "owner")
    ann = await PythonParticipant.join(line.server, ROOM, "ann")
    await ann.speak(440.0, red=False)
    process = await Process.start(Path("tests/browser/participants.mjs"), "chromium")
    try:
        ben = PipedParticipant(process, "ben")
        token = line.server.token(ROOM, "ben")
        await ben.ask("join", url=line.server.ws_url, token=token, single=True, autoSubscribe=True)

        async def tone() -> Tone | None:
            samples = np.frombuffer(base64.b64decode(await ben.ask("hear", who="ann")), dtype=np.int16) / 32768
            return strongest(samples[-WINDOW:]) if len(samples) >= WINDOW else None

        async def until_heard() -> None:
            deadline, heard = asyncio.get_running_loop().time() + 20, None
            while not (heard and abs(heard.hz - 440.0) <= 5 and heard.rms > 0.05 and heard.purity > 0.95):
                assert asyncio.get_running_loop().time() < deadline, f"ben hears {heard}"
                await asyncio.sleep(LOOK)
                heard = await tone()

        async def sent() -> Flow:
            socket = line.counters(operator)["socket"]
            return Flow(socket["sent"], socket["sent_bytes"])

        await until_heard()
        plain = await until_size(ben, lambda _: sent(), lambda size: size > 0, within=20)
        line.lose(10, "output")
        await until_size(ben, lambda _: sent(), lambda size: size > 1.6 * plain.size, within=40)
        await until_heard()
    finally:
        await process.stop()
    await ann.leave()
