"""A client that keeps to no rule: bytes on sockets, and just enough HTTP and WebSocket to be let in."""

import base64
import contextlib
import os
import socket
import struct
from collections import deque

from livekit.protocol.rtc import SignalRequest, SignalResponse

from server import Server

PATIENCE = 30


def connect(server: Server) -> socket.socket:
    host, port = server.host.rsplit(":", 1)
    opened = socket.create_connection((host, int(port)), timeout=PATIENCE)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return opened


def exchange(server: Server, request: bytes) -> bytes:
    """Sends `request` as it is; answers all that comes back until the server closes or is silent for two seconds."""
    with connect(server) as opened:
        # The answer may come before everything is sent.
        with contextlib.suppress(OSError):
            opened.sendall(request)
        return read_all(opened, 2)


def status(server: Server, request: bytes) -> int:
    answer = exchange(server, request)
    assert answer.startswith(b"HTTP/1.1 "), answer[:200]
    return int(answer[9:12])


def read_all(opened: socket.socket, patience: float) -> bytes:
    opened.settimeout(patience)
    answer = b""
    try:
        while piece := opened.recv(65536):
            answer += piece
    except OSError:
        pass
    return answer


def is_closed(opened: socket.socket, within: float = PATIENCE) -> bool:
    """Whether the server closes the connection in time; what it says before is read."""
    opened.settimeout(within)
    try:
        while opened.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


class Hostile:
    """A WebSocket at `/rtc` with a good token."""

    def __init__(self, server: Server, identity: str) -> None:
        self.socket = connect(server)
        token = server.token("victims", identity)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /rtc?access_token={token}&protocol=17&sdk=js HTTP/1.1\r\nHost: {server.host}\r\n"
            f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        self._unread = b""
        head = self._until(b"\r\n\r\n")
        assert b" 101 " in head, head

    def frame(self, opcode: int, payload: bytes, final: bool = True) -> None:
        length = len(payload)
        head = bytes([(0x80 if final else 0) | opcode])
        if length < 126:
            head += bytes([0x80 | length])
        elif length < 65536:
            head += bytes([0x80 | 126]) + struct.pack(">H", length)
        else:
            head += bytes([0x80 | 127]) + struct.pack(">Q", length)
        # A mask of zeros leaves the payload as it is.
        self.socket.sendall(head + bytes(4) + payload)

    def request(self, **message) -> None:
        self.frame(2, SignalRequest(**message).SerializeToString())

    def responses(self):
        """What the server says, until it closes."""
        self.socket.settimeout(PATIENCE)
        while True:
            try:
                opcode, payload = self._frame()
            except OSError:
                return
            if opcode == 8:
                return
            if opcode == 2:
                yield SignalResponse.FromString(payload)

    def last_words(self) -> SignalResponse | None:
        """The last thing that the server says before it closes."""
        return next(iter(deque(self.responses(), maxlen=1)), None)

    def _frame(self) -> tuple[int, bytes]:
        first, second = self._exactly(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", self._exactly(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self._exactly(8))
        return first & 0x0F, self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        while len(self._unread) < count:
            piece = self.socket.recv(65536)
            if not piece:
                raise ConnectionResetError
            self._unread += piece
        taken, self._unread = self._unread[:count], self._unread[count:]
        return taken

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._unread:
            piece = self.socket.recv(65536)
            assert piece, f"the server closed: {self._unread[:300]!r}"
            self._unread += piece
        head, self._unread = self._unread.split(mark, 1)
        return head

    def __enter__(self) -> "Hostile":
        return self

    def __exit__(self, *_) -> None:
        self.socket.close()
