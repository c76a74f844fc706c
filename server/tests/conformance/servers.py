"""The servers that the suite runs against, and how to start one with a configuration of one's own.

By default banter; BANTER_TEST_LIVEKIT names a LiveKit server's binary to be started in its place, and
BANTER_TEST_SERVER_URL a server that is there already (then cases that need a configuration of their own are skipped).
"""

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlparse

import pytest

from server import Banter, Server

LIVEKIT = os.environ.get("BANTER_TEST_LIVEKIT")
ELSEWHERE = os.environ.get("BANTER_TEST_SERVER_URL")
IS_BANTER = not LIVEKIT and not ELSEWHERE


@contextmanager
def shared_server() -> Iterator[Server]:
    """The server that most cases share."""
    if ELSEWHERE:
        yield Server(urlparse(ELSEWHERE).netloc)
    elif LIVEKIT:
        with LiveKit({}) as server:
            yield server
    else:
        with Banter() as server:
            yield server


def own_server(config: dict) -> "LiveKit | Banter":
    """A server for one case alone, with keys of LiveKit's `config.yaml` (JSON is YAML)."""
    if ELSEWHERE:
        pytest.skip("needs a server of its own")
    return LiveKit(config) if LIVEKIT else Banter(livekit_config=config)


class LiveKit:
    """LiveKit's own server on free ports of 127.0.0.1, until the end of the `with` block."""

    def __init__(self, config: dict) -> None:
        self._config = config

    def __enter__(self) -> Server:
        self._folder = tempfile.TemporaryDirectory(prefix="banter-test-")
        port, tcp, udp = _free_ports(3)
        rtc = {"tcp_port": tcp, "udp_port": udp, "node_ip": "127.0.0.1", "enable_loopback_candidate": True}
        path = Path(self._folder.name) / "config.yaml"
        path.write_text(json.dumps({"port": port, "rtc": rtc, "keys": {"devkey": "secret"}, **self._config}))
        command = [LIVEKIT, "--config", path, "--dev", "--bind", "127.0.0.1"]
        with (Path(self._folder.name) / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        server = Server(f"127.0.0.1:{port}")
        _wait_until_it_answers(server)
        return server

    def terminate(self) -> None:
        # Asked once it waits until everybody has left, asked twice it does not.
        self._process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        self._process.send_signal(signal.SIGTERM)

    def __exit__(self, *_) -> None:
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _wait_until_it_answers(server: Server) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(f"http://{server.host}/", timeout=2):
                return
        except OSError as error:
            if time.monotonic() > deadline:
                raise AssertionError(f"no answer from {server.host} within 20 s") from error
            time.sleep(0.05)
