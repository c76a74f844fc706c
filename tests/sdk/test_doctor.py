"""`banter doctor`: a machine that is in order, and each fault planted, as real as can be."""

import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from certificates import Authority
from checkups import Checkup, doctor
from server import PROGRAM, Banter, Server
from wan import Host, Wan

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="networks of one's own need root")

PORT = 7880
PATHS = ["udp4", "udp6", "tcp", "turn-udp", "turn-tcp"]
NTP_EPOCH = 2_208_988_800
"""Seconds from 1900 to 1970."""


@pytest.fixture
def wan() -> Iterator[Wan]:
    with Wan() as wan:
        yield wan


@pytest.fixture
def machine(wan: Wan) -> Host:
    return wan.host("srv")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


def flags(folder: Path) -> list[object]:
    """Of a server on all addresses, with nobody to ask on the internet."""
    return ["--data-dir", folder, "--stun-servers", "off"]


def examine(machine: Host, folder: Path, *more: object, json: bool = True) -> Checkup:
    return doctor(*flags(folder), "--ntp-servers", "off", *more, prefix=machine.prefix, json=json)


def test_a_machine_in_order_before_the_first_start(machine: Host, folder: Path):
    found = examine(machine, folder)
    assert (found.status, found.failing) == (0, []), found.text
    assert [found.result(path) for path in PATHS] == ["ok"] * 5, found.text
    assert found.result("websocket") == "ok"
    assert "certificate of an authority" in found.checks["turn-tls"]["detail"]
    udp = found.checks["udp4"]["measured"]
    assert udp["sent"] == 100 and udp["lost"] == 0 and udp["largest_datagram"] == 1472, udp
    assert not folder.exists(), "it leaves nothing behind"
    assert not list(Path("/tmp").glob("banter-doctor-*"))


def test_a_server_that_runs(machine: Host, folder: Path):
    with running(machine, folder) as server:
        found = examine(machine, folder)
        assert (found.status, found.failing) == (0, []), found.text
        assert [found.result(path) for path in PATHS] == ["ok"] * 5, found.text
        assert f"in use by this server (process {server.process})" in found.checks["ports"]["detail"]


def test_one_port(machine: Host, folder: Path):
    found = examine(machine, folder, "--single-port", PORT)
    assert (found.status, found.failing) == (0, []), found.text
    assert [found.result(path) for path in ["udp4", "udp6", "tcp", "turn-tcp"]] == ["ok"] * 4, found.text
    assert "single port" in found.checks["turn-udp"]["detail"]
    drop(machine, f"udp dport {PORT}")
    found = examine(machine, folder, "--single-port", PORT)
    assert (found.status, found.failing) == (1, ["udp4", "udp6"]), found.text
    assert found.checks["udp4"]["fix"].startswith(f"{PORT}/udp (--single-port): open it"), found.text


def test_closed_udp(machine: Host, folder: Path):
    # The ports of clients on this machine are others.
    machine.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=32768 49999")
    drop(machine, "udp dport 50000-60000")
    with running(machine, folder) as server:
        found = examine(machine, folder)
        assert (found.status, found.failing) == (1, ["udp4", "udp6"]), found.text
        assert "firewall" in found.checks["udp4"]["cause"]
        assert "/udp (--rtc-port-range): open it" in found.checks["udp4"]["fix"], server
        assert [found.result(path) for path in ["tcp", "turn-udp", "turn-tcp"]] == ["ok"] * 3, found.text


def test_closed_tcp(machine: Host, folder: Path):
    drop(machine, "tcp dport 7881")
    found = examine(machine, folder)
    assert (found.status, found.failing) == (1, ["tcp"]), found.text
    assert "7881 does not answer" in found.checks["tcp"]["detail"]
    assert "firewall" in found.checks["tcp"]["cause"]
    assert "7881/tcp (--rtc-tcp-port): open it" in found.checks["tcp"]["fix"]


def test_expired_certificate(machine: Host, folder: Path, tmp_path: Path):
    chain, key = Authority.make(tmp_path).issue("srv", machine.address, until=timedelta(days=-3))
    found = examine(machine, folder, "--tls", "files", "--tls-cert", chain, "--tls-key", key)
    assert found.status == 1 and "certificate" in found.failing, found.text
    assert found.checks["certificate"]["detail"] == "expired 4 days ago"
    assert "renew it" in found.checks["certificate"]["fix"]


def test_certificate_for_another_name(machine: Host, folder: Path, tmp_path: Path):
    chain, key = Authority.make(tmp_path).issue("srv", "192.0.2.1")
    url = f"https://{machine.address}:{PORT}"
    tls = ["--tls", "files", "--tls-cert", chain, "--tls-key", key, "--public-url", url]
    found = examine(machine, folder, *tls)
    assert found.status == 1 and "certificate" in found.failing, found.text
    assert found.checks["certificate"]["detail"] == f"it is not for {machine.address}"


@pytest.mark.parametrize("ahead", [-120, 120])
def test_a_clock_two_minutes_off(machine: Host, folder: Path, ahead: int):
    with time_server(ahead) as port:
        found = doctor(*flags(folder), "--ntp-servers", f"198.51.100.1:{port}", prefix=machine.prefix)
    assert (found.status, found.failing) == (1, ["clock"]), found.text
    side = "behind" if ahead > 0 else "ahead of"
    assert found.checks["clock"]["detail"] == f"120 s {side} 198.51.100.1:{port}"
    assert abs(found.checks["clock"]["measured"]["offset"] - ahead * 1000) < 1000


def test_a_clock_that_is_right(machine: Host, folder: Path):
    with time_server(0) as port:
        asking = ["--ntp-servers", f"198.51.100.1:{port}"]
        found = doctor(*flags(folder), *asking, "--rtc-tcp-port", "off", "--turn-port", "off", prefix=machine.prefix)
    assert found.result("clock") == "ok", found.text


def read_only(machine: Host, folder: Path) -> list[object]:
    """What to put before a command for which a folder is mounted read-only."""
    mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    # `ip netns exec` has mounts of its own already.
    return [*machine.prefix, "sh", "-c", mount, folder]


def test_read_only_data_folder(machine: Host, folder: Path):
    folder.mkdir(mode=0o700)
    found = doctor(*flags(folder), "--ntp-servers", "off", prefix=read_only(machine, folder))
    assert (found.status, found.failing) == (1, ["data_folder"]), found.text
    assert "cannot be written" in found.checks["data_folder"]["detail"]
    assert "mounted read-only" in found.checks["data_folder"]["cause"]
    assert {found.result(path) for path in PATHS} == {"skip"}


def test_data_folder_that_cannot_be_made(machine: Host, folder: Path):
    found = doctor(*flags(folder), "--ntp-servers", "off", prefix=read_only(machine, folder.parent))
    assert (found.status, found.failing) == (1, ["data_folder"]), found.text
    assert "cannot be made" in found.checks["data_folder"]["detail"]


def test_data_folder_of_another_user(machine: Host, folder: Path):
    folder.mkdir(mode=0o755)
    for parent in folder.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o055)
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    found = doctor(*flags(folder), "--ntp-servers", "off", prefix=[*machine.prefix, *nobody])
    assert (found.status, found.failing) == (1, ["data_folder"]), found.text
    assert "another user" in found.checks["data_folder"]["cause"]


def test_busy_port(machine: Host, folder: Path):
    listen = f"import socket, time; s = socket.create_server(('', {PORT})); print('up', flush=True); time.sleep(99)"
    with subprocess.Popen([*machine.prefix, "python3", "-c", listen], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"up\n"
        try:
            found = examine(machine, folder)
            shown = examine(machine, folder, json=False)
        finally:
            holder.kill()
    assert (found.status, found.failing) == (1, ["ports"]), found.text
    assert f"TCP port {PORT} is in use by python3 (process {holder.pid})" in found.checks["ports"]["detail"]
    assert "--port" in found.checks["ports"]["detail"]
    assert {found.result(path) for path in PATHS} == {"skip"}
    lines = shown.text.splitlines()
    assert shown.status == 1
    assert any(line.startswith("FAIL  Ports ") and f"TCP port {PORT} is in use" in line for line in lines), shown.text
    assert any(line.strip().startswith("fix: stop that program") for line in lines), shown.text
    assert lines[-1].startswith("1 check fails, "), shown.text


def test_low_file_limit(machine: Host, folder: Path):
    found = doctor(*flags(folder), "--ntp-servers", "off", prefix=[*machine.prefix, "prlimit", "--nofile=64:64"])
    assert (found.status, found.failing) == (1, ["open_files"]), found.text
    assert found.checks["open_files"]["detail"] == "64 at once, enough for 0 people"
    assert "LimitNOFILE" in found.checks["open_files"]["fix"]
    assert {found.result(path) for path in PATHS} == {"skip"}


def test_low_file_limit_of_a_server_that_runs(machine: Host, folder: Path):
    with running(machine, folder, "prlimit", "--nofile=128:128"):
        found = examine(machine, folder)
        assert (found.status, found.failing) == (1, ["open_files"]), found.text


def test_wrong_public_url(machine: Host, folder: Path):
    found = examine(machine, folder, "--public-url", f"http://198.51.100.77:{PORT}")
    assert (found.status, found.failing) == (1, ["api"]), found.text
    assert "198.51.100.77" in found.checks["api"]["detail"]
    assert found.result("public_url") == "warn" and machine.address in found.checks["public_url"]["detail"]
    assert [found.result(path) for path in PATHS] == ["ok"] * 5, "those are tried at the local address"


def test_wrong_public_ip(wan: Wan, folder: Path):
    """Behind a router whose address is another one, as a STUN server says."""
    machine, router = wan.home("srv", "cone")
    with Banter((stun := wan.host("stun")).address, prefix=stun.prefix, settings={"BANTER_TURN_PORT": "3478"}):
        asking = ["--stun-servers", f"{stun.address}:3478", "--ntp-servers", "off", "--data-dir", folder]
        wrong = doctor(*asking, "--public-ip", "203.0.113.9", prefix=machine.prefix)
        right = doctor(*asking, "--public-ip", router.address, prefix=machine.prefix)
    assert (wrong.status, wrong.failing) == (1, ["public_ip"]), wrong.text
    assert "203.0.113.9 does not lead here" in wrong.checks["public_ip"]["detail"]
    assert router.address in wrong.checks["public_ip"]["detail"]
    assert right.status == 0, right.text


def test_a_server_with_another_api_key(machine: Host, folder: Path):
    with running(machine, folder):
        found = doctor(
            *flags(folder),
            "--ntp-servers",
            "off",
            prefix=[*machine.prefix, "env", "BANTER_API_KEYS=other:secret-that-nobody-knows-of-at-all"],
        )
    assert (found.status, found.failing) == (1, ["api"]), found.text
    assert "another API key" in found.checks["api"]["cause"]


def test_settings_that_make_no_sense_are_no_findings(machine: Host, folder: Path):
    found = examine(machine, folder, "--tls", "files")
    assert found.status == 2
    assert "tls_cert and tls_key" in found.text


@contextmanager
def running(machine: Host, folder: Path, *before: str) -> Iterator[Server]:
    """A server with the settings that `examine` reads as well."""
    command = [*machine.prefix, *before, PROGRAM, "serve", "--data-dir", folder, "--stun-servers", "off"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 20
        while not (folder / "ports.json").exists():
            assert process.poll() is None and time.monotonic() < deadline, "the server does not come up"
            time.sleep(0.05)
        try:
            yield Server(f"{machine.address}:{PORT}", process.pid, folder)
        finally:
            process.terminate()
            process.wait(timeout=20)


def drop(machine: Host, what: str) -> None:
    machine.nft(f"""
        table inet wall {{
            chain arrivals {{ type filter hook input priority filter; {what} drop; }}
        }}
    """)


@contextmanager
def time_server(ahead: int) -> Iterator[int]:
    """Answers NTP questions with a time that is wrong by so many seconds; yields its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("0.0.0.0", 0))

        def serve() -> None:
            while True:
                try:
                    question, client = server.recvfrom(100)
                except OSError:
                    return
                if not question:
                    return
                now = time.time() + ahead + NTP_EPOCH
                stamp = struct.pack("!II", int(now), int(now % 1 * 2**32))
                head = struct.pack("!BBbb12x", 0x24, 2, 0, -20)
                server.sendto(head + stamp + question[40:48] + stamp + stamp, client)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"", ("127.0.0.1", server.getsockname()[1]))
            thread.join()
