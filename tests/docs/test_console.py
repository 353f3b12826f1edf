"""docs/CONSOLE.md against the console, and pictures in pairs: one for light, one for dark."""

import re

import pytest

from holdfast.serve.ui.frame import KEYS, PLACES
from holdfast.serve.ui.query import FIELDS
from tests.tidy.source import ROOT

DOCS = ROOT / "docs"
PAGE = (DOCS / "CONSOLE.md").read_text(encoding="utf-8")


def test_every_filter_every_key_and_every_page_is_there() -> None:
    keys = {key for named, _ in KEYS for key in named} | {place.key for place in PLACES}

    assert set(re.findall(r"^\| `(\w+):` \|", PAGE, re.M)) == set(FIELDS)
    section = PAGE.partition("\n## Keys")[2]
    assert [key for key in keys if f"`{key}`" not in section] == []
    assert [place.name for place in PLACES if f"\n## {place.name}\n" not in PAGE] == []


@pytest.mark.parametrize("name", ["README.md", "docs/index.md", "docs/START.md", "docs/CONSOLE.md"])
def test_pictures_come_in_pairs(name: str) -> None:
    shown = re.findall(r"screens/(\w+)-(light|dark)\.png", (ROOT / name).read_text("utf-8"))

    pictures = {picture for picture, _ in shown}
    assert pictures
    assert sorted(shown) == sorted((each, way) for each in pictures for way in ("dark", "light"))
