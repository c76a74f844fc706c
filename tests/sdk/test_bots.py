"""The load harness against a Banter, by each way: what it counts is true, and it is told in every form."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from server import PROGRAM, Banter, Server

HARNESS = Path(os.environ.get("BANTER_LOAD_PROGRAM", PROGRAM.with_name("banter-load")))
SECONDS = 2


@pytest.fixture(scope="module")
def server():
    if os.environ.get("BANTER_TEST_SERVER_URL"):
        pytest.skip("its processor time is read")
    with Banter(settings={"BANTER_TURN_PORT": "0"}) as server:
        yield server


def measure(server: Server, folder: Path, *flags: str, settle: int = 1) -> tuple[dict, str]:
    """Two rooms of two who talk and two who listen; answers the run as JSON and what was printed."""
    command = [HARNESS, "--url", server.ws_url, "--server-pid", str(server.process), "--json", folder / "load.json"]
    command += ["--rooms", "2", "--publishers", "2", "--subscribers", "2", "--duration", str(SECONDS)]
    command += ["--settle", str(settle), *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads((folder / "load.json").read_text())
    assert document["arguments"]["publishers"] == 2 and "api_secret" not in document["arguments"]
    (run,) = document["runs"]
    return run, done.stdout


def check(run: dict, told: str) -> None:
    assert run["failed"] == 0 and run["bots"] == 8, told
    assert run["packets_out"] == run["packets_expected"] == run["packets_in"] * 3, told
    assert (run["lost"], run["missing"], run["duplicated"]) == (0, 0, 0), told
    assert 0 < run["latency"]["p50"] <= run["latency"]["max"], told


@pytest.mark.parametrize("mode", ["v0", "v1"])
def test_every_packet_is_counted_once(server, tmp_path, mode):
    page = tmp_path / "load.html"
    run, told = measure(server, tmp_path, "--mode", mode, "--steady", "--html", str(page))
    check(run, told)
    # Four microphones without pauses.
    assert abs(run["packets_in"] - 4 * 50 * SECONDS) <= 4, told
    assert run["server"]["resident"] > 0 and run["bare"]["ratio"] > 0, told
    assert len(run["series"]) >= SECONDS and all(moment["packets_per_second"] > 0 for moment in run["series"][:SECONDS])
    assert "0.000 % did not come" in told and "times that of bare sendmmsg" in told
    html = page.read_text()
    assert html.count("<svg") >= 5 and "Added delay" in html
    assert not re.search(r"<script|https?://", html), "it is to stand alone"


@pytest.mark.parametrize("flags", [["--tcp"], ["--turn"], ["--red"], ["--sample", "0", "--threads", "2"]], ids=" ".join)
def test_nothing_is_lost_by_any_way(server, tmp_path, flags):
    run, told = measure(server, tmp_path, *flags, "--mode", "v1")
    if flags[0] == "--sample":
        assert run["sampled"] == 0, told
    check(run, told)


def test_what_the_network_loses_is_repaired(server, tmp_path):
    # Two reports, and who misses packets is sent RED.
    run, told = measure(server, tmp_path, "--loss", "10", "--red", "--steady", settle=6)
    # A tenth each way would be a fifth.
    assert run["failed"] == 0 and run["lost"] < 0.05, told
    assert run["recovered"] + run["reordered"] > 0, told


def test_who_comes_and_goes_is_no_loss(server, tmp_path):
    run, told = measure(server, tmp_path, "--churn", "4", "--steady")
    # Four of the eight are visitors; what they hear is not counted.
    assert run["failed"] == 0 and run["returns"] >= SECONDS, told
    assert run["packets_out"] == run["packets_expected"] == run["packets_in"], told
