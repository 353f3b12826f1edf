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
from holdfast.proof import ledger, names, tenants
from holdfast.proof.ledger import EMPTY_END, LedgerEnd
from holdfast.proof.note import Checkpoint
from holdfast.proof.statements import Birth, Certificate, Heartbeat
from holdfast.regions import kinds, layout, segment, signing
from holdfast.regions.signing import SigningKey
from holdfast.regions.trailkey import TrailKey
from holdfast.times import format_us
from holdfast.write import seal

REGIONS: Final = ("a", "b", "c")
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


class Writer:
    """A node's ledger, written into the directories of two regions; the third has its cookie."""

    def __init__(self, data: Path, start_us: int) -> None:
        self._roots = [data / "regions" / id for id in REGIONS]
        self._trail = TrailKey(bytes(range(32)), "bench")
        for root, id in zip(self._roots, REGIONS, strict=True):
            self._put([root], "ev/region.note", self._trail.cookie(id))
        cookies = [kinds.verify_cookie(self._trail.cookie(id), self.trail) for id in REGIONS]
        self._tag_key = cookies[0].statement.tag_key
        public = SigningKey.generate("unnamed", bytes(32)).public
        self._node = names.node_id(public)
        self._origin = names.ledger_origin(self.trail, self._node)
        self._key = SigningKey.generate(self._origin, bytes(32))
        self._end: LedgerEnd = EMPTY_END
        certified = Certificate(self._trail.signing.public, self._node, public, start_us)
        note = signing.write(certified, self._trail.signing.name, self._trail.signing)
        stores = tuple(
            (id, each.statement.store) for id, each in zip(REGIONS, cookies, strict=True)
        )
        birth = Birth(
            *(certified.trail_key, public, note, 1, "1" * 32, start_us, 2, stores, EMPTY_END)
        )
        self._put(self._roots[:2], layout.birth_key(self._node, 1), self._signed(birth))

    @property
    def trail(self) -> str:
        return self._trail.trail

    def salt_id(self, tenant: str) -> str:
        return tenants.salt_id(segment.tenant_salt(self._tag_key, tenant))

    def segment(self, sealed_us: int, groups: dict[str, list[bytes]]) -> None:
        encoded = seal.encode(self._key, self._tag_key, self._end, 1, sealed_us, groups)
        self._end = ledger.extend(self._end, encoded.name)
        key = layout.segment_key(self._node, encoded.name)
        self._put(self._roots[:1], key, encoded.data)
        self._link(key)

    def beat(self, now_us: int) -> None:
        """The last word: all that was sealed, and its checkpoint."""
        text = Checkpoint(self._origin, self._end.size, self._end.root).text
        note = signing.sign(text, self._key)
        beat = Heartbeat(1, 1, now_us, now_us, self._end.size, note, ())
        self._put(self._roots[:2], layout.heartbeat_key(self._node), self._signed(beat))

    def _signed(self, statement: Birth | Heartbeat) -> bytes:
        return signing.write(statement, self._origin, self._key)

    def _put(self, roots: list[Path], key: str, data: bytes) -> None:
        for root in roots:
            path = root / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def _link(self, key: str) -> None:
        path = self._roots[1] / key
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(self._roots[0] / key, path)


def lines(shape: Shape, start_us: int) -> Iterator[tuple[str, bytes]]:
    """Events without end, each with its tenant, all tenants alike often."""
    draw = Random(shape.seed)
    stream = Stream(make_pool(shape.seed, batches=16), shape.seed, start_us, US / shape.rate)
    for batch in stream:
        for line, tenant in zip(batch.lines, batch.tenants, strict=True):
            other = f"tenant-{draw.randrange(shape.tenants)}"
            yield other, line.replace(b'"%b"' % tenant, b'"%b"' % other.encode(), 1)


def write(shape: Shape, data: Path) -> tuple[Writer, int]:
    """The trail, and when its first event was received."""
    now_us = time.time_ns() // 1000
    start_us = now_us - MARGIN_US - shape.seconds * US
    writer, events = Writer(data, start_us - US), lines(shape, start_us)
    interval_us = shape.seal_ms * 1000
    a_segment = shape.rate * shape.seal_ms // 1000
    for sealed_us in range(start_us + interval_us, start_us + shape.seconds * US + 1, interval_us):
        groups: dict[str, list[bytes]] = {}
        for n in range(a_segment):
            tenant, line = next(events)
            received = format_us(sealed_us - (a_segment - 1 - n) * interval_us // a_segment)
            record = b'%b,"received":"%b","principal":"bench"}' % (line[:-1], received.encode())
            groups.setdefault(tenant, []).append(record)
        writer.segment(sealed_us, groups)
    writer.beat(now_us)
    return writer, start_us


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
        writer, start_us = write(shape, folder / "data")
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
            check = ["check", str(file), "--trail", writer.trail, "--json"]
            checking = [*python, "holdfast.proof", *check, "--salt-id", writer.salt_id(shape.asked)]
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
