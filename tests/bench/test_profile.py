"""A flame graph shows our functions, and nothing of the machine that drew it."""

import sys
from pathlib import Path
from random import Random
from xml.etree import ElementTree

import pytest

from bench import profile
from bench.events import make_pool
from bench.plan import QUICK, Ground
from bench.processes import choose_cores


@pytest.mark.slow
def test_a_server_under_load_is_drawn(tmp_path: Path) -> None:
    ground = Ground(QUICK, choose_cores(), tmp_path, None, make_pool(1), Random(1))
    into = tmp_path / "drawn.svg"

    profile.profile(ground, profile.LOADS["ingest"], 2.0, into)

    text = into.read_text("utf-8")
    ElementTree.fromstring(text)
    assert "holdfast/write/admit.py" in text
    assert str(tmp_path.parent) not in text and sys.prefix not in text
    assert_shows_no_machine(text)


@pytest.mark.parametrize("file", sorted(profile.DOCS.glob("profile-*.svg")), ids=lambda p: p.name)
def test_what_is_kept_shows_nothing_of_a_machine(file: Path) -> None:
    text = file.read_text("utf-8")

    assert len(text) < profile.SVG_BYTES_MAX
    assert_shows_no_machine(text)


def assert_shows_no_machine(text: str) -> None:
    places = [f"/{name}/" for name in ("usr", "home", "root", "var", "bin")]
    assert not [place for place in places if place in text]
