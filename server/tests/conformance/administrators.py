"""The server API behind one face: LiveKit's Python package `livekit-api` and its Node package `livekit-server-sdk`.

Answers are proto3 JSON. What the server refuses is raised as `Refused`, with Twirp's code.
"""

import base64
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict
from livekit import api
from livekit.protocol import room

from piped import Host
from server import Server


class Refused(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class PythonAdministrator:
    """`livekit-api`, which speaks protobuf."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def create_room(self, name: str, **options) -> dict:
        return await self._call("create_room", {"name": name, **options}, room.CreateRoomRequest)

    async def list_rooms(self, *names: str) -> list[dict]:
        answer = await self._call("list_rooms", {"names": list(names)}, room.ListRoomsRequest)
        return answer.get("rooms", [])

    async def delete_room(self, name: str) -> None:
        await self._call("delete_room", {"room": name}, room.DeleteRoomRequest)

    async def update_room_metadata(self, name: str, metadata: str) -> dict:
        return await self._call(
            "update_room_metadata", {"room": name, "metadata": metadata}, room.UpdateRoomMetadataRequest
        )

    async def list_participants(self, name: str) -> list[dict]:
        answer = await self._call("list_participants", {"room": name}, room.ListParticipantsRequest)
        return answer.get("participants", [])

    async def get_participant(self, name: str, identity: str) -> dict:
        return await self._call("get_participant", _who(name, identity), room.RoomParticipantIdentity)

    async def remove_participant(self, name: str, identity: str) -> None:
        await self._call("remove_participant", _who(name, identity), room.RoomParticipantIdentity)

    async def mute_track(self, name: str, identity: str, track: str, muted: bool) -> dict:
        given = {**_who(name, identity), "trackSid": track, "muted": muted}
        answer = await self._call("mute_published_track", given, room.MuteRoomTrackRequest)
        return answer.get("track", {})

    async def move_participant(self, name: str, identity: str, destination: str) -> None:
        given = {**_who(name, identity), "destinationRoom": destination}
        await self._call("move_participant", given, room.MoveParticipantRequest)

    async def update_participant(self, name: str, identity: str, /, **changes) -> dict:
        given = {**_who(name, identity), **changes}
        return await self._call("update_participant", given, room.UpdateParticipantRequest)

    async def update_subscriptions(self, name: str, identity: str, tracks: list[str], subscribe: bool) -> None:
        given = {**_who(name, identity), "trackSids": tracks, "subscribe": subscribe}
        await self._call("update_subscriptions", given, room.UpdateSubscriptionsRequest)

    async def send_data(self, name: str, payload: bytes, *, reliable=True, topic="", to: tuple[str, ...] = ()) -> None:
        kind = "RELIABLE" if reliable else "LOSSY"
        given = {"room": name, "kind": kind, "topic": topic, "destinationIdentities": list(to)}
        await self._call("send_data", {**given, "data": base64.b64encode(payload).decode()}, room.SendDataRequest)

    async def receive(self, body: str, authorization: str) -> dict:
        """A webhook's event, once its signature is found to be good."""
        verifier = api.TokenVerifier(self._server.api_key, self._server.api_secret)
        return MessageToDict(api.WebhookReceiver(verifier).receive(body, authorization))

    async def _call(self, method: str, given: dict, kind: type) -> dict:
        async with api.LiveKitAPI(
            f"http://{self._server.host}", self._server.api_key, self._server.api_secret
        ) as livekit:
            try:
                answer = await getattr(livekit.room, method)(ParseDict(given, kind()))
            except api.TwirpError as error:
                raise Refused(error.code, error.message) from error
        return {} if answer is None else MessageToDict(answer)


class NodeAdministrator:
    """`livekit-server-sdk`, which speaks JSON."""

    def __init__(self, server: Server, host: Host) -> None:
        self._server = server
        self._host = host

    async def create_room(self, name: str, **options) -> dict:
        return await self._call("createRoom", name=name, **options)

    async def list_rooms(self, *names: str) -> list[dict]:
        return await self._call("listRooms", names=names or None)

    async def delete_room(self, name: str) -> None:
        await self._call("deleteRoom", room=name)

    async def update_room_metadata(self, name: str, metadata: str) -> dict:
        return await self._call("updateRoomMetadata", room=name, metadata=metadata)

    async def list_participants(self, name: str) -> list[dict]:
        return await self._call("listParticipants", room=name)

    async def get_participant(self, name: str, identity: str) -> dict:
        return await self._call("getParticipant", **_who(name, identity))

    async def remove_participant(self, name: str, identity: str) -> None:
        await self._call("removeParticipant", **_who(name, identity))

    async def mute_track(self, name: str, identity: str, track: str, muted: bool) -> dict:
        return await self._call("muteTrack", **_who(name, identity), track=track, muted=muted)

    async def move_participant(self, name: str, identity: str, destination: str) -> None:
        await self._call("moveParticipant", **_who(name, identity), destination=destination)

    async def update_participant(self, name: str, identity: str, /, **changes) -> dict:
        return await self._call("updateParticipant", **_who(name, identity), **changes)

    async def update_subscriptions(self, name: str, identity: str, tracks: list[str], subscribe: bool) -> None:
        await self._call("updateSubscriptions", **_who(name, identity), tracks=tracks, subscribe=subscribe)

    async def send_data(self, name: str, payload: bytes, *, reliable=True, topic="", to: tuple[str, ...] = ()) -> None:
        encoded = base64.b64encode(payload).decode()
        await self._call("sendData", room=name, payload=encoded, reliable=reliable, topic=topic, to=to)

    async def receive(self, body: str, authorization: str) -> dict:
        return await self._ask("receive", body=body, authorization=authorization)

    async def _call(self, command: str, **given) -> Any:
        answer = await self._ask(command, url=f"http://{self._server.host}", **given)
        if "code" in answer:
            raise Refused(answer["code"], answer["message"])
        return answer["answer"]

    async def _ask(self, command: str, **given) -> Any:
        keys = {"key": self._server.api_key, "secret": self._server.api_secret}
        return await self._host.ask("administrator", command, **keys, **given)


Administrator = PythonAdministrator | NodeAdministrator


def _who(name: str, identity: str) -> dict[str, str]:
    return {"room": name, "identity": identity}
