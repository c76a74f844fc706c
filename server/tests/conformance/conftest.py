import os
import sys
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

import report
from clients import KINDS, Hosts, Kind
from hall import Hall
from server import Server
from servers import shared_server

STATUS = pytest.StashKey[int]()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with shared_server() as server:
        yield server


@pytest.fixture(scope="session")
async def hosts() -> AsyncIterator[Hosts]:
    hosts = Hosts()
    yield hosts
    await hosts.stop()


@pytest.fixture(params=KINDS, ids=str)
def kind(request: pytest.FixtureRequest) -> Kind:
    """The client under test. Whoever else is in the room runs on the Python SDK."""
    return request.param


@pytest.fixture
async def hall(server: Server, hosts: Hosts) -> AsyncIterator[Hall]:
    hall = Hall(server, hosts, f"hall-{uuid.uuid4().hex[:12]}")
    yield hall
    await hall.close()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # With several workers each has one SDK to itself, so that every browser is started once.
    for item in items:
        kind = item.callspec.params.get("kind") if hasattr(item, "callspec") else None
        item.add_marker(pytest.mark.xdist_group(kind.sdk if kind else "protocol"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    result = yield
    report.describe(item, result)
    return result


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(report.Recorder(), "conformance-recorder")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[STATUS] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    # The native library under the Python SDK now and then aborts the process from its own exit handlers, when all
    # tests are done.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(config.stash.get(STATUS, 3))
