"""Writes down what came out of each case, for `table.py`."""

import json
import os
from pathlib import Path

import pytest

from server import PROJECT

RESULTS = Path(os.environ.get("BANTER_TEST_RESULTS", PROJECT / "test-results/conformance.json"))


def describe(item: pytest.Item, result: pytest.TestReport) -> None:
    """Adds to a report what the table says about its case: title, place, and for whom it was run."""
    doc = (item.function.__doc__ or item.name).strip().split("\n")[0].rstrip(".")
    params = getattr(item, "callspec", None)
    kind = next((value for name, value in params.params.items() if name in COLUMNS), None) if params else None
    place = [item.path.stem, item.function.__code__.co_firstlineno]
    case = {"file": item.path.stem, "place": place, "test": item.function.__name__, "title": doc}
    rest = [str(value) for name, value in params.params.items() if name not in COLUMNS] if params else []
    result.user_properties = [("case", {**case, "client": str(kind or "protocol"), "variant": " ".join(rest)})]


COLUMNS = ("kind", "administrator", "path")
"""Parameters that say which client a case is run with."""


class Recorder:
    """Collects the reports, of all workers if there are several, and writes them when the session ends."""

    def __init__(self) -> None:
        self.cases: dict[str, dict] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        properties = dict(report.user_properties)
        if "case" not in properties:
            return
        case = self.cases.setdefault(report.nodeid, {**properties["case"], "outcome": "passed"})
        if report.skipped and hasattr(report, "wasxfail"):
            case.update(outcome="differs", reason=report.wasxfail)
        elif report.skipped:
            case.update(outcome="skipped", reason=report.longrepr[2].removeprefix("Skipped: "))
        elif report.failed:
            case.update(outcome="failed")

    def pytest_sessionfinish(self) -> None:
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        cases = sorted(self.cases.values(), key=lambda case: (case["place"], case["client"], case["variant"]))
        RESULTS.write_text(json.dumps(cases, indent=1) + "\n")
