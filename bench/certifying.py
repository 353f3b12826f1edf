"""`python -m bench.certifying`: how large a certificate of completeness is, and how long it takes.

A trail is written into directories as a node at a constant rate would have left it: by the code
that seals, but without waiting for the hours to pass. Then the commands are run as anyone would
run them: `holdfast certify` straight from the regions, and `python -m holdfast.proof check`.
"""

import argparse
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
from typing import Final

from bench.events import Stream, make_pool
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
MARGIN_US: Final = 60_000_000  # after the events, so that what is asked for is complete
US: Final = 1_000_000


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
    memory_mib: the most that one of them had resident."""

    seconds: float
    cpu_seconds: float
    memory_mib: int


def run(command: list[str], out: Path) -> Ran:
    """Run one to its end, its answer into a file; what fails is an error."""
    begin = time.monotonic()
    with out.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{process.returncode} from {' '.join(command)}")
    cpu = used.ru_utime + used.ru_stime
    return Ran(time.monotonic() - begin, cpu, used.ru_maxrss // 1024)


def measure(shape: Shape, directory: Path) -> dict[str, object]:
    """Write a trail, certify it whole, check what came, and remove it."""
    folder = Path(mkdtemp(prefix="holdfast-bench-", dir=directory))
    try:
        begin = time.monotonic()
        writer, start_us = write(shape, folder / "data")
        found: dict[str, object] = {"shape": shape.__dict__, "written_s": time.monotonic() - begin}
        where = ["--data", str(folder / "data")]
        python = [sys.executable, "-m"]
        times = [format_us(start_us), format_us(start_us + shape.seconds * US + 1)]
        answer = folder / "answer"
        read = run([*python, "holdfast", "completeness", *where], answer)
        found |= {"read_first_s": read.seconds, "read_first_cpu_s": read.cpu_seconds}
        asked = ["--tenant", shape.asked, "--from", times[0], "--to", times[1]]
        for name, more in (("records", []), ("hashes", ["--no-records"])):
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


def main() -> int:
    parser = argparse.ArgumentParser("python -m bench.certifying", description=__doc__)
    parser.add_argument("--seconds", type=int, default=300, help="of the trail (default: 300)")
    parser.add_argument("--rate", type=int, default=1_000, help="events a second")
    parser.add_argument("--tenants", type=int, nargs="+", default=[1, 147])
    parser.add_argument("--seal-ms", type=int, nargs="+", default=[50, 250])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--directory", type=Path, help="on a disk (default: the temporary one)")
    parser.add_argument("--json", type=Path, help="keep the figures here")
    options = parser.parse_args()
    first = Shape(options.seconds, options.rate, 1, 50, options.seed)
    figures = []
    for seal_ms in options.seal_ms:
        for count in options.tenants:
            shape = replace(first, tenants=count, seal_ms=seal_ms)
            found = measure(shape, options.directory)
            figures.append(found)
            print(json.dumps(found), flush=True)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
