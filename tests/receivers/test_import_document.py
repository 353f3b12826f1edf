"""docs/IMPORT.md says what the code does."""

import re
from pathlib import Path
from types import ModuleType

import pytest

from holdfast.receivers import anyjson, cloudtrail, files, kubernetes, mapping
from holdfast.receivers.formats import FORMATS
from holdfast.write.law import DEPTH_MAX

DOCUMENT = (Path(__file__).parents[2] / "docs/IMPORT.md").read_text("utf-8")


def test_every_format_is_described() -> None:
    first, _, rest = DOCUMENT.partition("\n## ")

    assert set(re.findall(r"^\| `(\w+)` \|", first, re.MULTILINE)) == set(FORMATS)
    assert set(re.findall(r"^(?:## )?(\w+)$", rest, re.MULTILINE)) == set(FORMATS) - {"holdfast"}


@pytest.mark.parametrize("module", [anyjson, cloudtrail, kubernetes])
def test_payload_types_are_named(module: ModuleType) -> None:
    assert f"| `{module.PAYLOAD_TYPE}` |" in DOCUMENT


def test_limits_are_those_of_the_code() -> None:
    assert f"{mapping.TEXT_CHARACTERS_MAX:,} characters" in DOCUMENT
    assert f"{mapping.ID_BYTES_MAX} bytes" in DOCUMENT
    assert f"{DEPTH_MAX} levels" in DOCUMENT
    assert f"{files.PIECE_BYTES_MAX // 1024 // 1024} MiB" in DOCUMENT


@pytest.mark.parametrize(
    "name", [*anyjson._TIMES, *anyjson._ACTORS, *anyjson._ACTIONS, *cloudtrail._ATTRIBUTES]
)
def test_every_name_that_is_looked_for_is_listed(name: str) -> None:
    assert f"`{name}`" in DOCUMENT
