"""The connection test that the server prepares: any LiveKit client tries a path by hearing itself."""

import json
import os
from collections.abc import Iterator

import pytest

from participant import PythonParticipant, until_hears
from server import Banter, Server
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
def server() -> Iterator[Server]:
    with Wan() as wan:
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
    # Each person has a few tests in a row only.
    member = server.add_user(f"{path}-{'single' if single else 'dual'}", "member")
    status, test = server.request("POST", "/api/voice/connection-test", bearer=member)
    assert status == 200, test
    before = len(server.log.read_text())
    tokens = next(offered for offered in test["paths"] if offered["path"] == path)
    sender = await PythonParticipant.join(server, "", "sender", single, tokens["sender"])
    receiver = await PythonParticipant.join(server, "", "receiver", single, tokens["receiver"])
    try:
        await sender.speak(HZ)
        await until_hears(receiver, "sender", HZ)
        seen = travelled(server, before)
        assert seen and seen <= TRAVEL[path], server.log.read_text()[-4000:]
    finally:
        await sender.leave()
        await receiver.leave()


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


def travelled(server: Server, since: int) -> set[tuple[str, int]]:
    """By what media has travelled, as the log says from one place on."""
    lines = [json.loads(line) for line in server.log.read_text()[since:].splitlines() if line.startswith("{")]
    return {(line["transport"], line["family"]) for line in lines if line["message"] == "media path"}
