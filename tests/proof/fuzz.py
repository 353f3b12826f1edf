"""Mutated and arbitrary bytes into every parser: `python -m tests.proof.fuzz MINUTES [SEED]`.

Whatever bytes come in, a parser accepts them or raises one of its named errors, and soon. Bytes are
made by changing genuine objects, most of them where their structure is: a number, a line, a field,
a note within a note. Notes are signed anew, so that what lies behind a signature is reached too.
And no proof of an event, and no certificate, holds once it was changed.
"""

import dataclasses
import hashlib
import io
import json
import random
import re
import sys
import time
import traceback
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from holdfast.archive import lines as evidence
from holdfast.proof import (
    ProofError,
    __main__,
    anchor,
    export,
    merkle,
    names,
    note,
    objects,
    statements,
    tenants,
)
from holdfast.proof.certificate import HeadOfAll
from holdfast.proof.event import EventProof
from holdfast.proof.names import SegmentName
from holdfast.proof.note import VerifierKey
from holdfast.regions import kinds, layout, segment, signing
from holdfast.regions.layout import FloorKey, HoldKey
from holdfast.regions.retained import verify_retained
from tests.proof import freeze, samples
from tests.proof.proofs import drained, genuine, written
from tests.proof.samples import CLOSER_KEY, NODE, NODE_KEY, ORIGIN, TAG_KEY, TRAIL, TRAIL_KEY
from tests.prove import lefts
from tests.prove.certificates import checked, proven, small

CALL_SECONDS_MAX = 5.0  # on a busy machine
ROUNDS_BETWEEN_LOOKS = 200  # at the clock
HUGE = "9" * 5000
NUMBERS = ("0", "1", "-1", "00", "1e3", "0.5", str(2**63 - 1), str(2**63), str(2**64), HUGE)
PIECES = (
    *(b"", b" ", b"\n", b"\n\n", b"\t", b"\x00", b"\x7f", b"\xff", b"\xe2\x80\xa8", b"+", b"=="),
    *(b"\xed\xa0\x80", b'"', b"\\", b"\\ud800", b"{", b"[" * 5000, "— ".encode(), b"null", b"-"),
)
THREE, SEVEN = (bytes([1, number]) + bytes(8) for number in (3, 7))
JSON_VALUES: tuple[object, ...] = (
    None,
    True,
    -1,
    0.5,
    10**30,
    "",
    "\ud800",
    [],
    {},
    [[]],
    ["AA=="],
    "x" * 5000,
)
KEYS = (TRAIL_KEY, NODE_KEY, CLOSER_KEY)
PROOFS = (written(genuine()), written(genuine(0, 0, closed=True)))
SEALED = samples.seal()
EVIDENCE = tuple(freeze.archived(SEALED.name, SEALED.data))
REMAINS = tuple(freeze.remains(SEALED.name))
CERTIFICATE = small("acme")
EXPORTED = samples.exported()
RECEIPT = samples.samples()["export"].data
SALT_ID = tenants.salt_id(segment.tenant_salt(TAG_KEY, "acme"))
SEGMENT = (samples.FROZEN / freeze.SEGMENT_FILE).read_bytes()
SEGMENT_NAME = SegmentName.parse(json.loads((samples.FROZEN / "segment.json").read_bytes())["name"])
LEFT = tuple(lefts.certificate(SEGMENT_NAME, SEGMENT, of, False) for of in ("acme", None))
LEFT_OF_ACME, LEFT_OF_ALL = (proven(data, SALT_ID, TRAIL) for data in LEFT)
CERTIFIED_ALL = proven(CERTIFICATE, SALT_ID, TRAIL)
RECORDS_OF_ALL = proven(small(None), None, TRAIL).records
CERTIFIED = statements.verify_certificate(samples.certificate_of(NODE_KEY), TRAIL).statement

Parse = Callable[[bytes], object]


@dataclass
class Target:
    """A parser, genuine input for it, and what came of what it was given.

    failures: messages; the input is in them.
    """

    name: str
    parse: Parse
    corpus: tuple[bytes, ...]
    accepted: int = 0
    refused: int = 0
    failures: list[str] = field(default_factory=list)

    def try_one(self, data: bytes, seed: str) -> None:
        """Give it these bytes; whatever it does but accept or refuse is a failure."""
        begun = time.perf_counter()
        try:
            self.parse(data)
            self.accepted += 1
        except ProofError:
            self.refused += 1
        except Exception:
            self.failures.append(f"{self.name} {seed}: {data[:2000]!r}\n{traceback.format_exc()}")
        if time.perf_counter() - begun > CALL_SECONDS_MAX:
            self.failures.append(f"{self.name} {seed}: took too long: {data[:2000]!r}")


# -- what is given to --------------------------------------------------------------------------


def of_text(parse: Callable[[str], object]) -> Parse:
    return lambda data: parse(data.decode("utf-8", "surrogateescape"))


def check(data: bytes) -> None:
    """As the command checks a file; a changed one must not hold."""
    for _ in __main__._steps(io.BytesIO(data), Namespace(trail=TRAIL, salt_id=None)):
        pass
    assert is_genuine(data), "a proof that was changed holds"


def certify(data: bytes) -> None:
    """The same of a certificate. What its first line states or asks for may be another."""
    found, _ = checked(data, SALT_ID, TRAIL)
    if isinstance(found, ProofError):
        raise found
    asked, ours = found.head, CERTIFIED_ALL.head
    if (asked.from_us, asked.to_us, asked.nodes) == (ours.from_us, ours.to_us, ours.nodes):
        assert found.records == CERTIFIED_ALL.records, "a certificate that was changed holds"
        assert found.absent == CERTIFIED_ALL.absent, "a certificate that was changed holds"


def of_all(data: bytes) -> None:
    """The same of a certificate of all tenants."""
    found, _ = checked(data, None, TRAIL)
    if isinstance(found, ProofError):
        raise found
    asked, ours = found.head, CERTIFIED_ALL.head
    if isinstance(asked, HeadOfAll) and (asked.from_us, asked.to_us, asked.nodes) == (
        *(ours.from_us, ours.to_us),
        ours.nodes,
    ):
        assert found.records == RECORDS_OF_ALL, "a certificate that was changed holds"


def receive(data: bytes) -> None:
    """The same of an export's receipt: whoever signs, it holds of this very file alone."""
    file = io.BytesIO(EXPORTED)
    said = drained(export.check(data, file, TRAIL, None, None)).said
    ours = samples.receipt_of(EXPORTED)
    told = (said.sha256, said.bytes, said.events, said.root)
    assert said.kind != "ndjson" or told == (ours.sha256, ours.bytes, ours.events, ours.root)


def deliver(data: bytes) -> None:
    """A changed file beside its receipt."""
    drained(export.check(RECEIPT, io.BytesIO(data), TRAIL, None, None))
    assert data == EXPORTED, "a file that was changed holds"


def of_left(data: bytes) -> None:
    """The same of certificates over a time of which something was let go."""
    found, _ = checked(data, SALT_ID, TRAIL)
    if isinstance(found, ProofError):
        raise found
    wanted = LEFT_OF_ALL if isinstance(found.head, HeadOfAll) else LEFT_OF_ACME
    asked, ours = found.head, wanted.head
    if (asked.from_us, asked.to_us, asked.nodes) == (ours.from_us, ours.to_us, ours.nodes):
        told = (found.hashes, found.absent, found.let_go)
        assert told == (wanted.hashes, wanted.absent, wanted.let_go), "a changed one holds"


def is_genuine(data: bytes) -> bool:
    """Whether it is one of the proofs but for notes, which may have been signed anew."""
    ours = [json.loads(proof) for proof in PROOFS]
    found = json.loads(data) | {"certificate": "", "head": ""}
    return found in [one | {"certificate": "", "head": ""} for one in ours]


def integers(data: bytes, count: int) -> list[int]:
    """Numbers of up to 9 bytes, small ones mostly, some negative."""
    found = []
    for at in range(0, 10 * count, 10):
        size, rest = (data[at : at + 1] or b"\0")[0] % 10, data[at + 1 : at + 10]
        found.append(int.from_bytes(rest[:size], "big", signed=size > 2))
    return found


def hashes(data: bytes) -> list[bytes]:
    return [data[at : at + 32] for at in range(0, len(data), 32)]


def inclusion(data: bytes) -> None:
    index, size = integers(data, 2)
    leaf, *path = hashes(data[20:]) or [b""]
    merkle.root_from_inclusion(leaf, index, size, path)


def consistency(data: bytes) -> None:
    old, new = integers(data, 2)
    one, other, *path = hashes(data[20:]) if len(data) > 52 else (b"", b"")
    merkle.verify_consistency(old, one, new, other, path)


def compact_range(data: bytes) -> None:
    (size,) = integers(data, 1)
    merkle.CompactRange(size, tuple(hashes(data[10:]))).append(bytes(32)).root()


def line_of(kind: type[objects.Kind]) -> Parse:
    return lambda data: objects.parse(data, kind)


def whole_segment(data: bytes) -> None:
    """Under a name with its hash, so that it is looked into."""
    name = dataclasses.replace(SEALED.name, sha256=hashlib.sha256(data).digest())
    opened = segment.verify(data, name, NODE_KEY.public, ORIGIN)
    segment.verify_tenants(opened, TAG_KEY, NODE)


def targets() -> list[Target]:
    """Every parser of `holdfast.proof`, and those that read the rest of a store."""
    known = {name: sample.data for name, sample in samples.samples().items()}
    trailer = SEALED.data[-segment.trailer_bytes(SEALED.data) :]
    signed = (*known.values(), samples.checkpoint(samples.fixed_end()), trailer[8:-4])
    texts = tuple(data.partition(b"\n\n")[0] + b"\n" for data in signed)
    keys = [key.verifier for key in KEYS]
    found: dict[str, tuple[Parse, tuple[bytes, ...]]] = {
        "check": (check, PROOFS),
        "certificate": (certify, (CERTIFICATE,)),
        "certificate of all": (of_all, (small(None),)),
        "certificate of what is left": (of_left, LEFT),
        "receipt": (receive, (RECEIPT,)),
        "exported file": (deliver, (EXPORTED,)),
        "evidence head": (line_of(evidence.Head), EVIDENCE),
        "evidence part": (line_of(evidence.Part), EVIDENCE),
        "evidence segment": (line_of(evidence.Archived), EVIDENCE),
        "remains head": (line_of(evidence.Remains), REMAINS),
        "remains segment": (line_of(evidence.Gone), REMAINS),
        "objects.parse": (lambda data: objects.parse(data, EventProof), PROOFS),
        "note.parse": (note.parse, signed),
        "note.verify": (lambda data: note.verify(data, keys), signed),
        "note.verify_checkpoint": (
            lambda data: note.verify_checkpoint(data, NODE_KEY.verifier),
            signed,
        ),
        "note.parse_checkpoint": (of_text(note.parse_checkpoint), texts),
        "VerifierKey.parse": (of_text(VerifierKey.parse), tuple(k.vkey.encode() for k in KEYS)),
        "SegmentName.parse": (of_text(SegmentName.parse), (SEALED.name.text.encode(),)),
        "parse_ledger_origin": (of_text(names.parse_ledger_origin), (ORIGIN.encode(),)),
        "anchor.verify_head": (lambda data: anchor.verify_head(data, CERTIFIED, TRAIL), signed),
        "verify_certificate": (lambda data: statements.verify_certificate(data, TRAIL), signed),
        "verify_birth": (lambda data: statements.verify_birth(data, TRAIL), signed),
        "verify_gap": (lambda data: statements.verify_gap(data, TRAIL), signed),
        "kinds.verify_cookie": (lambda data: kinds.verify_cookie(data, TRAIL), signed),
        "kinds.verify_archive": (lambda data: kinds.verify_archive(data, TRAIL), signed),
        "kinds.verify_whole": (lambda data: kinds.verify_whole(data, TRAIL), signed),
        "verify_retained floor": (
            lambda data: verify_retained(FloorKey("2026-11-24t10", "debug"), data, TRAIL),
            signed,
        ),
        "verify_retained hold": (
            lambda data: verify_retained(HoldKey("7" * 32), data, TRAIL),
            signed,
        ),
        "merkle inclusion": (inclusion, (THREE + SEVEN + bytes(128),)),
        "merkle consistency": (
            consistency,
            (THREE + SEVEN + bytes(192), THREE + THREE + bytes(64)),
        ),
        "merkle range": (compact_range, (THREE + bytes(64),)),
        "segment": (whole_segment, (SEALED.data,)),
        "segment trailer": (segment.read_trailer, (trailer, SEALED.data)),
        "layout.parse_key": (of_text(layout.parse_key), tuple(key.encode() for key in stored())),
    }
    for kind in samples.KINDS:
        read, parse = reading(kind)
        found |= {f"read {kind.KIND}": (read, signed), f"text {kind.KIND}": (parse, texts)}
    for kind in samples.KINDS:
        for _, key, line in kind.TABLE:
            given = [said for text in texts for said in text.split(b"\n")]
            values = [
                said.partition(b" ")[2] for said in given if said.startswith(f"{key} ".encode())
            ]
            found[f"word {kind.KIND} {key}"] = (of_text(line.word.read), tuple(values))
    return [Target(name, parse, corpus) for name, (parse, corpus) in found.items()]


def reading(kind: type[statements.Statement]) -> tuple[Parse, Parse]:
    return (
        lambda data: statements.read(data, kind),
        of_text(lambda text: statements.parse_text(text, kind)),
    )


def stored() -> Iterator[str]:
    """A key of each form."""
    yield from (layout.REGION_KEY, layout.WHOLE_KEY, layout.heartbeat_key(NODE))
    yield from (layout.segment_key(NODE, SEALED.name), layout.checkpoint_key(NODE, 7))
    yield from (layout.birth_key(NODE, 1), layout.closed_key(NODE, 2), layout.gap_key(NODE, 3, 5))
    yield layout.archived_key("2026-11-29", "default", "a" * 64)
    yield from (
        layout.archived_key("2026-11-29", "", "a" * 64),
        layout.archive_key("2026-11-29", 1),
        layout.retained_key(FloorKey("2026-11-29t13", "debug")),
        layout.retained_key(HoldKey("7" * 32)),
        layout.retained_key(HoldKey("7" * 32, is_release=True)),
    )


# -- what is given -----------------------------------------------------------------------------


def mutated(draw: random.Random, corpus: tuple[bytes, ...]) -> bytes:
    """Something like one of the corpus."""
    data = draw.choice(corpus)
    for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
        data = draw.choice(CHANGES)(draw, data, draw.choice(corpus))
    return signed_anew(draw, data) if draw.random() < 0.5 else data


def arbitrary(draw: random.Random, data: bytes, other: bytes) -> bytes:
    return draw.randbytes(draw.choice((0, 1, 8, 64, 300)))


def flip(draw: random.Random, data: bytes, other: bytes) -> bytes:
    at = draw.randrange(len(data) or 1)
    return data[:at] + bytes([draw.randrange(256)]) + data[at + 1 :]


def put(draw: random.Random, data: bytes, other: bytes) -> bytes:
    at = draw.randrange(len(data) + 1)
    return data[:at] + draw.choice(PIECES) + data[at + draw.choice((0, 0, 1, 5)) :]


def move(draw: random.Random, data: bytes, other: bytes) -> bytes:
    """A piece of one put into another, or left out, or said twice."""
    start, end = sorted(draw.choices(range(len(other) + 1), k=2))
    at = draw.randrange(len(data) + 1)
    return data[:at] + other[start:end] + data[draw.choice((at, min(at + end - start, 10**9))) :]


def number(draw: random.Random, data: bytes, other: bytes) -> bytes:
    found = list(re.finditer(rb"\d+", data))
    if not found:
        return data
    start, end = draw.choice(found).span()
    return data[:start] + draw.choice(NUMBERS).encode() + data[end:]


def lines(draw: random.Random, data: bytes, other: bytes) -> bytes:
    """Lines, or words of one, in another order, said twice, left out."""
    divider = draw.choice((b"\n", b"\n", b" ", b"-", b"/", b":", b","))
    parts = data.split(divider)
    at, to = draw.randrange(len(parts)), draw.randrange(len(parts))
    part = parts.pop(at) if draw.random() < 0.7 else parts[at]
    if draw.random() < 0.7:
        parts.insert(to, part)
    return divider.join(parts)


def json_field(draw: random.Random, data: bytes, other: bytes) -> bytes:
    """A field of a JSON object with another value, as it would be written."""
    try:
        found = json.loads(data)
        keys = list(found)
        found[draw.choice(keys)] = draw.choice((*JSON_VALUES, found[draw.choice(keys)]))
        text = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
        return f"{text}\n".encode("utf-8", "surrogatepass")
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        return data


def json_text(draw: random.Random, data: bytes, other: bytes) -> bytes:
    """A text in a JSON object changed; if it is a note, mostly signed anew."""
    try:
        found = json.loads(data)
        key = draw.choice([key for key, value in found.items() if isinstance(value, str)])
        text = draw.choice(IN_TEXT)(draw, found[key].encode(), found[key].encode())
        text = signed_anew(draw, text) if draw.random() < 0.8 else text
        found[key] = text.decode("utf-8", "replace")
        return f"{json.dumps(found, ensure_ascii=False, separators=(',', ':'))}\n".encode()
    except (ValueError, TypeError, AttributeError, IndexError, RecursionError):
        return data


def of_a_line(draw: random.Random, data: bytes, other: bytes) -> bytes:
    """One line of several changed, as such a line would be."""
    parts = data.splitlines(keepends=True)
    if not parts:
        return data
    at = draw.randrange(len(parts))
    parts[at] = draw.choice((json_field, json_text, put))(draw, parts[at], parts[at])
    return b"".join(parts)


IN_TEXT = (flip, put, move, number, number, lines)
CHANGES = (*IN_TEXT, *IN_TEXT, arbitrary, json_field, json_text, json_text, of_a_line)


def signed_anew(draw: random.Random, data: bytes) -> bytes:
    """The text before the signatures, signed by one of the keys, if it can be a note's."""
    try:
        text = data.rpartition(b"\n\n")[0].decode() + "\n"
        return signing.sign(text, draw.choice(KEYS), bytes_max=kinds.TRAILER_BYTES_MAX)
    except (ProofError, UnicodeDecodeError):
        return data


# -- running -----------------------------------------------------------------------------------


def run(rounds: int, seed: int, *, seconds: float | None = None) -> list[Target]:
    """Give every parser so many mutated inputs, and go on until the time is over."""
    tried, at = targets(), 0
    ends = None if seconds is None else time.monotonic() + seconds
    while at < rounds or (ends is not None and time.monotonic() < ends):
        for target in tried:
            name = f"{seed}:{at}:{target.name}"
            draw = random.Random(name)
            for n in range(ROUNDS_BETWEEN_LOOKS if seconds else 1):
                target.try_one(mutated(draw, target.corpus), f"{name} #{n}")
        at += 1
    return tried


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def main(arguments: list[str]) -> int:
    """MINUTES [SEED]: fuzz for so long, and print what came of it."""
    minutes, seed = float(arguments[0]), int(arguments[1]) if arguments[1:] else time.time_ns()
    tried = run(1, seed, seconds=60 * minutes)
    for target in tried:
        say(f"{target.name:32} {target.accepted:9} accepted {target.refused:9} refused")
        for failure in target.failures[:3]:
            say(failure)
    inputs = sum(target.accepted + target.refused for target in tried)
    failures = sum(len(target.failures) for target in tried)
    say(f"seed {seed}: {inputs} inputs, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
