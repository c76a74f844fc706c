"""The program as a whole: how it ends, what outlives it, and which addresses it serves."""

from pathlib import Path

import pytest

from participant import PythonParticipant, until_hears, until_noticed
from server import Banter, Server


@pytest.fixture(autouse=True)
def _needs_banter(banter: Server) -> None:
    """Every test here is about the program itself."""


@pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])
async def test_a_stop_ends_calls_with_its_reason(single):
    program = Banter()
    with program as server:
        alice = await PythonParticipant.join(server, "hall", "alice", single)
        program.terminate()
        await until_noticed(alice, "disconnected", "SERVER_SHUTDOWN", within=5)
        await alice.leave()


async def test_deleting_a_channel_ends_its_calls_with_the_reason(banter: Server):
    owner = banter.add_user("delete-owner", "owner")
    _, channel = banter.request("POST", "/api/voice/channels", {"name": "Short-lived"}, owner)
    alice = await PythonParticipant.join(banter, channel["id"], "alice")
    status, _ = banter.request("DELETE", f"/api/voice/channels/{channel['id']}", bearer=owner)
    assert status == 204
    await until_noticed(alice, "disconnected", "ROOM_DELETED", within=5)
    await alice.leave()


@pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])
async def test_a_tone_arrives_where_there_is_only_ipv6(single):
    with Banter("::1") as server:
        alice = await PythonParticipant.join(server, "hall", "alice", single)
        bob = await PythonParticipant.join(server, "hall", "bob", single)
        await alice.speak(440)
        await until_hears(bob, "alice", 440)
        for participant in (alice, bob):
            await participant.leave()


def test_accounts_sessions_and_channels_outlive_a_restart(tmp_path: Path):
    with Banter(data_dir=tmp_path / "data") as server:
        session = server.add_user("keeper", "owner")
        _, channel = server.request("POST", "/api/voice/channels", {"name": "Kept"}, session)
    with Banter(data_dir=tmp_path / "data") as server:
        status, channels = server.request("GET", "/api/voice/channels", bearer=session)
        assert status == 200 and [one["id"] for one in channels] == [channel["id"]], channels
        assert server.log_in("keeper")
