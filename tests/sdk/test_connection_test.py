"""The connection test that the server prepares: any LiveKit client tries a path by hearing itself."""

import asyncio
import base64
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from participant import PythonParticipant, until_hears
from piped import Host, PipedParticipant
from server import Banter, Server
from tone import WINDOW, strongest
from wan import Wan

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="networks of one's own need root")

HZ = 550
TRAVEL = {
    "udp4": {("udp", 4)},
    "udp6": {("udp", 6)},
    "tcp": {("tcp", 4), ("tcp", 6)},
    "turn-udp": {("relay-udp", 4)},
    "turn-tcp": {("relay-tcp", 4)},
}
"""What the server may say of the media of each path."""


@pytest.fixture(scope="module")
def wan() -> Iterator[Wan]:
    with Wan() as wan:
        yield wan


@pytest.fixture(scope="module")
def server(wan: Wan) -> Iterator[Server]:
    machine = wan.host("srv")
    settings = {"BANTER_TURN_PORT": "3478", "BANTER_LOG": "info,banter_sfu=debug"}
    with Banter("::", prefix=machine.prefix, reached_at=machine.address, settings=settings) as server:
        yield server


@pytest.fixture(scope="module")
def prepared(server: Server) -> dict[str, dict]:
    ann = server.add_user("ann", "member")
    status, test = server.request("POST", "/api/voice/connection-test", bearer=ann)
    assert status == 200, test
    assert test["wsUrl"] == f"ws://{server.host}"
    return {path["path"]: path for path in test["paths"]}


def test_every_path_that_is_open_is_offered(prepared: dict[str, dict]):
    assert list(prepared) == list(TRAVEL)


@pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])
@pytest.mark.parametrize("path", TRAVEL)
async def test_a_client_hears_itself_by_one_path(server: Server, path: str, single: bool):
    tokens = tokens_for(server, path, f"{path}-{'single' if single else 'dual'}")
    sender = await PythonParticipant.join(server, "", "sender", single, tokens["sender"])
    receiver = await PythonParticipant.join(server, "", "receiver", single, tokens["receiver"])
    try:
        await sender.speak(HZ)
        await until_hears(receiver, "sender", HZ)
        check_travel(server, path)
    finally:
        await sender.leave()
        await receiver.leave()


@pytest.mark.parametrize("name", ["chromium", "firefox"])
@pytest.mark.parametrize("path", TRAVEL)
async def test_a_browser_hears_itself_by_one_path(wan: Wan, server: Server, path: str, name: str):
    tokens = tokens_for(server, path, f"{path}-{name}")
    machine = wan.host(f"{path}-{name[0]}")
    # A browser without a microphone names only the address by which it would reach the internet.
    for family in ("-4", "-6"):
        machine.ip(family, "route", "add", "default", "dev", "eth0")
    browser = await Host.start(Path("tests/browser/participants.mjs"), name, prefix=machine.prefix)
    try:
        sender, receiver = (PipedParticipant(browser, name) for name in ("sender", "receiver"))
        for person in (sender, receiver):
            token = tokens[person.identity]
            await person.ask("join", url=server.ws_url, token=token, single=True, autoSubscribe=True)
        await sender.speak(HZ)
        deadline = time.monotonic() + 20
        while not heard(await receiver.ask("hear", who="sender")):
            assert time.monotonic() < deadline, f"nothing is heard; told {receiver.notices}"
            await asyncio.sleep(0.1)
        check_travel(server, path)
    finally:
        await browser.stop()


async def test_nobody_else_sees_a_test(server: Server, prepared: dict[str, dict]):
    receiver = await PythonParticipant.join(server, "", "receiver", True, prepared["tcp"]["receiver"])
    try:
        status, listed = server.request("POST", "/twirp/livekit.RoomService/ListRooms", {}, operator(server))
        assert status == 200 and listed["rooms"] == [], listed
    finally:
        await receiver.leave()


def test_the_api_key_has_tests_too(server: Server):
    status, test = server.request("POST", "/api/voice/connection-test", bearer=operator(server))
    assert (status, [path["path"] for path in test["paths"]]) == (200, list(TRAVEL))


def test_who_is_not_signed_in_has_none(server: Server):
    status, answer = server.request("POST", "/api/voice/connection-test")
    assert (status, answer["error"]["code"]) == (401, "unauthorized")
    status, _ = server.request("POST", "/api/voice/connection-test", bearer=server.token("a-room", "ann"))
    assert status == 401, "a token for a room is none for tests"


def operator(server: Server) -> str:
    """A token of the API key that may create and list rooms."""
    return server.token("", "operator", room_join=False, room_create=True, room_list=True)


def tokens_for(server: Server, path: str, name: str) -> dict:
    """Tokens for a member of that name: each person has a few tests in a row only."""
    status, test = server.request("POST", "/api/voice/connection-test", bearer=server.add_user(name, "member"))
    assert status == 200, test
    return next(offered for offered in test["paths"] if offered["path"] == path)


def heard(samples: str) -> bool:
    """Whether the newest half second that a browser has heard is the tone."""
    sound = np.frombuffer(base64.b64decode(samples), dtype=np.int16) / 32768
    tone = strongest(sound[-WINDOW:]) if len(sound) >= WINDOW else None
    return tone is not None and abs(tone.hz - HZ) <= 5 and tone.rms > 0.05


def check_travel(server: Server, path: str) -> None:
    """Media in rooms for this path has travelled by it only, as the log says."""
    room = re.compile(rf'"connection-test-[\w-]{{22}}-{path}"')
    said = [line for line in server.log.read_text().splitlines() if room.search(line)]
    seen = {(line["transport"], line["family"]) for line in map(json.loads, said) if line["message"] == "media path"}
    assert seen and seen <= TRAVEL[path], said
