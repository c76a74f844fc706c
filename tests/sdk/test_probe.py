"""`banter probe`: the paths from a client's network, as they are."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from certificates import Authority
from checkups import probe
from server import PASSWORD, Banter
from wan import Host, Wan

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="networks of one's own need root")

TURN = {"BANTER_TURN_PORT": "3478"}


@pytest.fixture
def wan() -> Iterator[Wan]:
    with Wan() as wan:
        yield wan


def server_on(machine: Host, single_port: bool = False, **settings: str) -> Banter:
    settings = settings if single_port else {**TURN, **settings}
    at = machine.address
    return Banter("::", prefix=machine.prefix, reached_at=at, settings=settings, single_port=single_port)


@pytest.mark.parametrize("single_port", [False, True], ids=["many ports", "one port"])
def test_every_path_with_a_certificate_of_an_authority(wan: Wan, tmp_path: Path, single_port: bool):
    machine, far = wan.host("srv"), wan.host("far")
    authority = Authority.make(tmp_path)
    chain, key = authority.issue("srv", machine.address)
    tls = {"BANTER_TLS": "files", "BANTER_TLS_CERT": str(chain), "BANTER_TLS_KEY": str(key)}
    if not single_port:
        tls |= {"BANTER_TURN_TLS_PORT": "5349"}
    with server_on(machine, single_port, **tls) as server:
        url, secret = f"https://{server.host}", {"BANTER_API_SECRET": "secret"}
        believing = {**secret, "SSL_CERT_FILE": str(authority.certificate)}
        found = probe(url, "--api-key", "devkey", prefix=far.prefix, **believing)
        assert (found.status, found.failing) == (0, []), found.text
        paths = ["websocket", "udp4", "udp6", "tcp", "turn-tcp", "turn-tls", *([] if single_port else ["turn-udp"])]
        assert {path: found.result(path) for path in paths} == dict.fromkeys(paths, "ok"), found.text
        for path in paths[1:]:
            assert found.checks[path]["measured"]["lost"] == 0, found.text

        doubting = probe(url, "--api-key", "devkey", prefix=far.prefix, **secret)
        assert (doubting.status, doubting.failing) == (1, ["api"]), doubting.text
        assert "vouches for the certificate" in doubting.checks["api"]["cause"]
        assert doubting.result("udp4") == "skip"


def test_behind_a_router_that_lets_no_udp_through(wan: Wan):
    home, router = wan.home("far", "symmetric")
    router.forbid("ip protocol udp")
    with server_on(wan.host("srv")) as server:
        found = probe(f"http://{server.host}", prefix=home.prefix)
        assert (found.status, found.failing) == (1, ["udp4", "turn-udp"]), found.text
        assert found.checks["udp4"]["detail"] == "no answer to any ICE check"
        assert "UDP to the media ports is dropped" in found.checks["udp4"]["cause"]
        assert "UDP to the TURN port is dropped" in found.checks["turn-udp"]["cause"]
        assert [found.result(path) for path in ("tcp", "turn-tcp", "websocket")] == ["ok"] * 3, found.text
        assert found.result("udp6") == "skip", "this network has no IPv6"

        shown = probe(f"http://{server.host}", "--paths", "udp4,tcp", prefix=home.prefix, json=False)
        lines = shown.text.splitlines()
        assert any(line.startswith("FAIL  UDP over IPv4 ") for line in lines), shown.text
        assert any(line.startswith("ok    TCP ") and "0 % lost of 100" in line for line in lines), shown.text
        assert lines[-1].startswith("1 check fails, "), shown.text


def test_a_network_with_ipv6_and_no_way_out_by_it(wan: Wan):
    home, _ = wan.home("far", "cone")
    home.ip("address", "add", "fd00:77::2/64", "dev", "eth0", "nodad")
    with server_on(wan.host("srv")) as server:
        found = probe(f"http://{server.host}", "--paths", "udp4,udp6", prefix=home.prefix)
        assert (found.status, found.failing) == (0, []), found.text
        assert found.result("udp6") == "skip" and "no way" in found.checks["udp6"]["detail"], found.text


@pytest.mark.parametrize("nat", ["cone", "symmetric"])
def test_behind_nat(wan: Wan, nat: str):
    home, _ = wan.home("far", nat)
    with server_on(wan.host("srv")) as server:
        found = probe(f"http://{server.host}", prefix=home.prefix)
        assert (found.status, found.failing) == (0, []), found.text
        assert [found.result(path) for path in ("udp4", "tcp", "turn-udp", "turn-tcp")] == ["ok"] * 4, found.text


def test_five_percent_of_loss_is_measured(wan: Wan):
    home, router = wan.home("far", "cone")
    router.forbid("ip protocol udp numgen inc mod 20 19")
    with server_on(wan.host("srv")) as server:
        found = probe(f"http://{server.host}", "--paths", "udp4", prefix=home.prefix)
        # Whoever speaks and whoever hears sit behind the same router: each packet passes it twice.
        loss = found.checks["udp4"]["measured"]["loss_percent"]
        assert 5 <= loss <= 15, found.text
        assert (found.status, found.result("udp4")) == (0, "warn"), found.text
        assert "loses packets" in found.checks["udp4"]["cause"]


def test_a_small_mtu_is_told(wan: Wan):
    home, router = wan.home("far", "cone")
    router.ip("link", "set", "lan0", "mtu", "1300")
    home.ip("link", "set", "eth0", "mtu", "1300")
    with server_on(wan.host("srv")) as server:
        found = probe(f"http://{server.host}", "--paths", "udp4", prefix=home.prefix)
        assert found.checks["udp4"]["measured"]["largest_datagram"] == 1232, found.text


def test_as_a_member_and_by_the_fingerprint(wan: Wan):
    machine, far = wan.host("srv"), wan.host("far")
    with server_on(machine) as server:
        session = server.add_user("ann", "member")
        url, brief = f"https://{server.host}", ("--paths", "tcp")
        shown = next(line for line in server.log.read_text().splitlines() if "SHA-256" in line)
        fingerprint = shown.strip("│ ").split()[-1]
        pinned = ("--fingerprint", fingerprint)
        found = probe(url, "--user", "ann", *pinned, *brief, prefix=far.prefix, BANTER_PASSWORD=PASSWORD)
        assert (found.status, found.result("tcp")) == (0, "ok"), found.text
        found = probe(url, "--insecure", *brief, prefix=far.prefix, BANTER_TOKEN=session)
        assert (found.status, found.result("tcp")) == (0, "ok"), found.text
        other = ("--fingerprint", fingerprint[-2:] + fingerprint[2:])
        found = probe(url, "--user", "ann", *other, *brief, prefix=far.prefix, BANTER_PASSWORD=PASSWORD)
        assert (found.status, found.failing) == (1, ["api"]), found.text
        refused = probe(url, "--user", "ann", *pinned, *brief, prefix=far.prefix, BANTER_PASSWORD="not it at all")
        assert refused.status == 2, refused.text
        assert "does not prepare a test" in refused.text


def test_nobody_there(wan: Wan):
    found = probe("http://198.51.100.99:7880", prefix=wan.host("far").prefix)
    assert (found.status, found.failing) == (1, ["api"]), found.text
    assert "banter doctor" in found.checks["api"]["fix"]
