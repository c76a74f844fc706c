"""The server that the tests talk to: a banter of their own, or one named by BANTER_TEST_SERVER_URL.

Any server that speaks the LiveKit protocol can be named there (key `devkey`, secret `secret`), which is how
the tests themselves are checked: what they demand of banter, LiveKit's own server must give as well.
"""

import json
import os
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.error import HTTPError, URLError

from livekit import api

PROJECT = Path(__file__).resolve().parents[2]
PASSWORD = "correct horse battery"
PROGRAM = Path(os.environ.get("BANTER_PROGRAM", PROJECT / "target/debug/banter"))


@dataclass(frozen=True)
class Server:
    """Where a running server listens, and the key pair that signs tokens for it."""

    host: str
    process: int | None = None
    """Process id, for a banter that these tests have started."""
    data_dir: Path | None = None
    log: Path | None = None
    api_key: str = "devkey"
    api_secret: str = "secret"

    @property
    def ws_url(self) -> str:
        return f"ws://{self.host}"

    @property
    def port(self) -> int:
        """Of signalling."""
        return int(self.host.rpartition(":")[2])

    @property
    def is_banter(self) -> bool:
        return self.process is not None

    def token(self, room: str, identity: str, *, ttl: timedelta = timedelta(hours=1), **grants) -> str:
        """An access token to join `room`; `grants` change the video grant's fields."""
        video = api.VideoGrants(**{"room_join": True, "room": room, **grants})
        token = api.AccessToken(self.api_key, self.api_secret).with_identity(identity).with_name(identity)
        return token.with_grants(video).with_ttl(ttl).to_jwt()

    def request(self, method: str, path: str, body: object = None, bearer: str | None = None) -> tuple[int, dict]:
        """Calls the REST API; answers the status and the decoded body, errors included."""
        headers = {"Content-Type": "application/json"}
        if bearer:
            headers["Authorization"] = f"Bearer {bearer}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self.host}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.loads(answer.read() or "{}")
        except HTTPError as error:
            return error.code, json.loads(error.read() or "{}")

    def add_user(self, name: str, role: str, password: str = PASSWORD) -> str:
        """Makes an account with the program itself, as an operator would, and answers a session token."""
        command = [PROGRAM, "user", "add", name, "--role", role, "--password-stdin", "--data-dir", self.data_dir]
        subprocess.run(command, input=password + "\n", text=True, check=True, capture_output=True)
        return self.log_in(name, password)

    def log_in(self, name: str, password: str = PASSWORD) -> str:
        status, answer = self.request("POST", "/api/auth/login", {"username": name, "password": password})
        assert status == 200, answer
        return answer["token"]


@dataclass(frozen=True)
class Usage:
    """What a process has used of the machine."""

    cpu_seconds: float
    resident_bytes: int
    peak_resident_bytes: int

    @classmethod
    def of(cls, process: int) -> "Usage":
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])  # utime and stime, proc(5)
        status = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
        resident, peak = (int(status[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
        return cls(ticks / os.sysconf("SC_CLK_TCK"), resident, peak)


class Banter:
    """A banter of the tests' own, on free ports of `address`; stops at the end of the `with` block.

    Its data folder is `data_dir`, or an empty one that goes away with it. `settings` are environment variables,
    `livekit_config` has keys of LiveKit's `config.yaml`, besides what the flags say. `port` and `rtc_tcp_port` are free
    ones where none is given; with `single_port` the former is that of everything. `prefix` comes before the command.
    `reached_at` is the address that others use, if it is another.
    """

    def __init__(
        self,
        address: str = "127.0.0.1",
        data_dir: Path | None = None,
        settings: dict[str, str] | None = None,
        livekit_config: dict | None = None,
        port: int = 0,
        rtc_tcp_port: int = 0,
        prefix: Sequence[str] = (),
        reached_at: str | None = None,
        single_port: bool = False,
    ) -> None:
        self._settings = settings or {}
        reached_at = reached_at or address
        self._host = f"[{reached_at}]" if ":" in reached_at else reached_at
        self._address = address
        self._data_dir = data_dir
        self._livekit_config = livekit_config
        several = ["--port", str(port), "--rtc-tcp-port", str(rtc_tcp_port)]
        self._ports = ["--single-port", str(port)] if single_port else several
        self._prefix = prefix

    def __enter__(self) -> Server:
        self._folder = tempfile.TemporaryDirectory(prefix="banter-test-")
        data_dir = self._data_dir or Path(self._folder.name) / "data"
        self._log = Path(self._folder.name) / "log"
        command = [*self._prefix, PROGRAM, "serve", "--dev", "--bind", self._address, "--data-dir", data_dir]
        command += self._ports
        environment = {**os.environ, **self._settings}
        if self._livekit_config:
            config = Path(self._folder.name) / "livekit.yaml"
            config.write_text(json.dumps(self._livekit_config))  # JSON is YAML
            command += ["--livekit-config", config]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment)
        port = self._wait_for_port(data_dir / "ports.json")
        return Server(f"{self._host}:{port}", self._process.pid, data_dir, self._log)

    def terminate(self) -> None:
        """Asks it to stop, as a supervisor does."""
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it without a chance to say so to anybody."""
        self._process.kill()
        self._process.wait()

    def __exit__(self, *_) -> None:
        if self._process.poll() == -signal.SIGKILL:
            self._folder.cleanup()
            return
        self.terminate()
        try:
            status = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise AssertionError(f"banter did not stop within 10 s of SIGTERM\n{self._last_words()}") from None
        log = self._log.read_text(errors="replace")
        assert status == 0, f"banter ended with status {status}\n{self._last_words()}"
        assert "panicked" not in log, f"banter panicked\n{self._last_words()}"
        self._folder.cleanup()

    def _wait_for_port(self, ports: Path) -> int:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise AssertionError(f"banter ended with status {self._process.returncode}\n{self._last_words()}")
            try:
                content = json.loads(ports.read_text())
                # A folder that was in use before holds the file of the earlier run.
                assert content["pid"] == self._process.pid
                port = content["http"]
                with urllib.request.urlopen(f"http://{self._host}:{port}/readyz", timeout=2):
                    return port
            except (AssertionError, json.JSONDecodeError, URLError, OSError):
                time.sleep(0.05)
        self._process.kill()
        raise AssertionError(f"banter was not ready within 20 s\n{self._last_words()}")

    def _last_words(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-40:])
