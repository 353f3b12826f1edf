"""How fast a trail is verified, and what a certificate of completeness takes.

By names: a ledger of small segments in three regions. By events: segments of 1,000 events, on one
core; every byte of all three copies is read and hashed, one copy is decompressed and all of its
records are verified. Certificates: of all of one tenant's events in a stretch of time, made
straight from the regions, then checked by `holdfast.proof` as an outsider would. The trails are
written straight into directories, in the very form that a node writes.
"""

import asyncio
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Final

from bench import certifying
from bench.events import Stream, make_pool
from bench.plan import Ground, Plan
from bench.report import Finding, Part, Table, median, spread
from holdfast.proof import ledger, names
from holdfast.proof.ledger import EMPTY_END
from holdfast.proof.note import Checkpoint
from holdfast.proof.statements import Birth, Heartbeat
from holdfast.regions import layout, signing
from holdfast.regions.kinds import Cookie, verify_cookie
from holdfast.regions.signing import SigningKey
from holdfast.regions.trailkey import TrailKey
from holdfast.settings import load
from holdfast.verify.findings import Depth, Report
from holdfast.verify.run import Question, Verification
from holdfast.wiring import real_host, real_regions
from holdfast.write import seal
from holdfast.write.admit import MEDIA_TYPES_OF_LINES, admit
from holdfast.write.identity import certify
from holdfast.write.record import finish

REGIONS: Final = ("a", "b", "c")
START_US: Final = 1_790_000_000_000_000
SECOND_US: Final = 1_000_000
NAMED_EVENTS: Final = 5  # a segment
DEEP_EVENTS: Final = 1_000  # a segment
TENANTS: Final = (1, 10, 147)
CHECKPOINT_EVERY: Final = 100  # segments
RATE_MIN: Final = 200_000  # events a second and core
WHY: Final = "parsing every record takes a third of the time, hashing three copies a third"


@dataclass(frozen=True)
class Measured:
    """A verification. wall_s, cpu_s: of this process, all threads of it."""

    report: Report
    wall_s: float
    cpu_s: float


def measure(ground: Ground) -> Part:
    """Takes about six minutes."""
    plan = ground.plan
    with ground.folder("verify") as folder:
        trail_of(folder / "names", plan.verify_names, NAMED_EVENTS, 2)
        walls = [verify(folder / "names", "names").wall_s for _ in range(plan.verify_rounds)]
        rates = {tenants: _rates(folder / f"{tenants}", tenants, plan) for tenants in TENANTS}
        certificates = certifying.certificates(folder, plan.certificate_s)
    told = f"names of {plan.verify_names:,} segments, three regions: s"
    rows = [(told, spread(walls, 2))]
    rows += [(_name(tenants), spread(found, 0)) for tenants, found in rates.items()]
    findings = (
        Finding(
            _name(tenants),
            median(found),
            RATE_MIN,
            "/s",
            is_least=True,
            samples=tuple(found),
            why=WHY,
        )
        for tenants, found in rates.items()
    )
    data = {"names_s": walls, "events_a_cpu_second": rates, "certificates": certificates}
    verified = Table("", ("", "measured"), tuple(rows))
    return Part("verify", (verified, certifying.table(certificates)), tuple(findings), data)


def _name(tenants: int) -> str:
    return f"events verified a CPU second, tenants a segment: {tenants}"


def _rates(data: Path, tenants: int, plan: Plan) -> list[float]:
    """Events a CPU second, by rounds."""
    trail_of(data, plan.verify_segments, DEEP_EVENTS, tenants)
    done = [verify(data, "events") for _ in range(plan.verify_rounds)]
    return [each.report.deep_events / each.cpu_s for each in done]


def verify(data: Path, depth: Depth) -> Measured:
    """Verify on this one process; whatever is not good ends the measuring."""
    settings = load(None, {}, {"data": str(data)})

    async def run() -> Report:
        with real_host() as host, real_regions(settings) as regions:
            await regions.verify()
            return await Verification(regions, host, Question(depth)).run()

    wall, cpu = time.perf_counter(), time.process_time()
    report = asyncio.run(run())
    measured = Measured(report, time.perf_counter() - wall, time.process_time() - cpu)
    if report.verdict != "good" or report.findings or (depth != "names" and not report.deep_events):
        raise RuntimeError(f"{data.name}: {report}")
    return measured


def trail_of(data: Path, segments: int, events: int, tenants: int) -> None:
    """Write a trail of one node into three directories."""
    trail = TrailKey(bytes(range(32)), "bench")
    cookies = {id: trail.cookie(id) for id in REGIONS}
    read = {id: verify_cookie(cookies[id], trail.trail).statement for id in REGIONS}
    for id, cookie in cookies.items():
        put(data, layout.REGION_KEY, cookie, (id,))
    seed = bytes([7]) * 32
    node = names.node_id(SigningKey.generate("unnamed", seed).public)
    key = SigningKey.generate(names.ledger_origin(trail.trail, node), seed)
    put(data, layout.birth_key(node, 1), birth_of(trail, key, read))
    end, at_us = EMPTY_END, START_US
    for groups in islice(requests(events, tenants), segments):
        at_us += SECOND_US
        encoded = seal.encode(key, read["a"].tag_key, end, 1, at_us, groups)
        end = ledger.extend(end, encoded.name)
        put(data, layout.segment_key(node, encoded.name), encoded.data)
        if end.size % CHECKPOINT_EVERY == 0:
            point = Checkpoint(key.name, end.size, end.root).text
            put(data, layout.checkpoint_key(node, end.size), signing.sign(point, key))
    beat = Heartbeat(1, 1, at_us, at_us, end.size, b"", ())
    put(data, layout.heartbeat_key(node), signing.write(beat, key.name, key))


def birth_of(trail: TrailKey, key: SigningKey, cookies: dict[str, Cookie]) -> bytes:
    birth = Birth(
        trail_key=trail.signing.public,
        node_key=key.public,
        certificate=certify(trail.trail, trail.signing, key.public, START_US),
        epoch=1,
        instance="0" * 32,
        started_us=START_US,
        quorum=2,
        regions=tuple((id, cookie.store) for id, cookie in sorted(cookies.items())),
        base=EMPTY_END,
    )
    return signing.write(birth, key.name, key)


def requests(events: int, tenants: int) -> Iterator[dict[str, list[bytes]]]:
    """Records by tenant, as a node would seal them: each tenant has an equal share."""
    stream = Stream(make_pool(1, 4, events), 1, START_US, 1000.0)
    for number in count(1):
        lines = [json.loads(line) for line in stream.draw().data.splitlines()]
        for at, event in enumerate(lines):
            event["tenant"] = f"tenant-{at % tenants}"
        body = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines).encode()
        received_us = START_US + number * SECOND_US
        records, _ = finish(admit(body, MEDIA_TYPES_OF_LINES[0]), received_us, "bench", bytes)
        groups: dict[str, list[bytes]] = {}
        for at, record in enumerate(records):
            groups.setdefault(f"tenant-{at % tenants}", []).append(record)
        yield groups


def put(data: Path, key: str, content: bytes, regions: Iterable[str] = REGIONS) -> None:
    for id in regions:
        path = data / "regions" / id / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
