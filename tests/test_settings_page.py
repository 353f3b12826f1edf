"""docs/SETTINGS.md names every setting, its default, and nothing else."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import NODEFAULT, Struct

from holdfast.archive.rules import Rule
from holdfast.settings import (
    AlertSettings,
    EarlierSet,
    RegionSettings,
    Settings,
    TraceSettings,
    WitnessSettings,
)

PAGE = (Path(__file__).parent.parent / "docs/SETTINGS.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S))
TABLES: dict[str, type[Struct]] = {
    "`[regions.ID]`": RegionSettings,
    "`[[earlier]]`": EarlierSet,
    "`[witnesses.NAME]`": WitnessSettings,
    "`[alerts]`": AlertSettings,
    "`[traces]`": TraceSettings,
    "`[[retention]]`": Rule,
}
OF_TABLES = {"regions", "earlier", "witnesses", "alerts", "traces", "retention"}


def _told(text: str) -> dict[str, str]:
    return dict(re.findall(r"^\| `(\w+)` \| `?(.*?)`? \|", text, re.M))


def _defaults(kind: type[Struct]) -> dict[str, str]:
    return {field.encode_name: _as_toml(field) for field in msgspec.structs.fields(kind)}


def _as_toml(field: Any) -> str:
    value = field.default if field.default is not NODEFAULT else None
    if value is None and field.default_factory is not NODEFAULT:
        value = field.default_factory()
    if isinstance(value, tuple):
        value = list(value)
    return "required" if value is None else msgspec.json.encode(value).decode()


@pytest.mark.parametrize("title", TABLES)
def test_a_table_s_keys_are_all_there_with_their_defaults(title: str) -> None:
    assert _told(SECTIONS[title]) == _defaults(TABLES[title])


def test_the_first_table_s_keys_are_all_there_with_their_defaults() -> None:
    told = _told("".join(text for title, text in SECTIONS.items() if title not in TABLES))

    wanted = {key: value for key, value in _defaults(Settings).items() if key not in OF_TABLES}
    assert told == wanted
