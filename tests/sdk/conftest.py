import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlparse

import pytest

from node_participant import NodeParticipant
from participant import Participant, PythonParticipant
from server import Banter, Server

STATUS = pytest.StashKey[int]()
BODIES = {"python": PythonParticipant, "node": NodeParticipant}


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    if url := os.environ.get("BANTER_TEST_SERVER_URL"):
        yield Server(urlparse(url).netloc)
    else:
        with Banter() as server:
            yield server


@pytest.fixture
def banter(server: Server) -> Server:
    """The server, where a test needs what only banter has."""
    if not server.is_banter:
        pytest.skip("needs banter's own API")
    return server


class Gathering:
    """One test's room and everybody who has entered it."""

    def __init__(self, server: Server, room: str) -> None:
        self.server = server
        self.room = room
        self.everybody: list[Participant] = []

    async def join(self, identity: str, body: str = "python", single: bool = True, **options) -> Participant:
        participant = await BODIES[body].join(self.server, self.room, identity, single, **options)
        self.everybody.append(participant)
        return participant


@pytest.fixture
async def gathering(server: Server) -> AsyncIterator[Gathering]:
    gathering = Gathering(server, f"test-{uuid.uuid4().hex[:12]}")
    yield gathering
    # One who cannot leave any more must not keep the others from it.
    left = await asyncio.gather(*(one.leave() for one in gathering.everybody), return_exceptions=True)
    failures = [result for result in left if isinstance(result, Exception)]
    if failures:
        raise ExceptionGroup("not everybody could leave", failures)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[STATUS] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    # The native library under the Python SDK now and then aborts the process from its own exit handlers, when all
    # tests are done.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(config.stash.get(STATUS, 3))
