"""A trail of a few events, made of the files that the read engine takes, and a naive reading of it.

The naive reading shares no code with the engine: `json`, `re` and sorting.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backports import zstd
from hypothesis import strategies as st

from holdfast.model import Query
from holdfast.read.decode import facts
from holdfast.read.sources import SegmentSource
from holdfast.times import format_us, parse_time

NODES = ("0a" * 16, "f1" * 16)
START_US = 1_700_000_000_000_000
SECOND_US = 1_000_000
SKIPPABLE = 0x184D2A50

Event = dict[str, Any]


@dataclass(frozen=True)
class Stored:
    """One event, where it lies, and what is read of it."""

    node: str
    segment: int
    position: int
    record: bytes
    event: Event
    time_us: int

    @property
    def order(self) -> tuple[int, str, int]:
        return self.time_us, self.node, self.position


def record_of(event: Event, received_us: int, *, ascii_only: bool = False) -> bytes:
    """The line that is stored of an event."""
    whole = event | {"received": format_us(received_us), "principal": "token:a"}
    return json.dumps(whole, separators=(",", ":"), ensure_ascii=ascii_only).encode()


class Trail:
    """Writes segments into a directory, and remembers what is in them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.sources: list[SegmentSource] = []
        self.stored: list[Stored] = []
        self._ends: dict[str, tuple[int, int]] = {}

    def add(self, node: str, records: Sequence[bytes]) -> SegmentSource:
        """Seal some records as the node's next segment."""
        index, first = self._ends.get(node, (0, 0))
        self._ends[node] = (index + 1, first + len(records))
        lines = b"".join(record + b"\n" for record in records)
        data = zstd.compress(lines) + _trailer(node, index, first)
        digest = hashlib.sha256(data).hexdigest()
        path = self.directory / f"{node}-{index:04}-{digest}.ndjson.zst"
        path.write_bytes(data)
        stored = [_stored(node, index, first + n, record) for n, record in enumerate(records)]
        self.stored += stored
        source = SegmentSource(
            node=node,
            index=index,
            first=first,
            count=len(records),
            path=str(path),
            sha256=digest,
            time_min_us=min(one.time_us for one in stored),
            time_max_us=max(one.time_us for one in stored),
            tenants=facts(records).tenants,
        )
        self.sources.append(source)
        return source

    def newest_first(self, query: Query) -> list[Stored]:
        """Every event that a query wants, whatever its limit and cursor."""
        found = [one for one in self.stored if wants(query, one)]
        return sorted(found, key=lambda one: one.order, reverse=True)


def _trailer(node: str, index: int, first: int) -> bytes:
    """A skippable frame that makes a segment's bytes its own, as the signed one does."""
    note = f"{node} {index} {first}".encode()
    return SKIPPABLE.to_bytes(4, "little") + len(note).to_bytes(4, "little") + note


def _stored(node: str, segment: int, position: int, record: bytes) -> Stored:
    event = json.loads(record)
    time_us = parse_time(event.get("time") or event["received"])
    return Stored(node, segment, position, record, event, time_us)


def wants(query: Query, one: Stored) -> bool:
    """Whether a query wants an event."""
    event = one.event
    actor = event.get("actor", {})
    action = event.get("action", "")
    targets = [target.get(key) for target in event.get("targets", []) for key in ("id", "name")]
    return (
        (query.from_us is None or one.time_us >= query.from_us)
        and (query.to_us is None or one.time_us < query.to_us)
        and (query.tenant is None or event.get("tenant", "") == query.tenant)
        and (not query.actor or query.actor in (actor.get("id"), actor.get("name")))
        and (
            action.startswith(query.action[:-1])
            if query.action.endswith("*")
            else query.action in ("", action)
        )
        and (not query.target or query.target in targets)
        and query.outcome in ("", event.get("outcome", ""))
        and query.ip in ("", event.get("source", {}).get("ip", ""))
        and query.id in ("", event.get("id", ""))
        and (not query.q or _holds(one.record.decode(), query.q))
        and (not query.word or _holds(one.record.decode(), query.word, WHOLE))
    )


# Neither begun nor ended within a word: what is before it is no letter, or the last one of an
# escape; what is behind it is no letter.
WHOLE = (r"(?:(?<![\w\-])|(?<=\\[bfnrt]))", r"(?![\w\-])")


def _holds(record: str, text: str, bounds: tuple[str, str] = ("", "")) -> bool:
    ways = [
        text,
        *(json.dumps(t, ensure_ascii=a)[1:-1] for t in _cases(text) for a in (True, False)),
    ]
    before, after = bounds
    return any(re.search(before + re.escape(way) + after, record, re.IGNORECASE) for way in ways)


def _cases(text: str) -> tuple[str, str, str]:
    return text, text.lower(), text.upper()


TENANTS = ("", "acme", "Bolt", "ünï")
NAMES = ("u1", "u2", "root", "Zoë", 'a"b\\c')
ACTIONS = ("iam.create", "iam.delete", "iamx", "s3.get", "S3.get")
OUTCOMES = ("success", "failure", "denied", "unknown")
IPS = ("10.0.0.1", "10.0.0.2", "2001:db8::1")
WORDS = (
    "approved",
    "APPROVED by",
    "ticket TCK-42",
    "Tck-42",
    "Straße",
    "naïve",
    "a\nb",
    "☃",
    "x" * 70,
)
SHAPES = ("{}Z", "{}.5Z", "{}.123Z", "{}.123456Z", "{}.123456789Z", "{}+02:00", "{}.25-03:30")


def _times() -> st.SearchStrategy[str]:
    seconds = st.integers(-5, 20).map(lambda n: format_us(START_US + n * SECOND_US)[:19])
    return st.builds(lambda shape, second: shape.format(second), st.sampled_from(SHAPES), seconds)


def _named() -> st.SearchStrategy[Event]:
    return st.fixed_dictionaries(
        {"type": st.just("user")},
        optional={"id": st.sampled_from(NAMES), "name": st.sampled_from(NAMES)},
    )


def events() -> st.SearchStrategy[Event]:
    """Events whose fields meet often."""
    return st.fixed_dictionaries(
        {"id": st.sampled_from([f"id-{n}" for n in range(12)]), "action": st.sampled_from(ACTIONS)},
        optional={
            "time": _times(),
            "tenant": st.sampled_from(TENANTS),
            "actor": _named(),
            "targets": st.lists(_named(), max_size=3),
            "outcome": st.sampled_from(OUTCOMES),
            "source": st.fixed_dictionaries({}, optional={"ip": st.sampled_from(IPS)}),
            "reason": st.sampled_from(WORDS),
            "payload": st.dictionaries(st.text(max_size=4), st.text(max_size=12), max_size=2),
        },
    )


def records() -> st.SearchStrategy[bytes]:
    """Records of such events, as different senders would write them."""
    return st.builds(
        lambda event, second, ascii_only: record_of(
            event, START_US + second * SECOND_US, ascii_only=ascii_only
        ),
        events(),
        st.integers(0, 20),
        st.booleans(),
    )


TEXTS = ("APPROVED", "TCK-42", "straSSe", "straße", "NAÏVE", "a\nb", "☃", 'a"b\\c', "zoë", "id-1")

WHOLE_TEXTS = ("tck-42", "TCK", "42", "by", "approved BY", "NAÏVE", "b", "a\nb", "root", "Zo")


def _seldom(values: tuple[str, ...]) -> st.SearchStrategy[str]:
    return st.sampled_from(("",) * 12 * len(values) + values)


def queries() -> st.SearchStrategy[Query]:
    """Queries that often match something."""
    some = st.sampled_from
    times = st.integers(-6, 21).map(lambda n: START_US + n * SECOND_US + 123_456)
    return st.builds(
        Query,
        from_us=st.none() | times.map(lambda us: us - 8 * SECOND_US),
        to_us=st.none() | times.map(lambda us: us + 14 * SECOND_US),
        tenant=some((None,) * 12 + TENANTS),
        actor=_seldom(NAMES),
        action=_seldom(("iam.*", "iam.create", "S3.*", "*", "none")),
        target=_seldom(NAMES),
        outcome=_seldom(OUTCOMES),
        ip=_seldom(IPS),
        id=_seldom(("id-1", "id-2", "none")),
        q=_seldom(TEXTS),
        word=_seldom(WHOLE_TEXTS),
        limit=st.integers(1, 12),
    ).filter(_is_forwards)


def _is_forwards(query: Query) -> bool:
    return query.from_us is None or query.to_us is None or query.from_us < query.to_us
