"""What the guides tell people to type is run as it stands, page by page, before a real server."""

import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serve.running import Running, running
from tests.tidy.source import ROOT

DOCS = ROOT / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PATIENCE_SECONDS = 150  # some thirty commands in a row, on a machine that is busy
COLUMNS_MAX = 88  # wider ones are cut on the site
URL = "http://127.0.0.1:8420"
PAGES = {  # and what a reader sees at the end, among much else
    "START.md": ("PROVEN", "✗ does not count", "still.working"),
    "DEVELOPERS.md": ("durable in", "events; complete through", "order.pay"),
    "CHECKING.md": ("PROVEN", "\nREFUTED: ", "GOOD: what is there", "do not hash to the name"),
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    """With its data where `make run` has it."""
    with running(tmp_path / "holdfast-data") as started:
        yield started


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE_SECONDS + 30)
@pytest.mark.parametrize("page", PAGES)
def test_what_a_guide_says_works(page: str, server: Running, tmp_path: Path) -> None:
    script = script_of((DOCS / page).read_text(encoding="utf-8"), server.url)

    done = subprocess.run(
        ["bash", "-ec", script],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE_SECONDS,
        check=False,
        text=True,
    )

    assert done.returncode == 0, done.stdout
    assert [word for word in PAGES[page] if word not in done.stdout] == [], done.stdout


def script_of(page: str, url: str) -> str:
    """The page's samples in order, as one script. A pipe fails with its first part.

    `console` and `text` are for reading: a server that is started, what is answered.
    """
    parts = ["set -o pipefail"]
    for language, text in BLOCK.findall(page):
        if language == "sh":
            parts.append(text)
        elif language == "python":
            parts.append(f"python - <<'PYTHON'\n{text}PYTHON\n")
    assert len(parts) > 3
    assert max(map(len, "\n".join(parts).splitlines())) <= COLUMNS_MAX
    return "\n".join(parts).replace(URL, url)


def environment(folder: Path) -> dict[str, str]:
    """Where `holdfast` and `python` are those that run the tests."""
    programs = folder / "bin"
    programs.mkdir()
    for name, what in (("holdfast", "-m holdfast"), ("python", "")):
        path = programs / name
        path.write_text(f'#!/bin/sh\nexec {sys.executable} {what} "$@"\n', encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    return kept | {"PATH": f"{programs}:{os.environ['PATH']}"}
