"""What a server asks of the operating system before it acknowledges, as strace sees it."""

import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.server import Server, wait_until
from tests.machine import no_tracing, program

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
CALLS = "write,writev,sendto,sendmsg,openat,fsync,fdatasync,linkat,renameat,renameat2,mkdirat"
LINE = re.compile(r"(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)")


@dataclass(frozen=True)
class Call:
    """A system call. begun, ended: lines of the trace, which is in the order of what happened."""

    begun: int
    ended: int
    name: str
    text: str

    @property
    def is_good(self) -> bool:
        return not re.search(r"= -1 E\w+", self.text)


@pytest.fixture
def trace(tmp_path: Path) -> list[Call]:
    """The calls of a server around one acknowledgement; its first segment came before."""
    strace_path = program("strace")
    server = Server(tmp_path / "data")
    file, said = tmp_path / "trace", tmp_path / "said"
    try:
        server.start().send("first")
        command = [strace_path, "-f", "-y", "-s", "300", "-e", f"trace={CALLS}", "-o", str(file)]
        with said.open("wb") as stderr:
            strace = subprocess.Popen([*command, "-p", str(server.pid)], stderr=stderr)
        try:
            wait_until(lambda: strace.poll() is not None or "attached" in said.read_text())
            if strace.poll() is not None:
                no_tracing()
            server.send("second")
        finally:
            strace.send_signal(signal.SIGINT)
            strace.wait(30)
    finally:
        server.close()
    return list(_calls(file.read_text().splitlines()))


def test_a_quorum_fsyncs_links_and_fsyncs_the_directory_and_looks_before_the_ack(
    trace: list[Call],
) -> None:
    ack = next(c for c in trace if c.name != "openat" and '"HTTP/1.1 201' in c.text)
    links = [c for c in trace if c.name == "linkat" and '"ev/seg/' in c.text and c.is_good]

    durable = [_region(link) for link in links if _is_durable_before(ack, link, trace)]

    assert len(set(durable)) >= 2


def _is_durable_before(ack: Call, link: Call, trace: list[Call]) -> bool:
    """The file's fsync before its link, the folder's after it, then the look; then the ack."""
    root, temporary, key = _region(link), *re.findall(r'"([^"]+)"', link.text)[:2]
    folder = key.rpartition("/")[0]
    filled = _last(trace, "write", f"<{root}/{temporary}>", before=link.begun)
    synced = _last(trace, "fsync", f"<{root}/{temporary}>", before=link.begun)
    kept = _first(trace, "fsync", f"<{root}/{folder}>", after=link.ended)
    if filled is None or synced is None or kept is None or filled.ended >= synced.begun:
        return False
    fence = _first(trace, "openat", "/fence.note", after=kept.ended, root=root)
    cookie = fence and _first(trace, "openat", '"ev/region.note"', after=fence.ended, root=root)
    return cookie is not None and cookie.ended < ack.begun


def _last(trace: list[Call], name: str, shown: str, *, before: int) -> Call | None:
    found = [c for c in trace if c.name == name and shown in c.text and c.ended < before]
    return found[-1] if found and found[-1].is_good else None


def _first(trace: list[Call], name: str, shown: str, *, after: int, root: str = "") -> Call | None:
    found = (c for c in trace if c.name == name and shown in c.text and root in c.text)
    return next((c for c in found if c.begun > after), None)


def _region(link: Call) -> str:
    return link.text[link.text.index("<") + 1 : link.text.index(">")]


def _calls(lines: list[str]) -> Iterator[Call]:
    """Whole calls, in the order of their ends; what another thread cut in two is put together."""
    begun: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(lines):
        match = LINE.match(line)
        if match is None:
            continue
        thread, resumed, name, text = match.groups()
        if resumed:
            start, beginning = begun.pop(thread, (number, ""))
            yield Call(start, number, resumed, beginning + text)
        elif text.endswith("<unfinished ...>"):
            begun[thread] = (number, text.removesuffix("<unfinished ...>"))
        else:
            yield Call(number, number, name, text)
