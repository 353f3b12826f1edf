"""What a version of Holdfast says about the golden trail, by the code behind the command line."""

import contextlib
import hashlib
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from holdfast.cli.app import run
from holdfast.keep.objects import why_wrong
from holdfast.proof import names, note, statements
from holdfast.proof.note import VerifierKey
from holdfast.proof.statements import Birth, Closed, Heartbeat, Signed
from holdfast.regions import layout, segment
from holdfast.regions.kinds import Cookie, Fence, Vote, Whole
from holdfast.regions.layout import SegmentKey

GOLDEN = Path(__file__).parent
REGIONS, ANSWERS = GOLDEN / "regions", GOLDEN / "answers.json"
QUESTIONS: dict[str, tuple[str, ...]] = {
    "everything": ("search", "--limit", "1000"),
    "a tenant": ("search", "--tenant", "acme"),
    "an actor": ("search", "--actor", "mallory"),
    "an action": ("search", "--action", "batch.*", "--limit", "3"),
    "text": ("search", "--q", "☃"),
    "a time": ("search", "--to", "2026-01-01T00:00:00Z"),
    "an id": ("show", "login-1"),
    "what was never acknowledged": ("show", "never-1"),
    "count": ("search", "--count", "--by", "action"),
    "count by tenant": ("search", "--count", "--by", "tenant"),
    "completeness": ("completeness",),
    "status": ("status",),
    "reconcile": ("reconcile",),
    "reconcile again": ("reconcile",),
}
STATEMENTS: dict[str, type[Any]] = {
    "birth": Birth,
    "fence": Fence,
    "close": Vote,
    "closed": Closed,
}
# When this was asked, and words for people: everything else must be the same for ever.
PASSING = {"listed_from", "listed_to", "started", "ended", "reason"}


def answers_of(data: Path) -> dict[str, Any]:
    """Every answer, by its question. data: a directory with the golden regions; it is changed."""
    objects = {path: path.read_bytes() for path in sorted((data / "regions").rglob("*.*"))}
    answers: dict[str, Any] = {"objects": _objects(data / "regions", objects)}
    for title in QUESTIONS:
        code, said = ask(data, title)
        answers[title] = {"exit": code, "answer": said}
    return answers


def ask(data: Path, title: str) -> tuple[int, Any]:
    """The exit code, and what lasts of the answer."""
    arguments = [*QUESTIONS[title], "--data", str(data), "--json"]
    printed = io.TextIOWrapper(io.BytesIO(), "utf-8")
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
        code = run(arguments)
        sys.stdout.flush()
    said = json.loads(printed.buffer.getvalue())
    return code, _lasting(title, said)


def _lasting(title: str, said: Any) -> Any:
    """An answer without what differs from one asking to the next."""
    if title == "status":
        return {"repeats": said["reader"]["repeats"], "conflicts": said["reader"]["conflicts"]}
    if isinstance(said, dict):
        lasting = {name: _lasting("", each) for name, each in said.items() if name not in PASSING}
        if lasting.get("next"):
            lasting["next"] = "a cursor"
        return lasting
    if isinstance(said, list):
        return [_lasting("", each) for each in said]
    return said


def _objects(root: Path, objects: dict[Path, bytes]) -> dict[str, Any]:
    """Every object's verdict and what it says, once for all regions that hold the same bytes."""
    held = {str(path.relative_to(root)): data for path, data in objects.items()}
    cookie = statements.read(next(d for k, d in held.items() if k.endswith("/region.note")), Cookie)
    trail = names.trail_id(cookie.statement.trail_key)
    keys = dict(_node_keys(trail, held))
    told: dict[str, Any] = {}
    for path, data in held.items():
        region, _, key = path.partition("/")
        each = told.setdefault(f"{key} {hashlib.sha256(data).hexdigest()[:8]}", {"regions": []})
        each["regions"].append(region)
        each["is_intact"] = not why_wrong(key, data, trail, keys)
        each["says"] = _said(key, data, cookie, keys) if each["is_intact"] else None
    return told


def _node_keys(trail: str, held: dict[str, bytes]) -> Iterator[tuple[str, VerifierKey]]:
    for path, data in held.items():
        if path.endswith("/birth.note"):
            birth = statements.verify_birth(data, trail)
            key = birth.statement.node_key
            yield names.node_id(key), VerifierKey(birth.origin, key)


def _said(key: str, data: bytes, cookie: Signed[Cookie], keys: dict[str, VerifierKey]) -> Any:
    parsed = layout.parse_key(key)
    if isinstance(parsed, SegmentKey):
        verifier = keys[parsed.node]
        opened = segment.verify(data, parsed.name, verifier.public, verifier.name)
        segment.verify_tenants(opened, cookie.statement.tag_key, parsed.node)
        records = [hashlib.sha256(record).hexdigest()[:16] for record in opened.records]
        return {"records": records, "root_before": opened.trailer.root_before.hex()}
    if isinstance(parsed, layout.EpochKey):
        return _plain(statements.read(data, STATEMENTS[parsed.kind]).statement)
    if isinstance(parsed, layout.CheckpointKey):
        return _plain(note.verify_checkpoint(data, keys[parsed.node]))
    if isinstance(parsed, layout.WholeKey):
        return _plain(statements.read(data, Whole).statement)
    kind = Heartbeat if isinstance(parsed, layout.HeartbeatKey) else Cookie
    return _plain(statements.read(data, kind).statement)


def _plain(value: Any) -> Any:
    """A statement as JSON has it. Bytes: in hex; embedded notes: by their hash."""
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, bytes):
        short = len(value) <= 32
        return value.hex() if short else f"sha256 {hashlib.sha256(value).hexdigest()[:16]}"
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return value
