"""The golden trail is verified to the very same answer by this version and every later one."""

import contextlib
import io
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli.app import run
from tests.golden.answers import GOLDEN, REGIONS

FROZEN = GOLDEN / "verified.json"
PASSING = {"started", "ended", "reason"}  # when it was asked, and words for people
DEPTHS = ("names", "bytes", "events")


def answer(data: Path, depth: str) -> dict[str, Any]:
    """The exit code, and what lasts of the report."""
    printed = io.TextIOWrapper(io.BytesIO(), "utf-8")
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
        code = run(["verify", "--data", str(data), "--depth", depth, "--jobs", "1", "--json"])
        sys.stdout.flush()
    report = json.loads(printed.buffer.getvalue())
    for lasting in (report, *report["findings"]):
        for name in PASSING:
            lasting.pop(name, None)
    return {"exit": code, "report": report}


@pytest.mark.parametrize("depth", DEPTHS)
def test_the_golden_trail_is_verified_to_the_answer_that_was_frozen(
    depth: str, tmp_path: Path
) -> None:
    shutil.copytree(REGIONS, tmp_path / "regions")

    assert answer(tmp_path, depth) == json.loads(FROZEN.read_text("utf-8"))[depth]


def test_what_was_frozen_names_the_copy_that_rotted_the_one_that_is_gone_and_the_orphan() -> None:
    frozen = json.loads(FROZEN.read_text("utf-8"))

    found = {
        depth: [(f["kind"], f["region"], f["start"]) for f in frozen[depth]["report"]["findings"]]
        for depth in DEPTHS
    }
    names = [("under_replicated", "b", 2), ("orphan", "c", 6)]
    assert found == {
        "names": names,
        "bytes": [("corrupt", "b", 0), *names],
        "events": [("corrupt", "b", 0), *names],
    }
    assert [frozen[depth]["exit"] for depth in DEPTHS] == [0, 1, 1]
