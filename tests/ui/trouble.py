"""States that a person is woken for, made as they come about: under a real server, on its disk."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.serve.running import EVENT, Running, running


def segments(region: Path) -> list[Path]:
    """The files of a region's segments, in the order of their ledgers."""
    return sorted(path for path in (region / "ev" / "seg").rglob("*") if path.is_file())


def lose_segment(data: Path, index: int) -> None:
    """Take it from every region, and the server that is stopped forgets it."""
    for region in sorted((data / "regions").iterdir()):
        segments(region)[index].unlink()
    shutil.rmtree(data / "cache")


def declare_gap(server: Running, index: int, why: str) -> None:
    """State, as a person would, that a segment is lost for good."""
    (node,) = (each["node"] for each in server.get("/v1/status").json()["nodes"])
    command = ["gap", "declare", "--data", str(server.data), "--node", node, "--yes"]
    command += ["--from", str(index), "--to", str(index + 1), "--why", why]
    subprocess.run(
        [sys.executable, "-m", "holdfast", *command], check=True, timeout=60, capture_output=True
    )


@contextmanager
def away(data: Path, *ids: str) -> Iterator[None]:
    """Regions whose directories are somewhere else meanwhile."""
    regions, aside = data / "regions", data.parent
    for id in ids:
        (regions / id).rename(aside / f"{id}-away")
    try:
        yield
    finally:
        for id in ids:
            (aside / f"{id}-away").rename(regions / id)


def miss(data: Path, id: str, count: int) -> None:
    """Events that a region misses, until a server's survey gives them to it."""
    with away(data, id), running(data) as server:
        for _ in range(count):
            server.post(EVENT)
