"""The signalling protocol itself, without an SDK: one WebSocket, protobufs in both directions."""

import asyncio
import base64
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from google.protobuf import json_format
from livekit.protocol import models, rtc

from server import Server

PATIENCE = 30

OFFER = """v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
a=msid-semantic: WMS
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuvwx
a=fingerprint:sha-256 {fingerprint}
a=setup:actpass
a=mid:0
a={direction}
{msid}a=rtcp-mux
a=rtpmap:111 {codec}/2
a=fmtp:111 minptime=10;useinbandfec=1
""".replace("\n", "\r\n")
"""What a client without media offers: one audio section."""


def offer(direction: str, cid: str = "", codec: str = "opus/48000") -> rtc.SessionDescription:
    msid = f"a=msid:stream {cid}\r\na=ssrc:4711 cname:stream\r\na=ssrc:4711 msid:stream {cid}\r\n" if cid else ""
    fingerprint = ":".join(["AB"] * 32)
    sdp = OFFER.format(fingerprint=fingerprint, direction=direction, msid=msid, codec=codec)
    return rtc.SessionDescription(type="offer", sdp=sdp, id=1)


class Wire:
    """One signalling connection, and everything that has come over it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.messages: list[rtc.SignalResponse] = []
        self.texts: list[dict] = []
        self.closed = asyncio.Event()
        self._reading = asyncio.ensure_future(self._read())

    async def send(self, **request) -> None:
        await self.socket.send_bytes(rtc.SignalRequest(**request).SerializeToString())

    async def send_text(self, **request) -> None:
        await self.socket.send_str(json_format.MessageToJson(rtc.SignalRequest(**request)))

    async def next(self, what: str, fits=lambda message: True, within: float = PATIENCE) -> Any:
        """Waits for the first message of the kind `what` that fits, and answers its content."""
        deadline = asyncio.get_running_loop().time() + within
        while True:
            for message in self.of(what):
                if fits(message):
                    return message
            seen = [message.WhichOneof("message") for message in self.messages]
            assert asyncio.get_running_loop().time() < deadline, f"no {what} within {within} s, but {seen}"
            await asyncio.sleep(0.02)

    def of(self, what: str) -> list[Any]:
        return [getattr(message, what) for message in self.messages if message.WhichOneof("message") == what]

    async def until_closed(self, within: float = PATIENCE) -> None:
        await asyncio.wait_for(self.closed.wait(), within)

    async def _read(self) -> None:
        async for message in self.socket:
            if message.type == aiohttp.WSMsgType.BINARY:
                self.messages.append(rtc.SignalResponse.FromString(message.data))
            elif message.type == aiohttp.WSMsgType.TEXT:
                self.texts.append(json.loads(message.data))
        self.closed.set()


def path_of(single: bool) -> str:
    return "/rtc/v1" if single else "/rtc"


def parameters(token: str, single: bool, join: rtc.JoinRequest | None = None, **more: str) -> dict[str, str]:
    """The query of a signalling request, for one peer connection or two."""
    if not single:
        defaults = {"protocol": "16", "sdk": "python", "version": "1.2.1", "auto_subscribe": "1"}
        return {"access_token": token, **defaults, **more}
    return {"access_token": token, "join_request": wrapped(join or join_request()), **more}


def join_request(**fields) -> rtc.JoinRequest:
    info = models.ClientInfo(sdk=models.ClientInfo.PYTHON, protocol=16, version="1.2.1")
    settings = rtc.ConnectionSettings(auto_subscribe=True)
    return rtc.JoinRequest(**{"client_info": info, "connection_settings": settings, **fields})


def resuming(single: bool, sid: str) -> dict:
    """What `connect` is given to resume the session `sid`."""
    if single:
        return {"join": join_request(reconnect=True, participant_sid=sid)}
    return {"reconnect": "1", "sid": sid}


def wrapped(join: rtc.JoinRequest, compressed: bool = True) -> str:
    body = join.SerializeToString()
    compression = rtc.WrappedJoinRequest.GZIP if compressed else rtc.WrappedJoinRequest.NONE
    body = gzip.compress(body) if compressed else body
    wrapped = rtc.WrappedJoinRequest(compression=compression, join_request=body)
    return base64.urlsafe_b64encode(wrapped.SerializeToString()).decode()


@asynccontextmanager
async def connect(server: Server, token: str, single: bool, path: str | None = None, **given) -> AsyncIterator[Wire]:
    """Opens a signalling connection; a refusal is raised as aiohttp's `WSServerHandshakeError`."""
    query = parameters(token, single, **given)
    url = f"http://{server.host}{path or path_of(single)}"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, params=query, max_msg_size=1 << 24) as socket,
    ):
        yield Wire(socket)


async def get(server: Server, path: str, query: dict[str, str] | None = None, method: str = "GET", **headers):
    """One HTTP request: status, headers, text."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"http://{server.host}{path}", params=query, headers=headers) as answer,
    ):
        return answer.status, answer.headers, await answer.text()


async def call(server: Server, method: str, body: str, token: str):
    """One call of the server API in JSON: status, headers, text."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    url = f"http://{server.host}/twirp/livekit.RoomService/{method}"
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
        return answer.status, answer.headers, await answer.text()
