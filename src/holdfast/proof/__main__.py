"""Check a file that proves something about an audit trail, or run vectors that others published.

Exit codes: 0 proven, 1 refuted, 2 bad usage, 3 could not be checked, 4 proven with a gap.
"""

import argparse
import contextlib
import json
import re
import sys
from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO, Protocol

from holdfast.proof import certificate, event, export, names, vectors
from holdfast.proof.errors import MalformedError, ProofError


class Proven(Protocol):
    """What a check ends with. code: 0; 4 where it names a gap; 3 where what matters is only
    stated, for that reason."""

    @property
    def code(self) -> int: ...
    @property
    def reason(self) -> str: ...

    def facts(self) -> dict[str, object]:
        """What is proven: names in plain words, values for JSON."""


Steps = Generator[str, None, Proven]
Checker = Callable[[bytes, BinaryIO, argparse.Namespace], Steps]

# Of (first line, the rest of the file, what was asked), by the format that stands in the file.
CHECKERS: dict[str, Checker] = {
    event.EventProof.MARK[1]: lambda line, rest, asked: event.check(
        line + rest.read(1), asked.trail
    ),
    **dict.fromkeys(
        [kind.MARK[1] for kind in certificate.HEADS],
        lambda line, rest, asked: certificate.check(line, rest, asked.trail, asked.salt_id),
    ),
}
VERDICTS = {0: "PROVEN", 1: "REFUTED", 3: "COULD NOT BE CHECKED", 4: "PROVEN WITH A GAP"}
_FORMAT = re.compile(rb'\{"format":"([!#-\[\]-~]{1,80})"')


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    parser = argparse.ArgumentParser("python -m holdfast.proof", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser("check", help="check a file, step by step")
    check.add_argument("file", metavar="FILE", help="- for standard input")
    trail_help = "the trail's id, 32 hex digits: know it from elsewhere, not from who gave the file"
    check.add_argument(
        "--trail",
        metavar="ID",
        type=partial(_checked, names.check_id),
        required=True,
        help=trail_help,
    )
    salt_help = "the tenant's salt id, 64 hex digits, known in the same way: for a certificate"
    check.add_argument(
        "--salt-id", metavar="S", type=partial(_checked, names.check_hash), help=salt_help
    )
    check.add_argument(
        "--file",
        dest="exported",
        metavar="FILE",
        help="of an export's receipt: else as it is named",
    )
    check.add_argument(
        "--certificate", metavar="FILE", help="of completeness, beside an export's receipt"
    )
    check.add_argument("--json", action="store_true", help="one JSON object")
    check.set_defaults(run=_check)
    published = commands.add_parser("vectors", help="run the published vectors below a folder")
    published.add_argument("folder", metavar="DIR", type=Path)
    published.set_defaults(run=_vectors)
    asked = parser.parse_args(arguments)
    code: int = asked.run(asked)
    return code


def _checked(check: Callable[[str], str], text: str) -> str:
    try:
        return check(text)
    except MalformedError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _check(asked: argparse.Namespace) -> int:
    claims: list[str] = []
    facts: dict[str, object] = {}
    reason, code, failed = "", 3, 1
    try:
        with sys.stdin.buffer if asked.file == "-" else Path(asked.file).open("rb") as file:
            proven = _walk(_steps(file, asked), claims)
            facts, code, reason, failed = proven.facts(), proven.code, proven.reason, 0
    except ProofError as error:
        reason, code = str(error), 3 if isinstance(error, MalformedError) else 1
    except OSError as error:
        reason = f"{error.filename or asked.file} cannot be read: {error.strerror}"
    except Exception as error:  # Python's own exit code would say that the file is refuted
        reason = f"this is a mistake of the checker itself: {type(error).__name__}: {error}"
    steps = [(claim, at < len(claims) - failed) for at, claim in enumerate(claims)]
    if asked.json:
        told = [{"claim": claim, "holds": holds} for claim, holds in steps]
        verdict = {"verdict": VERDICTS[code].lower(), "reason": reason, "steps": told}
        _say(json.dumps({**verdict, "trail": asked.trail, "proven": facts}))
        return code
    for number, (claim, holds) in enumerate(steps, 1):
        _say(f"{number}. {'yes' if holds else 'NO '}  {claim}")
    for name, value in facts.items():
        for each in value if isinstance(value, list) else [value]:
            if each is not None:
                _say(f"   {name}: {each}")
    _say(f"{VERDICTS[code]}: {reason}" if reason else VERDICTS[code])
    return code


def _steps(file: BinaryIO, asked: argparse.Namespace) -> Steps:
    line = file.readline(certificate.LINE_BYTES_MAX)
    if line.rstrip(b"\n") == export.Export.KIND.encode():
        return (yield from _check_export(line + file.read(export.RECEIPT_BYTES_MAX), asked))
    found = _FORMAT.match(line)
    checker = CHECKERS.get(found[1].decode()) if found else None
    if checker is not None:
        return (yield from checker(line, file, asked))
    yield "the file is of a format that is known here"
    named = "it does not begin with its format" if line else "it is empty: was it ever written?"
    if found:
        named = f"it is of {found[1].decode()!r}"
    known = ", ".join((*CHECKERS, export.Export.KIND))
    raise MalformedError(f"{named}; known are {known}")


def _check_export(receipt: bytes, asked: argparse.Namespace) -> Steps:
    """A receipt lies beside its file: `FILE.receipt`, unless that is named."""
    named = asked.exported or asked.file.removesuffix(".receipt")
    if named == asked.file:
        raise MalformedError("which file it is of is not known: name it by --file")
    with contextlib.ExitStack() as opened:
        file = opened.enter_context(Path(named).open("rb"))
        proof = None
        if asked.certificate:
            proof = opened.enter_context(Path(asked.certificate).open("rb"))
        return (yield from export.check(receipt, file, asked.trail, proof, asked.salt_id))


def _walk(steps: Steps, claims: list[str]) -> Proven:
    """Go through a check; each claim is noted before it is known whether it holds."""
    while True:
        try:
            claims.append(next(steps))
        except StopIteration as end:
            proven: Proven = end.value
            return proven


def _vectors(asked: argparse.Namespace) -> int:
    found = list(vectors.run(asked.folder))
    failed = [f"failed: {case}: {why}" for case, why in found if why]
    for line in (*failed, f"{len(found) - len(failed)} passed, {len(failed)} failed"):
        _say(line)
    return 0 if found and not failed else 1


def _say(text: str) -> None:
    """A line; what could move a terminal's cursor or hide text is escaped."""
    shown = (each if each.isprintable() else f"\\u{ord(each):04x}" for each in text)
    sys.stdout.write("".join(shown) + "\n")


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(main())
