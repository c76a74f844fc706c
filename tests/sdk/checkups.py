"""`banter doctor` and `banter probe`, run and read."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field

from server import PROGRAM

PATIENCE = 60


@dataclass(frozen=True)
class Checkup:
    """What one of them has said."""

    status: int
    text: str
    checks: dict[str, dict] = field(default_factory=dict)
    """By their names, where it was asked for JSON."""

    def result(self, check: str) -> str:
        return self.checks[check]["result"]

    @property
    def failing(self) -> list[str]:
        return [name for name, check in self.checks.items() if check["result"] == "fail"]


def doctor(*flags: object, prefix: Sequence[str] = (), json: bool = True) -> Checkup:
    return _run("doctor", *flags, prefix=prefix, environment={}, in_json=json)


def probe(url: str, *flags: object, prefix: Sequence[str] = (), json: bool = True, **environment: str) -> Checkup:
    """`environment` has the secrets; by default the API key of development."""
    if not environment:
        flags, environment = ("--api-key", "devkey", *flags), {"BANTER_API_SECRET": "secret"}
    return _run("probe", url, *flags, prefix=prefix, environment=environment, in_json=json)


def _run(command: str, *flags: object, prefix: Sequence[str], environment: dict[str, str], in_json: bool) -> Checkup:
    arguments = [*prefix, PROGRAM, command, *map(str, flags), *(["--json"] if in_json else [])]
    done = subprocess.run(
        arguments, env={**os.environ, **environment}, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    said = done.stdout + done.stderr
    if not in_json or done.returncode == 2:
        return Checkup(done.returncode, said)
    try:
        document = json.loads(done.stdout)
    except json.JSONDecodeError:
        raise AssertionError(f"{command} ended with {done.returncode} and said: {said}") from None
    checks = {check["check"]: check for check in document["checks"]}
    assert document["version"] == 1 and document["program"] == command, said
    assert document["ok"] == (done.returncode == 0), said
    return Checkup(done.returncode, said, checks)
