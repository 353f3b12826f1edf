"""What may stand behind the question mark: one table, read by the parser and by the schema. Pure.

A parameter that is not known is refused, never passed over: a misspelt filter would silently answer
a wider question than the one that was asked. So would one without a value, where that
means nothing. What a value means is checked where it is used
(`read.query`); here it is only read.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, get_args
from urllib.parse import unquote_plus

import msgspec

from holdfast.errors import Problem, RejectedError
from holdfast.model import JsonObject, Query
from holdfast.read.query import GROUPS, LIMIT_MAX, OUTCOMES, TEXT_CHARACTERS_MAX
from holdfast.serve.ui.asked import read_time
from holdfast.times import parse_time
from holdfast.verify.findings import Depth

PAIRS_MAX: Final = 32
EMPTY_MEANS_SOMETHING: Final = frozenset({"tenant", "cursor"})  # no tenant; the first page

_SPACE_FOR_PLUS = re.compile(r"(:\d\d(?:\.\d+)?) (\d\d:\d\d)$", re.ASCII)
_DURATION = re.compile(r"([1-9]\d{0,5})(s|m|h|d)", re.ASCII)
_UNIT_US: Final = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}

Value = str | int | tuple[str, ...]


class Parameter(NamedTuple):
    """A parameter of a URL. read: raises ValueError with a reason; schema: OpenAPI's. blank: may
    be empty, as a form sends what was not filled in."""

    name: str
    field: str
    read: Callable[[str], Value]
    schema: JsonObject
    meaning: str
    blank: bool = False


def _time(value: str) -> int:
    # In a URL a bare "+" means a space: an offset that was not escaped is still recognised.
    return parse_time(_SPACE_FOR_PLUS.sub(r"\1+\2", value))


def _typed_time(value: str) -> Value:
    """As people type it into a form; "" where they typed nothing."""
    return read_time(value.strip()) if value.strip() else ""


def _depth(value: str) -> str:
    if value not in DEPTHS:
        raise ValueError(f"is one of {', '.join(DEPTHS)}")
    return value


def _limit(value: str) -> int:
    if not re.fullmatch(r"\d{1,6}", value, re.ASCII):
        raise ValueError(f"must be a whole number from 1 to {LIMIT_MAX}")
    return int(value)


def _whole(value: str) -> int:
    if not re.fullmatch(r"0|[1-9]\d{0,15}", value, re.ASCII):
        raise ValueError("must be a whole number, 0 or more")
    return int(value)


def _by(value: str) -> tuple[str, ...]:
    return tuple(value.split(",")) if value else ()


def _bucket(value: str) -> int:
    found = _DURATION.fullmatch(value)
    if found is None:
        raise ValueError("must be a number and s, m, h or d, such as 15m")
    return int(found[1]) * _UNIT_US[found[2]]


def _records(value: str) -> str:
    if value not in _RECORDS:
        raise ValueError(f"must be one of {', '.join(_RECORDS)}")
    return value


def _all(value: str) -> str:
    if value != "all":
        raise ValueError("must be all, or not there")
    return value


def _sha256(value: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", value):
        raise ValueError("must be 64 hex digits")
    return value


def _kind(value: str) -> str:
    if value not in KINDS_OF_EXPORT:
        raise ValueError(f"must be one of {', '.join(KINDS_OF_EXPORT)}")
    return value


KINDS_OF_EXPORT: Final = ("ndjson", "csv", "parquet")
_RECORDS: Final = ("whole", "hashes")
_STRING: Final[JsonObject] = {"type": "string", "maxLength": TEXT_CHARACTERS_MAX}
_SIZE: Final[JsonObject] = {"type": "integer", "minimum": 0, "maximum": 10**15}
_TIME: Final[JsonObject] = {"type": "string", "format": "date-time"}

TENANT: Final = Parameter("tenant", "tenant", str, _STRING, "Exactly this tenant.")
FILTERS: Final = (
    Parameter("from", "from_us", _time, _TIME, "Events whose `time` is at or after this."),
    Parameter("to", "to_us", _time, _TIME, "Events whose `time` is before this."),
    TENANT,
    Parameter("actor", "actor", str, _STRING, "Exactly this actor: its id or its name."),
    Parameter(
        "action", "action", str, _STRING, "Exactly this action; with * at its end, a prefix."
    ),
    Parameter("target", "target", str, _STRING, "Exactly this target: its id or its name."),
    Parameter("outcome", "outcome", str, {"type": "string", "enum": [*OUTCOMES]}, "How it ended."),
    Parameter("ip", "ip", str, _STRING, "Exactly this source address."),
    Parameter("id", "id", str, _STRING, "Exactly this event id."),
    Parameter("q", "q", str, _STRING, "Text anywhere in the record, in any case."),
    Parameter("word", "word", str, _STRING, "The same, by whole words only."),
)
PAGING: Final = (
    Parameter(
        "limit",
        "limit",
        _limit,
        {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": 100},
        "Events a page.",
    ),
    Parameter("cursor", "cursor", str, _STRING, "The `next` of the page before."),
)
PLACE: Final = (
    Parameter("node", "node", str, _STRING, "In this node's ledger."),
    Parameter(
        "position",
        "position",
        _whole,
        _SIZE,
        "At this position there.",
    ),
)
COUNTING: Final = (
    Parameter(
        "by",
        "by",
        _by,
        {"type": "string", "examples": ["action,outcome"]},
        f"Count in groups: some of {', '.join(GROUPS)}, joined by commas.",
    ),
    Parameter(
        "bucket",
        "bucket_us",
        _bucket,
        {"type": "string", "pattern": f"^{_DURATION.pattern}$"},
        "Count over time, in bars of this width, such as 15m.",
    ),
)
SEARCH: Final = (*FILTERS, *PAGING)
COUNT: Final = (*FILTERS, *COUNTING)
EVENT: Final = (TENANT,)
PROOF: Final = (TENANT, *PLACE)
TAIL: Final = FILTERS
CONSISTENCY: Final = (
    Parameter("origin", "origin", str, _STRING, "The ledger's origin, as in its checkpoints."),
    Parameter("old", "old", _whole, _SIZE, "The smaller size, in segments."),
    Parameter("new", "new", _whole, _SIZE, "The larger size."),
)
CERTIFICATE: Final = (
    TENANT,
    Parameter("tenants", "tenants", _all, {"const": "all"}, "Of all tenants, instead of one."),
    Parameter("from", "from_us", _time, _TIME, "Events that were received at or after this."),
    Parameter("to", "to_us", _time, _TIME, "Events that were received before this."),
    Parameter(
        "records",
        "records",
        _records,
        {"type": "string", "enum": [*_RECORDS]},
        "Whether the records are in the file, or only their hashes.",
    ),
)
_FORMAT: Final = Parameter(
    "format",
    "format",
    _kind,
    {"type": "string", "enum": [*KINDS_OF_EXPORT], "default": "ndjson"},
    "What kind of file.",
)
EXPORT: Final = (_FORMAT, *FILTERS)
RECEIPT: Final = (
    _FORMAT,
    Parameter("from", "from_us", _time, _TIME, "Events that were received at or after this."),
    Parameter("to", "to_us", _time, _TIME, "Events that were received before this."),
    *FILTERS[2:],
)
EXPORT_ALL: Final = (
    *RECEIPT,
    Parameter("had", "had", _whole, _SIZE, "So many bytes of the file are not sent again."),
    Parameter(
        "had_sha256",
        "had_sha256",
        _sha256,
        {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "What those hash to.",
    ),
)
PAGE: Final = (
    Parameter("q", "q", str, _STRING, "What is typed: `actor:alice action:iam.* any words`."),
    Parameter("last", "last", str, {"type": "string"}, "Up to now: 5m, 15m, 1h, 24h, 7d or 30d."),
    *FILTERS[:-1],
    Parameter("cursor", "cursor", str, _STRING, "A page of results."),
)
SPAN: Final = (
    Parameter("span", "span", str, {"type": "string"}, "How far back: 1h, 24h, 7d, 30d or all."),
)
DEPTHS: Final = get_args(Depth)
PERIOD: Final = (
    Parameter("from", "from_us", _typed_time, _STRING, "Received at or after; UTC.", True),
    Parameter("to", "to_us", _typed_time, _STRING, "Received before; UTC.", True),
)
VERIFYING: Final = (
    Parameter("depth", "depth", _depth, {"enum": list(DEPTHS)}, "How deep: names, if not said."),
    *PERIOD,
)
NONE: Final[tuple[Parameter, ...]] = ()


def parse(query_string: bytes, known: tuple[Parameter, ...]) -> dict[str, Value]:
    """Read a URL's parameters.

    Args:
        query_string: as ASGI hands it over, percent-encoded, without "?".
        known: those that may be there, each at most once.
    Returns:
        Values by `Parameter.field`; what was not given is not there.
    Raises:
        RejectedError: unknown-parameter or bad-parameter; every bad one is named.
    """
    by_name = {parameter.name: parameter for parameter in known}
    values: dict[str, Value] = {}
    problems: list[Problem] = []
    unknown = False
    pairs = [pair for pair in query_string.split(b"&") if pair]
    if len(pairs) > PAIRS_MAX:
        raise RejectedError("bad-parameter", Problem(0, "", f"more than {PAIRS_MAX} parameters"))
    for pair in pairs:
        raw_name, _, raw_value = pair.decode("latin-1").partition("=")
        name = unquote_plus(raw_name, errors="replace")
        parameter = by_name.get(name)
        if parameter is None:
            unknown = True
            expected = ", ".join(by_name) or "none"
            problems.append(Problem(0, name[:80], f"is not known here; known: {expected}"))
            continue
        try:
            if parameter.field in values:
                raise ValueError("is given twice")
            if not raw_value and not (parameter.blank or name in EMPTY_MEANS_SOMETHING):
                raise ValueError("has no value: leave it out")
            values[parameter.field] = parameter.read(_unquote(raw_value))
        except ValueError as error:
            problems.append(Problem(0, name, str(error)))
    if problems:
        raise RejectedError("unknown-parameter" if unknown else "bad-parameter", *problems)
    return values


def _unquote(value: str) -> str:
    try:
        return unquote_plus(value, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None


def query_of(values: Mapping[str, Value]) -> Query:
    """The search that the parameters ask for."""
    fields = {name: value for name, value in values.items() if name in Query.__struct_fields__}
    return Query(**fields)  # type: ignore[arg-type]  # each was read by its own field's reader


class Proving(NamedTuple):
    """Which of the events under an id to prove: of whom (None: anyone), and where ("", None)."""

    tenant: str | None
    node: str
    position: int | None


def proving_of(values: Mapping[str, Value]) -> Proving:
    """The event that the parameters mean."""
    node, position = values.get("node", ""), values.get("position")
    assert isinstance(node, str), "as its parameter is read"
    assert position is None or isinstance(position, int), "as _whole reads it"
    return Proving(query_of(values).tenant, node, position)


class Certifying(NamedTuple):
    """What to certify: all events of a tenant (None: of all) that were received in [from_us,
    to_us); with their records, or by hashes alone."""

    tenant: str | None
    from_us: int
    to_us: int
    records: bool


def certifying_of(values: Mapping[str, Value]) -> Certifying:
    """The certificate that the parameters mean. Raises RejectedError: one is missing."""
    wanted = query_of(values)
    tenant = values.get("tenants", wanted.tenant)
    needed = {"tenant": tenant, "from": wanted.from_us, "to": wanted.to_us}
    missing = [Problem(0, name, "is missing") for name, value in needed.items() if value is None]
    if "tenants" in values and wanted.tenant is not None:
        missing.append(Problem(0, "tenant", "does not go with `tenants`"))
    if missing or wanted.from_us is None or wanted.to_us is None:
        raise RejectedError("bad-parameter", *missing)
    is_whole = values.get("records", "whole") == "whole"
    return Certifying(wanted.tenant, wanted.from_us, wanted.to_us, is_whole)


class Exporting(NamedTuple):
    """What to export: all records that match the query's filters and were received in [from_us,
    to_us), as a file of some kind; and what of it is there already."""

    from_us: int
    to_us: int
    query: Query
    kind: str
    had: int
    had_sha256: str


def exporting_of(values: Mapping[str, Value]) -> Exporting:
    """The export that the parameters mean. Raises RejectedError: one is missing."""
    wanted = query_of(values)
    needed: dict[str, object] = {"from": wanted.from_us, "to": wanted.to_us}
    if "had" in values or "had_sha256" in values:
        needed |= {name: values.get(name) for name in ("had", "had_sha256")}
    missing = [Problem(0, name, "is missing") for name, value in needed.items() if value is None]
    if missing or wanted.from_us is None or wanted.to_us is None:
        raise RejectedError("bad-parameter", *missing)
    had, sha256 = values.get("had", 0), values.get("had_sha256", "")
    assert isinstance(had, int), "as _whole reads it"
    assert isinstance(sha256, str), "as _sha256 reads it"
    query = msgspec.structs.replace(wanted, from_us=None, to_us=None)
    kind = str(values.get("format", "ndjson"))
    return Exporting(wanted.from_us, wanted.to_us, query, kind, had, sha256)


class Counting(NamedTuple):
    """What to count: by which fields, and in bars of which width (None: no histogram)."""

    query: Query
    by: tuple[str, ...]
    bucket_us: int | None


def counting_of(values: Mapping[str, Value]) -> Counting:
    """The count that the parameters ask for."""
    by, bucket_us = values.get("by", ()), values.get("bucket_us")
    assert isinstance(by, tuple), "as _by reads it"
    assert bucket_us is None or isinstance(bucket_us, int), "as _bucket reads it"
    return Counting(query_of(values), by, bucket_us)
