"""Names, metadata and attributes"""

import pytest

from administrators import PythonAdministrator
from clients import Kind
from hall import Hall, until_snapshot, until_told


async def test_attributes_at_join(hall: Hall, kind: Kind):
    """What a token says about a participant is known to himself and to others"""
    bob = await hall.enter("bob")
    token = hall.rich_token("alice", metadata="a farmer", attributes={"hair": "red", "cows": "4"})
    alice = await hall.enter("alice", kind, token=token)
    expected = {"name": "alice", "metadata": "a farmer", "attributes": {"hair": "red", "cows": "4"}}
    await until_snapshot(alice, lambda seen: expected.items() <= seen.items())
    await until_snapshot(bob, lambda seen: expected.items() <= seen["others"]["alice"].items())


async def test_own_metadata(hall: Hall, kind: Kind):
    """With permission one's own metadata can be changed"""
    bob = await hall.enter("bob")
    alice = await hall.enter("alice", kind, can_update_own_metadata=True)
    await until_told(bob, "joined", "alice")
    await alice.set_metadata("a farmer")
    await until_told(bob, "metadata", "alice")
    assert (await bob.snapshot())["others"]["alice"]["metadata"] == "a farmer"
    await until_snapshot(alice, lambda seen: seen["metadata"] == "a farmer")


async def test_own_name(hall: Hall, kind: Kind):
    """With permission one's own name can be changed"""
    bob = await hall.enter("bob")
    alice = await hall.enter("alice", kind, can_update_own_metadata=True)
    await until_told(bob, "joined", "alice")
    await alice.set_name("Alice in Wonderland")
    await until_told(bob, "name", "alice", detail="Alice in Wonderland")
    await until_snapshot(alice, lambda seen: seen["name"] == "Alice in Wonderland")


async def test_own_attributes(hall: Hall, kind: Kind):
    """With permission one's own attributes can be added, changed and deleted"""
    bob = await hall.enter("bob")
    token = hall.rich_token("alice", attributes={"hair": "red", "cows": "4"}, can_update_own_metadata=True)
    alice = await hall.enter("alice", kind, token=token)
    await until_told(bob, "joined", "alice")
    await alice.set_attributes({"cows": "5", "pigs": "1"})
    await until_snapshot(
        bob, lambda seen: seen["others"]["alice"]["attributes"] == {"hair": "red", "cows": "5", "pigs": "1"}
    )
    await until_told(bob, "attributes", "alice", detail={"cows": "5", "pigs": "1"})
    await alice.set_attributes({"hair": ""})
    await until_snapshot(bob, lambda seen: "hair" not in seen["others"]["alice"]["attributes"])


async def test_not_allowed_to_change_oneself(hall: Hall, kind: Kind):
    """Without permission it is refused"""
    bob = await hall.enter("bob")
    alice = await hall.enter("alice", kind)
    await until_told(bob, "joined", "alice")
    for change in (alice.set_metadata("m"), alice.set_name("n"), alice.set_attributes({"a": "b"})):
        if kind.sdk in ("python", "node"):
            await change  # these do not tell of errors
        else:
            with pytest.raises(Exception, match="(?i)permi|allow"):
                await change
    bob_too = await hall.enter("bob too")
    seen = (await bob_too.snapshot())["others"]["alice"]
    assert (seen["name"], seen["metadata"], seen["attributes"]) == ("alice", "", {})


async def test_changes_of_others(hall: Hall, kind: Kind):
    """Changes of others are told"""
    alice = await hall.enter("alice", kind)
    bob = await hall.enter("bob", can_update_own_metadata=True)
    await until_told(alice, "joined", "bob")
    await bob.set_metadata("a smith")
    await bob.set_name("Bob the Smith")
    await bob.set_attributes({"hammers": "3"})
    await until_told(alice, "metadata", "bob")
    await until_told(alice, "name", "bob", detail="Bob the Smith")
    await until_told(alice, "attributes", "bob", detail={"hammers": "3"})


async def test_changed_by_administrator(hall: Hall, kind: Kind):
    """Changes by UpdateParticipant reach the participant and the others"""
    alice, bob = await hall.enter("alice", kind), await hall.enter("bob")
    await until_told(bob, "joined", "alice")
    changes = {"name": "Alice", "metadata": "a farmer", "attributes": {"cows": "4"}}
    await PythonAdministrator(hall.server).update_participant(hall.room, "alice", **changes)
    await until_snapshot(alice, lambda seen: changes.items() <= seen.items())
    await until_snapshot(bob, lambda seen: changes.items() <= seen["others"]["alice"].items())


async def test_changed_permission_is_known(hall: Hall, kind: Kind):
    """A granted permission works at once: publishing after canPublish"""
    alice, bob = await hall.enter("alice", kind, can_publish=False), await hall.enter("bob")
    permission = {"canSubscribe": True, "canPublish": True, "canPublishData": True}
    await PythonAdministrator(hall.server).update_participant(hall.room, "alice", permission=permission)
    await until_published(alice)
    await until_told(bob, "subscribed", "alice")


async def test_room_metadata(hall: Hall, kind: Kind):
    """The room's metadata is known at join, and its changes are told"""
    administrator = PythonAdministrator(hall.server)
    await administrator.create_room(hall.room, metadata="empty")
    alice = await hall.enter("alice", kind)
    await until_snapshot(alice, lambda seen: seen["room"]["metadata"] == "empty")
    await administrator.update_room_metadata(hall.room, "lively")
    await until_told(alice, "room metadata", detail="lively")


async def until_published(client) -> None:
    """SDKs that check permissions themselves need to have been told before they try."""
    for _ in range(50):
        try:
            await client.publish(1)
            return
        except Exception:  # noqa: BLE001
            continue
    raise AssertionError("could not publish after it was allowed")
