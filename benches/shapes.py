"""What a release build carries: rooms of several shapes under `banter-load`. Prints tables for RESULTS.md.

    make bench-load                         all of it, about 40 minutes
    make bench-load ARGS="shapes largest"   only these, of those below
    make bench-load ARGS="shapes --against ws://127.0.0.1:7980 --against-pid 42"   another server in turn, A B A B

Each part has a Banter of its own. The harness is on the same machine, so it takes its share of what there is.
"""

import argparse
import json
import math
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "tests/sdk"))

from server import PROGRAM, Banter, Server, Usage  # noqa: E402

HARNESS = PROGRAM.with_name("banter-load")
EVERYBODY = {"BANTER_RTC_LOUDEST_SPEAKERS": "0"}
"""Has every microphone heard, as other servers do."""
MAX_LOSS = 0.001


@dataclass(frozen=True)
class Shape:
    rooms: int
    publishers: int
    speakers: int
    subscribers: int
    half: int
    """Times as many rooms take about half of the machine."""
    longer: int = 1
    """So many times as long is measured, where little is sent: CPU time is counted in hundredths of a second."""

    def flags(self, rooms: int) -> list[str]:
        names = {"publishers": self.publishers, "speakers": self.speakers, "subscribers": self.subscribers}
        return ["--rooms", str(rooms), *(word for name, value in names.items() for word in (f"--{name}", str(value)))]


SHAPES = {
    "1 × 10": Shape(1, 1, 1, 10, 80, longer=3),
    "1 × 100": Shape(1, 1, 1, 100, 20),
    "10 rooms × 25, 2 talk": Shape(10, 25, 2, 0, 5),
    "4 × 100": Shape(1, 4, 4, 100, 7),
    "10 × 300": Shape(1, 10, 10, 300, 1),
}
"""Publishers × listeners, but for the third."""


def load(server: Server, *flags: str, seconds: float = 20, against: tuple[str, int] | None = None) -> dict:
    """Has the harness measure; answers its JSON."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "load.json"
        command = [HARNESS, "--url", server.ws_url, "--server-pid", str(server.process), "--json", told, "--steady"]
        command += ["--duration", str(int(seconds)), *flags]
        if against:
            command += ["--compare-url", against[0], "--compare-pid", str(against[1])]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        print(done.stdout, flush=True)
        return json.loads(told.read_text())


def row(*cells: object) -> None:
    print("|", " | ".join(str(cell) for cell in cells), "|", flush=True)


def milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def shapes(options: argparse.Namespace) -> None:
    """Packets per CPU second and added delay."""
    against = (options.against, options.against_pid) if options.against else None
    documents = {}
    for name, shape in SHAPES.items():
        if options.only and options.only not in name:
            continue
        with Banter(settings=EVERYBODY) as server:
            flags = [*shape.flags(shape.rooms), "--mode", options.mode]
            documents[name] = load(server, *flags, seconds=options.seconds * shape.longer, against=against)
    row("shape", "packets a CPU second", "CPU of a copy", "× bare `sendmmsg`", "p50", "p99", "lost")
    for name, document in documents.items():
        for run in document["runs"]:
            server, bare, delay = run["server"], run["bare"], run["latency"]
            costs = f"{server['packets_per_cpu_second']:,.0f}", f"{bare['server']:.2f} µs", f"{bare['ratio']:.2f}"
            row(name, *costs, milliseconds(delay["p50"]), milliseconds(delay["p99"]), f"{100 * run['lost']:.3f} %")
    for name, document in documents.items():
        for ratio in (document["comparison"] or {"ratios": []})["ratios"]:
            row(name, ratio["name"], f"{ratio['mean']:.2f}", f"{ratio['lowest']:.2f} to {ratio['highest']:.2f}")


def half(options: argparse.Namespace) -> None:
    """Added delay when about half of the machine is in use: the same rooms, more of them."""
    rows = []
    for name, shape in SHAPES.items():
        with Banter(settings=EVERYBODY) as server:
            rooms = shape.rooms * shape.half
            run = load(server, *shape.flags(rooms), "--join-rate", "100", seconds=options.seconds)["runs"][0]
            rows.append((name, rooms, run))
    row("shape", "rooms", "packets a second", "server's cores", "harness's cores", "p50", "p99", "lost")
    for name, rooms, run in rows:
        second, delay = run["seconds"], run["latency"]
        cores = f"{run['server']['cpu'] / second:.2f}", f"{run['harness_cpu'] / second:.2f}"
        delays = milliseconds(delay["p50"]), milliseconds(delay["p99"])
        row(name, rooms, f"{run['packets_out'] / second:,.0f}", *cores, *delays, f"{100 * run['lost']:.3f} %")


def speakers(options: argparse.Namespace) -> None:
    """A thousand in one room with every microphone open."""
    flags = ["--publishers", "1000", "--subscribers", "0", "--join-rate", "8", "--settle", "10"]
    with Banter() as server:
        run = load(server, *flags, seconds=options.seconds)["runs"][0]
    cores = run["server"]["cpu"] / run["seconds"]
    row("in", "out", "server's cores", "missing", "p50", "p99")
    out = f"{run['packets_out'] / run['seconds']:,.0f}"
    delays = milliseconds(run["latency"]["p50"]), milliseconds(run["latency"]["p99"])
    row(f"{run['packets_in'] / run['seconds']:,.0f}", out, f"{cores:.2f}", f"{100 * run['missing']:.3f} %", *delays)


def largest(options: argparse.Namespace) -> None:
    """The largest room with ten publishers that loses less than a thousandth: found by halving."""
    good, bad, best = 100, None, None
    while bad is None or bad - good > max(10, good // 20):
        listeners = math.ceil(good * 1.6) if bad is None else (good + bad) // 2
        run = ten_speakers(listeners, 200, options.seconds)
        if run["lost"] < MAX_LOSS and not run["failed"]:
            good, best = listeners, run
        else:
            bad = listeners
    assert best, "not even 160 listeners are carried"
    row("listeners", *ROOM_COLUMNS)
    row(good, *room_cells(best))


def span(options: argparse.Namespace) -> None:
    """Ten publishers and three hundred listeners on two media threads, and on one."""
    runs = [(members, ten_speakers(300, members, options.seconds)) for members in (200, 0, 200, 0)]
    row("media threads", *ROOM_COLUMNS)
    for members, run in runs:
        row(2 if members else 1, *room_cells(run))


def ten_speakers(listeners: int, members_per_worker: int, seconds: float) -> dict:
    with Banter(settings={**EVERYBODY, "BANTER_RTC_MEMBERS_PER_WORKER": str(members_per_worker)}) as server:
        flags = ["--publishers", "10", "--subscribers", str(listeners), "--join-rate", "60", "--settle", "5"]
        return load(server, *flags, seconds=seconds)["runs"][0]


ROOM_COLUMNS = "packets a second", "server's cores", "harness's cores", "lost", "p50", "p99", "last after first, p50"


def room_cells(run: dict) -> list[str]:
    second, delay = run["seconds"], run["latency"]
    cores = f"{run['server']['cpu'] / second:.2f}", f"{run['harness_cpu'] / second:.2f}"
    delays = [milliseconds(value) for value in (delay["p50"], delay["p99"], run["skew"]["p50"])]
    return [f"{run['packets_out'] / second:,.0f}", *cores, f"{100 * run['lost']:.3f} %", *delays]


def idle(options: argparse.Namespace) -> None:
    """Five thousand who only sit there."""
    with Banter() as server:
        flags = ["--rooms", "100", "--publishers", "0", "--subscribers", "50", "--join-rate", "150"]
        run = load(server, *flags, seconds=options.seconds)["runs"][0]
    told = run["server"]
    row("participants", "memory of each", "CPU in all", "memory before", "with all", "when all had left")
    sizes = (f"{told[name] / 2**20:.0f} MiB" for name in ("resident_empty", "resident", "resident_left"))
    each, cores = told["resident_per_participant"] / 1024, told["cpu"] / run["seconds"]
    row(run["bots"] - run["failed"], f"{each:.1f} KiB", f"{100 * cores:.1f} % of a core", *sizes)


def joins(options: argparse.Namespace) -> None:
    """As many joins as there can be, into rooms of ten and one by one."""
    rows = []
    for rooms, members in ((100, 10), (1000, 1)):
        with Banter() as server:
            flags = ["--rooms", str(rooms), "--publishers", "0", "--subscribers", str(members), "--join-rate", "2000"]
            rows.append((rooms, members, load(server, *flags, seconds=2)["runs"][0]["joins"]))
    row("rooms × members", "joins a second", "joins a CPU second", "let in, p50", "connected, p50", "p99")
    for rooms, members, told in rows:
        times = milliseconds(told["let_in"]["p50"]), *(milliseconds(told["connected"][it]) for it in ("p50", "p99"))
        row(f"{rooms} × {members}", f"{told['per_second']:.0f}", f"{told['per_cpu_second']:.0f}", *times)


def storm(options: argparse.Namespace) -> None:
    """A hundred who listen to one while a thousand elsewhere come and go as fast as they can, and the same in quiet."""
    rows = []
    for is_stormy in (False, True):
        with Banter() as server, tempfile.TemporaryDirectory() as folder:
            crowd = Crowd(server, Path(folder)) if is_stormy else None
            run = load(server, "--publishers", "1", "--subscribers", "100", seconds=10)["runs"][0]
            rows.append((crowd.end() if crowd else 0, run))
    row("joins a second beside it", "p50", "p99", "max", "lost")
    for rate, run in rows:
        delays = (milliseconds(run["latency"][name]) for name in ("p50", "p99", "max"))
        row(f"{rate:.0f}", *delays, f"{100 * run['lost']:.3f} %")


class Crowd:
    """Half of two thousand in other rooms leave and join, by a harness of their own."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._told = folder / "crowd.json"
        command = [HARNESS, "--url", server.ws_url, "--rooms", "200", "--publishers", "0", "--subscribers", "10"]
        command += ["--join-rate", "300", "--churn", "500", "--duration", "300", "--json", self._told]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        # It says so every ten seconds.
        while "of 300 s" not in (line := self._process.stderr.readline()):
            assert line, "the crowd has not come in"

    def end(self) -> float:
        """Answers the joins in a second."""
        self._process.send_signal(signal.SIGINT)
        self._process.communicate(timeout=60)
        run = json.loads(self._told.read_text())["runs"][0]
        return run["returns"] / run["seconds"]


def soak(options: argparse.Namespace) -> None:
    """Ten minutes with people who come and go: what the server has counted, and what it holds, before and after."""
    with Banter(settings=EVERYBODY) as server:
        operator = server.add_user("operator", "owner")
        before = Usage.of(server.process), counters(server, operator)
        flags = ["--rooms", "8", "--publishers", "5", "--speakers", "2", "--subscribers", "20", "--churn", "5"]
        run = load(server, *flags, seconds=options.soak)["runs"][0]
        # Sessions that have said goodbye are gone at once, what is said of them a little later.
        time.sleep(2)
        after = Usage.of(server.process), counters(server, operator)
    first, last = run["series"][len(run["series"]) // 10], run["series"][-2]
    row("", "before", "a tenth into it", "at its end", "when all had left")
    sizes = before[0].resident_bytes, first["server_resident"], last["server_resident"], after[0].resident_bytes
    row("memory, MiB", *(f"{size / 2**20:.1f}" for size in sizes))
    for part, names in after[1].items():
        told = ", ".join(f"{name} {value}" for name, value in names.items())
        print(f"{part} before: {before[1][part]}\n{part} after: {told}")
    print(f"{run['returns']} came back, lost {100 * run['lost']:.4f} %, missing {100 * run['missing']:.4f} %")


def counters(server: Server, operator: str) -> dict[str, dict]:
    status, told = server.request("GET", "/api/media", bearer=operator)
    assert status == 200, told
    return {part: names if isinstance(names, dict) else {part: names} for part, names in told.items()}


PARTS = {part.__name__: part for part in (shapes, half, largest, span, speakers, idle, joins, storm, soak)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--soak", type=float, default=600)
    parser.add_argument("--mode", choices=["v0", "v1"], default="v1", help="for shapes")
    parser.add_argument("--only", help="part of a shape's name, for shapes")
    parser.add_argument("--against", help="another server's address, for shapes")
    parser.add_argument("--against-pid", type=int)
    options = parser.parse_args()
    for name in options.parts or PARTS:
        print(f"\n## {name}: {PARTS[name].__doc__}\n", flush=True)
        PARTS[name](options)


if __name__ == "__main__":
    main()
