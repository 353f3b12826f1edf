"""What was measured, kept: a JSON file a part, with all that its figures depend on."""

import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from bench.report import Part

RESULTS: Final = Path(__file__).parent / "results"
# What the first whole run said, before there were parts: later figures are compared to it.
FIRST: Final = Path(__file__).parent / "history" / "2026-11-24.json"


@dataclass(frozen=True)
class Result:
    """A part's figures and where they come from.

    about: what the part measures, and how. plan: the amounts. took_s: 0 where nobody looked.
    """

    about: str
    surroundings: dict[str, str]
    plan: dict[str, int]
    took_s: int
    part: Part


def keep(result: Result, directory: Path) -> None:
    """Write it, in place of what the same part said before."""
    directory.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(result), indent=1)
    (directory / f"{result.part.name}.json").write_bytes(text + b"\n")


def read(directory: Path) -> dict[str, Result]:
    """All that is kept, by the part's name."""
    found = (
        msgspec.json.decode(path.read_bytes(), type=Result) for path in directory.glob("*.json")
    )
    return {result.part.name: result for result in found}


def surroundings(directory: Path, versions: Mapping[str, str]) -> dict[str, str]:
    """What the figures depend on; versions: of programs that are measured."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "when": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": _commit(),
        "cpu": f"{os.cpu_count()} x {model}",
        "memory": f"{memory_bytes / 2**30:.0f} GiB",
        "kernel": platform.release(),
        "file system": _file_system(directory),
        "python": platform.python_version(),
        **versions,
    }


def _commit() -> str:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    # What a run writes itself is no change of what is measured.
    unmeasured = (":(top,exclude)bench/results", ":(top,exclude)docs")
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ":(top)", *unmeasured)
    return (git("rev-parse", "--short", "HEAD") or "unknown") + (" and changes" if changed else "")


def _file_system(directory: Path) -> str:
    """The kind of the mount that the directory lies in."""
    best, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, found, *_ = line.split()
        if directory.is_relative_to(mount) and len(mount) >= len(best):
            best, kind = mount, found
    return kind
