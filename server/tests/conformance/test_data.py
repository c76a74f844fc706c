"""Data"""

import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import wire
from administrators import PythonAdministrator
from clients import Client, Kind, NodeClient, start_host
from hall import Hall, noticed, until, until_snapshot, until_told
from proxy import Proxy

BIG = 15_000
"""Bytes of a message that goes into many SCTP chunks."""

HUGE = 200_000
"""Bytes that need more than one packet of a stream."""


@pytest.mark.parametrize("reliable", [True, False], ids=["reliable", "lossy"])
async def test_data_is_sent(hall: Hall, kind: Kind, reliable: bool):
    """Data is sent to everybody, with its topic and its sender, and not back"""
    alice, bob, carol = [await hall.enter("alice", kind), await hall.enter("bob"), await hall.enter("carol")]
    await until_all_see_all(alice, bob, carol)
    await alice.publish_data(b"hello", reliable=reliable, topic="greeting")
    for other in (bob, carol):
        await until_told(other, "data", "alice", detail={"payload": b"hello", "topic": "greeting"})
    assert not noticed(alice, "data")


@pytest.mark.parametrize("reliable", [True, False], ids=["reliable", "lossy"])
async def test_data_is_received(hall: Hall, kind: Kind, reliable: bool):
    """Data is received, with its topic and its sender"""
    alice, bob = await hall.enter("alice", kind), await hall.enter("bob")
    await until_all_see_all(alice, bob)
    await bob.publish_data(b"hello", reliable=reliable, topic="greeting")
    await until_told(alice, "data", "bob", detail={"payload": b"hello", "topic": "greeting"})


async def test_data_has_destinations(hall: Hall, kind: Kind):
    """Data with destinations reaches nobody else"""
    alice, bob, carol = [await hall.enter("alice", kind), await hall.enter("bob"), await hall.enter("carol", kind)]
    await until_all_see_all(alice, bob, carol)
    await alice.publish_data(b"for bob", to=("bob",))
    await bob.publish_data(b"for carol", to=("carol",))
    await alice.publish_data(b"for all")
    await bob.publish_data(b"for all")
    await until_payloads(bob, "alice", [b"for bob", b"for all"])
    await until_payloads(carol, "alice", [b"for all"])
    await until_payloads(carol, "bob", [b"for carol", b"for all"])
    await until_payloads(alice, "bob", [b"for all"])


async def test_data_keeps_order(hall: Hall, kind: Kind):
    """Reliable data arrives complete and in order, both ways"""
    alice, bob = await hall.enter("alice", kind), await hall.enter("bob")
    await until_all_see_all(alice, bob)
    payloads = [str(number).encode() * 500 for number in range(100)]
    for payload in payloads:
        await alice.publish_data(payload)
        await bob.publish_data(payload)
    await until_payloads(bob, "alice", payloads)
    await until_payloads(alice, "bob", payloads)


async def test_big_data(hall: Hall, kind: Kind):
    """A big message arrives in one piece, both ways"""
    alice, bob = await hall.enter("alice", kind), await hall.enter("bob")
    await until_all_see_all(alice, bob)
    payload = bytes(range(250)) * (BIG // 250)
    await alice.publish_data(payload)
    await until_payloads(bob, "alice", [payload])
    await bob.publish_data(payload)
    await until_payloads(alice, "bob", [payload])


async def test_oversized_data(hall: Hall, kind: Kind):
    """A message above the limit is refused, and smaller ones still pass"""
    alice, bob = await hall.enter("alice", kind), await hall.enter("bob")
    await until_all_see_all(alice, bob)
    with pytest.raises(Exception):  # noqa: B017 - every SDK has its own
        await alice.publish_data(bytes(300_000))
    await alice.publish_data(b"small")
    await until_payloads(bob, "alice", [b"small"])


async def test_data_not_allowed(hall: Hall, kind: Kind):
    """Without canPublishData nothing reaches others, and what others send is received"""
    alice = await hall.enter("alice", kind, can_publish_data=False)
    bob, carol = await hall.enter("bob"), await hall.enter("carol")
    await until_all_see_all(alice, bob, carol)
    await sent_or_refused(alice, b"not allowed")
    await bob.publish_data(b"for all")
    await until_payloads(alice, "bob", [b"for all"])
    await carol.publish_data(b"the end")
    await until_payloads(bob, "carol", [b"the end"])
    assert not noticed(bob, "data", "alice")


async def test_data_from_the_server(hall: Hall, kind: Kind):
    """Data from the server API is received without a sender, by whom it is for"""
    alice, bob = await hall.enter("alice", kind), await hall.enter("bob")
    await until_all_see_all(alice, bob)
    administrator = PythonAdministrator(hall.server)
    await administrator.send_data(hall.room, b"for bob", topic="news", to=("bob",))
    await administrator.send_data(hall.room, b"for all", topic="news")
    await until_payloads(bob, "", [b"for bob", b"for all"])
    await until_told(alice, "data", "", detail={"payload": b"for all", "topic": "news"})
    assert len(noticed(alice, "data")) == 1


@pytest.mark.timeout(240)
async def test_data_survives_a_resume(hall: Hall, kind: Kind):
    """Reliable data that is sent while signalling is away arrives once and in order"""
    bob = await hall.enter("bob")
    async with Proxy.before(hall.server) as proxy:
        alice = await hall.enter("alice", kind, url=proxy.url)
        await until_all_see_all(alice, bob)
        payloads = [str(number).encode() for number in range(30)]
        for payload in payloads[:10]:
            await alice.publish_data(payload)
        proxy.blink()
        for payload in payloads[10:20]:
            await alice.publish_data(payload)
        await until_told(alice, "reconnected", within=30)
        for payload in payloads[20:]:
            await alice.publish_data(payload)
        await until_payloads(bob, "alice", payloads)
        await alice.leave()


async def test_slow_subscriber(hall: Hall, kind: Kind):
    """A participant who takes nothing holds up nobody else"""
    alice, bob = await hall.enter("alice", kind), await hall.enter("bob")
    async with node_apart(hall, "slow") as (slow, process):
        await until_all_see_all(alice, bob, slow)
        os.kill(process, signal.SIGSTOP)
        try:
            payloads = [str(number).encode() * 3000 for number in range(100, 200)]
            for payload in payloads:
                await alice.publish_data(payload)
            await until_payloads(bob, "alice", payloads)
        finally:
            os.kill(process, signal.SIGCONT)


@pytest.mark.parametrize("size", [12, HUGE], ids=["short", "long"])
async def test_text_streams(hall: Hall, kind: Kind, size: int):
    """Text streams arrive whole, both ways"""
    alice, bob = await hall.enter("alice", kind), await hall.enter("bob")
    await until_all_see_all(alice, bob)
    text = ("Grüße, 你好! " * size)[:size]
    for sender, receiver in ((alice, bob), (bob, alice)):
        await receiver.take_streams("letters")
        await sender.send_text(text, "letters", to=(receiver.identity,))
        await until_told(receiver, "text", sender.identity, detail={"topic": "letters", "text": text}, within=30)


@pytest.mark.parametrize("size", [12, HUGE], ids=["short", "long"])
async def test_byte_streams(hall: Hall, kind: Kind, size: int):
    """Byte streams arrive whole, both ways"""
    alice, bob = await hall.enter("alice", kind), await hall.enter("bob")
    await until_all_see_all(alice, bob)
    payload = bytes(number * number % 251 for number in range(size))
    for sender, receiver in ((alice, bob), (bob, alice)):
        await receiver.take_streams("files")
        await sender.send_bytes(payload, "files")
        await until_told(receiver, "bytes", sender.identity, detail={"topic": "files", "payload": payload}, within=30)


async def test_chat(hall: Hall, kind: Kind):
    """Chat messages arrive"""
    alice, bob = await hall.enter("alice", kind), await hall.enter("bob", kind)
    await until_all_see_all(alice, bob)
    await alice.send_chat("hello")
    await until_told(bob, "chat", "alice", detail="hello")


async def test_transcription(hall: Hall, kind: Kind):
    """An agent's transcription arrives"""
    if kind.sdk == "node":
        pytest.skip("this SDK does not tell of transcriptions")
    alice = await hall.enter("alice", kind)
    agent = await hall.enter("agent", token=hall.rich_token("agent", kind="agent", agent=True))
    await until_all_see_all(alice, agent)
    sid = await agent.speak(440)
    await until_told(alice, "subscribed", "agent")
    await agent.publish_transcription(sid, "what was said")
    await until_told(alice, "transcription", "agent", detail="what was said")


async def test_rpc_invocation(hall: Hall, kind: Kind):
    """Calls are answered, both ways"""
    alice, bob = await hall.enter("alice", kind), await hall.enter("bob")
    await until_all_see_all(alice, bob)
    for caller, callee in ((alice, bob), (bob, alice)):
        await callee.answer_rpc("echo")
        answer = await caller.call_rpc(callee.identity, "echo", "ping")
        assert answer.payload == "ping", answer
        await until_told(callee, "called", caller.identity)


async def test_rpc_large_payload(hall: Hall, kind: Kind):
    """Calls carry 15 KiB each way"""
    alice, bob = await hall.enter("alice", kind), await hall.enter("bob")
    await until_all_see_all(alice, bob)
    await bob.answer_rpc("echo")
    payload = "0123456789abcde " * 960
    assert (await alice.call_rpc("bob", "echo", payload)).payload == payload


async def test_rpc_unregistered(hall: Hall, kind: Kind):
    """A call of an unknown method fails: 1400"""
    alice, bob = await hall.enter("alice", kind), await hall.enter("bob")
    await until_all_see_all(alice, bob)
    assert (await alice.call_rpc("bob", "nothing", "ping")).code == 1400
    assert (await bob.call_rpc("alice", "nothing", "ping")).code == 1400


async def test_rpc_error(hall: Hall, kind: Kind):
    """Errors come back with code, message and data; bare ones as 1500"""
    alice, bob = await hall.enter("alice", kind), await hall.enter("bob")
    await until_all_see_all(alice, bob)
    for caller, callee in ((alice, bob), (bob, alice)):
        await callee.answer_rpc("refuse", "refuse")
        await callee.answer_rpc("crash", "crash")
        refused = await caller.call_rpc(callee.identity, "refuse", "ping")
        assert (refused.code, refused.message, refused.data) == (101, "refused", "because")
        assert (await caller.call_rpc(callee.identity, "crash", "ping")).code == 1500


async def test_rpc_from_the_server(hall: Hall, kind: Kind):
    """PerformRpc: the server calls a method for a backend, which gets the answer or the error"""
    alice, bob = await hall.enter("alice", kind), await hall.enter("bob")
    await until_all_see_all(alice, bob)
    await alice.answer_rpc("echo")
    await alice.answer_rpc("refuse", "refuse")
    token = hall.server.token(hall.room, "backend", room_join=False, room_admin=True)

    async def call(method: str, to: str = "alice") -> tuple[int, dict]:
        body = {"room": hall.room, "destination_identity": to, "method": method, "payload": "ping"}
        status, _, text = await wire.call(hall.server, "PerformRpc", json.dumps(body), token)
        return status, json.loads(text)

    assert await call("echo") == (200, {"payload": "ping"})
    status, error = await call("refuse")
    assert (status, error["code"]) == (500, "internal")
    assert error["msg"].endswith("RpcError 101: refused: because")
    status, error = await call("nothing")
    assert (status, error["code"]) == (400, "invalid_argument")
    status, _ = await call("echo", to="nobody")
    assert status in (404, 503)


async def test_rpc_unknown_destination(hall: Hall, kind: Kind):
    """A call to nobody fails"""
    alice, bob = await hall.enter("alice", kind), await hall.enter("bob")
    await until_all_see_all(alice, bob)
    answer = await alice.call_rpc("nobody", "echo", "ping", seconds=2)
    assert answer.code in (1401, 1501, 1502, 1503), answer


@asynccontextmanager
async def node_apart(hall: Hall, identity: str) -> AsyncIterator[tuple[Client, int]]:
    """A participant in a process of its own, and the process's id."""
    host = await start_host("node")
    client = NodeClient(host, identity)
    await client.join(hall.server.ws_url, hall.token(identity), single=True, auto_subscribe=True)
    yield client, host.process.pid
    await client.leave()
    await host.stop()


async def until_all_see_all(*people: Client) -> None:
    for one in people:
        others = {other.identity for other in people if other is not one}
        await until_snapshot(one, lambda seen, others=others: others <= seen["others"].keys())


async def until_payloads(client: Client, sender: str, payloads: list[bytes]) -> None:
    """Waits until exactly `payloads` have come from `sender`, in their order."""

    def came() -> list[bytes]:
        return [notice.detail["payload"] for notice in noticed(client, "data", sender)]

    def differ() -> str:
        return f"{client.identity} gets {len(payloads)} messages from {sender}; got {[one[:20] for one in came()]}"

    await until(lambda: len(came()) >= len(payloads), differ, within=20)
    assert came() == payloads, differ()


async def sent_or_refused(client: Client, payload: bytes) -> None:
    """SDKs differ in whether they know themselves what they may not send."""
    try:
        await client.publish_data(payload)
    except Exception as error:  # noqa: BLE001
        assert "permi" in str(error).lower() or "allow" in str(error).lower(), error
