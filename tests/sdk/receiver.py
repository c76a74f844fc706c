"""A backend that is told by webhooks, as an operator of LiveKit has one."""

import json
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from livekit import api
from livekit.protocol.webhook import WebhookEvent

VERIFIER = Path(__file__).parent / "webhook_verifier.mjs"


@dataclass(frozen=True)
class Post:
    """One request, as it came in, and what was answered."""

    body: str
    authorization: str
    content_type: str
    status: int

    @property
    def event(self) -> WebhookEvent:
        """What Python's SDK makes of it. Raises if the signature is not good."""
        verifier = api.TokenVerifier("devkey", "secret")
        return api.WebhookReceiver(verifier).receive(self.body, self.authorization)


class Receiver:
    """Listens on a free port within the `with` block, and answers as `status` says."""

    def __init__(self, status: Callable[[int], int] = lambda _number: 200) -> None:
        self.posts: list[Post] = []
        self._status = status

    def __enter__(self) -> "Receiver":
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                status = receiver._status(len(receiver.posts))
                headers = (self.headers["Authorization"], self.headers["Content-Type"])
                receiver.posts.append(Post(body, *headers, status))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_) -> None:
                """Says nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self._http.shutdown()
        self._http.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/livekit?token=of-the-operator"

    def taken(self) -> list[str]:
        """The events that were answered with success, in the order of their arrival."""
        return [post.event.event for post in self.posts if post.status == 200]

    def wait_for(self, event: str, within: float = 10) -> None:
        deadline = time.monotonic() + within
        while event not in self.taken():
            assert time.monotonic() < deadline, f"{event} did not come; these did: {self.taken()}"
            time.sleep(0.02)


def verified_by_node(post: Post) -> dict:
    """What the Node SDK makes of it."""
    given = json.dumps({"body": post.body, "authorization": post.authorization})
    done = subprocess.run(["node", VERIFIER], input=given, text=True, capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
