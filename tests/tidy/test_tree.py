"""Nothing in the tree ties it to the machine or the registry that it was built with."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.tidy.source import ROOT, tracked

TEXT_BYTES_MAX = 2_000_000
BINARY = {".gz", ".zst", ".png", ".parquet", ".ico"}
# Written in pieces, or this file would be its own first finding.
FORBIDDEN = re.compile(
    "|".join(
        [
            "py" + r"pi\.org",
            "python" + "hosted",
            "npm" + r"js\.",
            "deb" + r"\.debian",
            "crates" + r"\.io",
            "proxy" + r"\.golang",
            r"(?<![\w./-])/" + r"work/",
            r"(?<![\w.-])/" + "root/",
            "/opt/" + r"(pypi|wheels)",
        ]
    )
)
UNFINISHED = re.compile(r"\b(TO" + "DO|FIX" + "ME|XX" + r"X)\b|Not" + "ImplementedError")

SWITCHED_OFF = re.compile("pytest" + r"\.skip|mark" + r"\.(?:skip|xfail)|pytest" + r"\.xfail")


def test_no_file_names_a_registry_or_a_path_of_the_machine_it_was_built_on() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path, text in _texts()
        if path.suffix not in {".json", ".ndjson"}  # real events name what they like
        for match in FORBIDDEN.finditer(text)
    ]

    assert found == []


def test_no_code_is_left_for_later() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path, text in _texts()
        if path.suffix == ".py"
        for match in UNFINISHED.finditer(text)
    ]

    assert found == []


def test_nothing_is_skipped_but_by_what_a_machine_may_lack() -> None:
    """`tests/machine.py` has every skip, and says what is not shown then."""
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path, text in _texts()
        if path.suffix == ".py" and path.name != "machine.py"
        for match in SWITCHED_OFF.finditer(text)
    ]

    assert found == []


def test_every_pinned_package_carries_a_hash_and_no_address() -> None:
    for lock in ("run", "dev"):
        text = (ROOT / "requirements" / f"{lock}.lock").read_text(encoding="utf-8")
        pins = re.findall(r"^[a-z0-9][\w.-]*==.*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)

        assert len(pins) > 20
        assert [pin.split()[0] for pin in pins if "--hash=sha256:" not in pin] == []
        assert re.findall(r"^--.*|\w+://\S+", text, re.MULTILINE) == []


def test_the_core_installs_without_the_servers_dependencies() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    names = {re.split(r"[^\w.]", requirement)[0] for requirement in project["dependencies"]}

    assert names == {"cryptography"}


def test_make_without_a_target_lists_the_targets() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    described = set(re.findall(r"^([a-z0-9-]+):.*## ", makefile, re.MULTILINE))
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)

    assert ".DEFAULT_GOAL := help" in makefile
    assert phony and described == set(phony[1].split())
    assert described >= {"setup", "run", "test", "check", "demo", "bench"}


def _texts() -> Iterator[tuple[Path, str]]:
    for path in tracked():
        if path.suffix in BINARY or path.stat().st_size > TEXT_BYTES_MAX:
            continue
        try:
            yield path, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
