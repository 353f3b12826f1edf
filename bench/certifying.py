"""How large a certificate of completeness is, and how long it takes.

A trail is written into directories as a node at a constant rate would have left it: by the code
that seals, but without waiting for the hours to pass. Then the commands are run as anyone would
run them: `holdfast certify` straight from the regions, and `python -m holdfast.proof check`.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any, Final

from bench.events import Stream, make_pool
from bench.processes import tail
from bench.report import Table
from bench.trails import Ledger, Trail
from holdfast.times import format_us

HOLDERS: Final = ("a", "b")  # of three regions; the third has its cookie
TENANTS: Final = (1, 147)
RATE: Final = 1_000  # events a second
SEAL_MS: Final = 50
KINDS: Final = {"records": (), "hashes": ("--no-records",)}
MARGIN_US: Final = 60_000_000  # after the events, so that what is asked for is complete
US: Final = 1_000_000
LOOK_S: Final = 0.02  # between two looks at a command's memory


@dataclass(frozen=True)
class Shape:
    """What the trail is like. asked: the tenant whose certificates are made."""

    seconds: int
    rate: int
    tenants: int
    seal_ms: int
    seed: int

    @property
    def asked(self) -> str:
        return "tenant-0"


def lines(shape: Shape, start_us: int) -> Iterator[tuple[str, bytes]]:
    """Events without end, each with its tenant, all tenants alike often."""
    draw = Random(shape.seed)
    stream = Stream(make_pool(shape.seed, batches=16), shape.seed, start_us, US / shape.rate)
    for batch in stream:
        for line, tenant in zip(batch.lines, batch.tenants, strict=True):
            other = f"tenant-{draw.randrange(shape.tenants)}"
            yield other, line.replace(b'"%b"' % tenant, b'"%b"' % other.encode(), 1)


def write(shape: Shape, data: Path) -> tuple[Trail, int]:
    """The trail, and when its first event was received."""
    now_us = time.time_ns() // 1000
    start_us = now_us - MARGIN_US - shape.seconds * US
    trail = Trail(data / "regions")
    ledger, events = Ledger(trail, 0, start_us - US, HOLDERS), lines(shape, start_us)
    interval_us = shape.seal_ms * 1000
    a_segment = shape.rate * shape.seal_ms // 1000
    for sealed_us in range(start_us + interval_us, start_us + shape.seconds * US + 1, interval_us):
        groups: dict[str, list[bytes]] = {}
        for n in range(a_segment):
            tenant, line = next(events)
            received = format_us(sealed_us - (a_segment - 1 - n) * interval_us // a_segment)
            record = b'%b,"received":"%b","principal":"bench"}' % (line[:-1], received.encode())
            groups.setdefault(tenant, []).append(record)
        ledger.segment(sealed_us, groups)
    ledger.beat(now_us)
    return trail, start_us


@dataclass(frozen=True)
class Ran:
    """A command's end. cpu_seconds: of all its processes, whatever else the machine did meanwhile.
    memory_mib: the most that the first of them had resident."""

    seconds: float
    cpu_seconds: float
    memory_mib: int


def run(command: list[str], out: Path) -> Ran:
    """Run one to its end, its answer into a file; what fails is an error."""
    begin, memory_kib = time.monotonic(), 0
    log = out.with_name("log")
    with out.open("wb") as sink, log.open("wb") as said:
        process = subprocess.Popen(command, stdout=sink, stderr=said)
        # Not `ru_maxrss`: that of a child begins with what its parent had.
        while True:
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            memory_kib = max(memory_kib, _peak_kib(process.pid))
            time.sleep(LOOK_S)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{process.returncode} from {' '.join(command)}:\n{tail(log)}")
    cpu = used.ru_utime + used.ru_stime
    return Ran(time.monotonic() - begin, cpu, memory_kib // 1024)


def _peak_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0  # it ended


def certificates(directory: Path, seconds: int) -> list[dict[str, Any]]:
    """Of a trail with one tenant, and of one with many."""
    shape = Shape(seconds, RATE, 1, SEAL_MS, 1)
    return [_certify(replace(shape, tenants=tenants), directory) for tenants in TENANTS]


def table(found: list[dict[str, Any]]) -> Table:
    """A row a certificate."""
    head = (
        *("certificate", "its records", "segments", "MB", "made: CPU s"),
        *("MiB at most", "checked: CPU s", "MiB at most"),
    )
    title = "Certificates of one tenant, {seconds} s of {rate:,} events a second in all:"
    rows = (_row(each["shape"]["tenants"], kind, each[kind]) for each in found for kind in KINDS)
    return Table(title.format(**found[0]["shape"]), head, tuple(rows))


def _row(tenants: int, kind: str, made: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"with {kind}, one of {tenants} tenants"
        if tenants > 1
        else f"with {kind}, the only tenant",
        f"{made['records']:,}",
        f"{made['segments'] + made['without']:,}",
        f"{made['bytes'] / 1e6:.1f}",
        f"{made['made_cpu_s']:.1f}",
        f"{made['made_mib']:,}",
        f"{made['checked_cpu_s']:.1f}",
        f"{made['checked_mib']:,}",
    )


def _certify(shape: Shape, directory: Path) -> dict[str, Any]:
    """Write a trail, certify it whole, check what came, and remove it."""
    folder = Path(mkdtemp(prefix="holdfast-bench-", dir=directory))
    try:
        begin = time.monotonic()
        trail, start_us = write(shape, folder / "data")
        found: dict[str, Any] = {"shape": shape.__dict__, "written_s": time.monotonic() - begin}
        where = ["--data", str(folder / "data")]
        python = [sys.executable, "-m"]
        times = [format_us(start_us), format_us(start_us + shape.seconds * US + 1)]
        answer = folder / "answer"
        read = run([*python, "holdfast", "completeness", *where], answer)
        found |= {"read_first_s": read.seconds, "read_first_cpu_s": read.cpu_seconds}
        asked = ["--tenant", shape.asked, "--from", times[0], "--to", times[1]]
        for name, more in KINDS.items():
            file = folder / name
            made = run([*python, "holdfast", "certify", *asked, *where, *more], file)
            check = ["check", str(file), "--trail", trail.id, "--json"]
            checking = [*python, "holdfast.proof", *check, "--salt-id", trail.salt_id(shape.asked)]
            checked = run(checking, answer)
            told = json.loads(answer.read_bytes())["proven"]
            found[name] = {
                "bytes": file.stat().st_size,
                "made_s": made.seconds,
                "made_cpu_s": made.cpu_seconds,
                "made_mib": made.memory_mib,
                "checked_s": checked.seconds,
                "checked_cpu_s": checked.cpu_seconds,
                "checked_mib": checked.memory_mib,
                "records": told["records in these segments"],
                "segments": told["segments that may hold some"],
                "without": told["of them without the tenant"],
            }
        return found
    finally:
        rmtree(folder, ignore_errors=True)
