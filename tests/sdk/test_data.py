"""Messages between clients, and everything that SDKs build from them: streams, calls of procedures, chat."""

import asyncio
import os

import pytest
from livekit import rtc

from conftest import Gathering
from participant import PythonParticipant, until, until_noticed

MODES = pytest.mark.parametrize(
    ("one", "two"),
    [(True, True), (False, False), (True, False), (False, True)],
    ids=["single", "dual", "single-to-dual", "dual-to-single"],
)


class Mailbox:
    """Everything that one participant receives as data."""

    def __init__(self, participant: PythonParticipant) -> None:
        self.identity = participant.identity
        self.packets: list[rtc.DataPacket] = []
        participant.room.on("data_received", self.packets.append)

    def contents(self) -> list[tuple[str | None, str | None, bytes]]:
        """Sender, topic and payload of each."""
        return [(p.participant and p.participant.identity, p.topic, bytes(p.data)) for p in self.packets]

    async def until(self, count: int, within: float = 15) -> None:
        await until(
            lambda: len(self.packets) >= count,
            within,
            lambda: f"{self.identity} has {len(self.packets)} of {count} messages",
        )


async def meet(gathering: Gathering, one: bool, two: bool) -> tuple[PythonParticipant, PythonParticipant]:
    alice = await gathering.join("alice", single=one)
    bob = await gathering.join("bob", single=two)
    await until(lambda: "bob" in alice.present, 10, lambda: f"alice sees {alice.present}")
    return alice, bob


@MODES
@pytest.mark.parametrize("reliable", [True, False], ids=["reliable", "lossy"])
async def test_a_message_arrives_with_topic_and_sender(gathering: Gathering, one, two, reliable):
    alice, bob = await meet(gathering, one, two)
    for sender, receiver in [(alice, bob), (bob, alice)]:
        inbox, outbox = Mailbox(receiver), Mailbox(sender)
        payload = f"from {sender.identity}".encode()
        publish = sender.room.local_participant.publish_data
        if reliable:
            await publish(payload, topic="greeting")
            await inbox.until(1)
            assert len(inbox.packets) == 1
        else:
            # A lossy message does not wait for a receiver whose channel is not open yet.
            async with asyncio.timeout(15):
                while not inbox.packets:
                    await publish(payload, reliable=False, topic="greeting")
                    await asyncio.sleep(0.1)
        assert set(inbox.contents()) == {(sender.identity, "greeting", payload)}
        assert outbox.packets == [], "nothing is echoed"


async def test_a_message_reaches_only_those_it_names(gathering: Gathering):
    alice, bob = await meet(gathering, True, False)
    carol = await gathering.join("carol")
    await until(lambda: "carol" in alice.present, 10, lambda: f"alice sees {alice.present}")
    boxes = {one.identity: Mailbox(one) for one in (bob, carol)}
    publish = alice.room.local_participant.publish_data
    await publish(b"for carol", destination_identities=["carol"])
    await publish(b"for all")
    await boxes["bob"].until(1)
    await boxes["carol"].until(2)
    assert [data for _, _, data in boxes["bob"].contents()] == [b"for all"]
    assert [data for _, _, data in boxes["carol"].contents()] == [b"for carol", b"for all"]


@MODES
async def test_five_hundred_messages_keep_their_order(gathering: Gathering, one, two):
    alice, bob = await meet(gathering, one, two)
    inbox = Mailbox(bob)
    sent = [f"{number:04}".encode() * 200 for number in range(500)]
    for payload in sent:
        await alice.room.local_participant.publish_data(payload)
    await inbox.until(len(sent), within=60)
    assert [data for _, _, data in inbox.contents()] == sent


async def test_who_may_not_send_data_is_not_heard(gathering: Gathering):
    token = gathering.server.token(gathering.room, "mute", can_publish_data=False)
    mute = await gathering.join("mute", token=token)
    alice, bob = await meet(gathering, True, True)
    inbox = Mailbox(bob)
    # The SDK may refuse by itself, or send in vain.
    await asyncio.gather(mute.room.local_participant.publish_data(b"no"), return_exceptions=True)
    await alice.room.local_participant.publish_data(b"yes")
    await inbox.until(1)
    assert [data for _, _, data in inbox.contents()] == [b"yes"]


@MODES
async def test_procedures_are_called_answered_and_refused(gathering: Gathering, one, two):
    alice, bob = await meet(gathering, one, two)

    async def shout(call: rtc.RpcInvocationData) -> str:
        return f"{call.caller_identity}: {call.payload.upper()}"

    async def fail(_: rtc.RpcInvocationData) -> str:
        raise rtc.RpcError(1234, "on purpose")

    bob.room.local_participant.register_rpc_method("shout", shout)
    bob.room.local_participant.register_rpc_method("fail", fail)

    def call(method: str, payload: str, to: str = "bob"):
        return alice.room.local_participant.perform_rpc(
            destination_identity=to, method=method, payload=payload, response_timeout=8
        )

    assert await call("shout", "hello") == "alice: HELLO"
    long = "a" * 14_000
    assert await call("shout", long) == f"alice: {long.upper()}"
    with pytest.raises(rtc.RpcError) as refused:
        await call("fail", "")
    assert (refused.value.code, refused.value.message) == (1234, "on purpose")
    with pytest.raises(rtc.RpcError) as unsupported:
        await call("no-such-method", "")
    assert unsupported.value.code == rtc.RpcError.ErrorCode.UNSUPPORTED_METHOD
    with pytest.raises(rtc.RpcError) as nobody:
        await call("shout", "hello", to="nobody")
    assert nobody.value.code in (
        rtc.RpcError.ErrorCode.CONNECTION_TIMEOUT,
        rtc.RpcError.ErrorCode.RECIPIENT_NOT_FOUND,
    )


@MODES
async def test_texts_and_files_arrive_whole(gathering: Gathering, one, two, tmp_path):
    alice, bob = await meet(gathering, one, two)
    texts: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    files: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
    tasks = []

    async def read_text(reader: rtc.TextStreamReader, who: str) -> None:
        texts.put_nowait((who, await reader.read_all()))

    async def read_file(reader: rtc.ByteStreamReader, who: str) -> None:
        files.put_nowait((who, b"".join([bytes(chunk) async for chunk in reader])))

    bob.room.register_text_stream_handler(
        "notes", lambda *given: tasks.append(asyncio.ensure_future(read_text(*given)))
    )
    bob.room.register_byte_stream_handler(
        "files", lambda *given: tasks.append(asyncio.ensure_future(read_file(*given)))
    )
    text = "the quick brown fox, größer als je zuvor. " * 2_000
    await alice.room.local_participant.send_text(text, topic="notes")
    assert await asyncio.wait_for(texts.get(), 30) == ("alice", text)
    content = os.urandom(700_000)
    path = tmp_path / "noise.bin"
    path.write_bytes(content)
    await alice.room.local_participant.send_file(str(path), topic="files")
    assert await asyncio.wait_for(files.get(), 60) == ("alice", content)


async def test_python_and_node_talk_to_each_other(gathering: Gathering):
    alice = await gathering.join("alice")
    node = await gathering.join("node", body="node", single=False)
    await until(lambda: "node" in alice.present, 10, lambda: f"alice sees {alice.present}")
    inbox = Mailbox(alice)
    await node.publish_data("from node", topic="greeting")
    await inbox.until(1)
    assert inbox.contents() == [("node", "greeting", b"from node")]
    await alice.room.local_participant.publish_data(b"from python", topic="greeting")
    notice = await until_noticed(node, "data", "alice", within=10)
    assert notice.detail == {"payload": b"from python", "topic": "greeting"}
    answer = await alice.room.local_participant.perform_rpc(
        destination_identity="node", method="echo", payload="echo?", response_timeout=8
    )
    assert answer == "alice: echo?"


@MODES
async def test_connections_are_said_to_be_excellent_and_silence_is_not_lost(gathering: Gathering, one, two):
    alice, bob = await meet(gathering, one, two)
    await alice.speak(440)
    await until_noticed(alice, "quality", "alice EXCELLENT", within=20)
    await until_noticed(bob, "quality", "bob EXCELLENT", within=20)
    await until_noticed(bob, "quality", "alice EXCELLENT", within=20)
    await alice.mute()
    await asyncio.sleep(12)  # two judgements pass
    lost = [
        notice for one in (alice, bob) for notice in one.notices if notice.what == "quality" and "LOST" in notice.who
    ]
    assert lost == []
