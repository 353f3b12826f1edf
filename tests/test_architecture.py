"""ARCHITECTURE.md is one screen, and every function that it names exists."""

import importlib
import re
from pathlib import Path

TEXT = (Path(__file__).parents[1] / "ARCHITECTURE.md").read_text("utf-8")
LINES_MAX = 75


def test_it_fits_a_screen() -> None:
    assert len(TEXT.splitlines()) <= LINES_MAX


def test_the_functions_that_it_names_exist() -> None:
    found = re.findall(r"`((?:[a-z_]+\.)+[A-Za-z_.]+)`", TEXT)
    names = [name for name in found if not name.endswith((".py", ".md"))]

    assert len(names) >= 12
    for name in names:
        _resolve(name)


def _resolve(name: str) -> object:
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(["holdfast", *parts[:end]]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part)
        return found
    raise AssertionError(f"{name} does not exist")
