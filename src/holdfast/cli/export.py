"""`holdfast export`: all records that were received in some time, as a file with a receipt."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

from typer import Option

from holdfast.cli import printer
from holdfast.cli.crew import Hands, worked_source
from holdfast.cli.exits import GOOD
from holdfast.cli.options import Filters, Where
from holdfast.cli.source import Parameters, Source, rejected
from holdfast.errors import CorruptError, UnavailableError
from holdfast.proof import statements
from holdfast.proof.export import LINES, PROVABLE, Export

RECEIPT = ".receipt"


def export(
    where: Where,
    filters: Filters,
    hands: Hands,
    format: Annotated[str, Option(metavar="KIND", help="ndjson, csv or parquet.")] = "ndjson",
    out: Annotated[
        Path | None, Option(metavar="FILE", help="Write it there. (default: standard output)")
    ] = None,
    sign: Annotated[
        bool, Option("--sign", help="Write a receipt beside it: FILE.receipt.")
    ] = False,
) -> int:
    """Write all records that match and were received from --from to before --to.

    Both times are those of receiving, so the set is exact. The file has its name only once it is
    whole: until then it is FILE.<hash of the question>.part, and the same command goes on with it.
    `python -m holdfast.proof check FILE.receipt --trail TRAIL` checks the receipt and the file.
    """
    asked = {**filters.parameters(), "format": format}
    for name in ("from", "to"):
        if name not in asked:
            raise rejected(f"--{name}", "is missing: received from when, and to before when?")
    if out is None:
        if sign:
            raise rejected("--sign", "needs --out: the receipt is a file beside another")
        with worked_source(where, hands) as source:
            for piece in source.export(asked):
                printer.block(piece)
        return GOOD
    if out.exists():
        raise rejected("--out", f"{out} is there already")
    with worked_source(where, hands) as source, _part(out, asked) as (path, file):
        receipt = _write(source, asked, file, path, sign)
        if receipt:
            _replace(out.with_name(f"{out.name}{RECEIPT}"), receipt)
        path.rename(out)  # last: a file of this name is whole, and has its receipt
        _settle(out.parent)
    _tell(out, receipt)
    return GOOD


@contextmanager
def _part(out: Path, asked: Parameters) -> Iterator[tuple[Path, BinaryIO]]:
    """The file as far as it is there. Its name says of which question it is.

    Raises UnavailableError: another process writes it.
    """
    question = json.dumps(asked, sort_keys=True).encode()
    path = out.with_name(f"{out.name}.{hashlib.sha256(question).hexdigest()[:12]}.part")
    with path.open("ab+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UnavailableError(f"another process writes {path}") from None
        try:
            yield path, file
        finally:
            file.flush()
            if path.exists() and not path.stat().st_size:
                path.unlink()  # refused before it began


def _write(source: Source, asked: Parameters, file: BinaryIO, path: Path, sign: bool) -> bytes:
    """Write what is missing; the receipt if it is wanted, else nothing."""
    with path.open("rb") as there:
        digest = hashlib.file_digest(there, "sha256")
    size = path.stat().st_size
    had: dict[str, str] = {}
    if size:
        had = {"had": str(size), "had_sha256": digest.hexdigest()}
        printer.note(f"going on behind the {size} bytes of {path}")
    with printer.progress("exporting", None) as bar:
        for piece in source.export({**asked, **had}):
            file.write(piece)
            digest.update(piece)
            size += len(piece)
            bar(size, f"{size:,} bytes")
    file.flush()
    os.fsync(file.fileno())
    if not sign:
        return b""
    receipt = source.receipt(asked)
    if statements.read(receipt, Export).statement.sha256 != digest.digest():
        raise CorruptError(f"{path} is not what the receipt is of: remove it, and begin anew")
    return receipt


def _replace(path: Path, data: bytes) -> None:
    new = path.with_name(f"{path.name}.new")
    with new.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _settle(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _tell(out: Path, receipt: bytes) -> None:
    if not receipt:
        printer.note(f"{out} is whole; without --sign there is no receipt of it")
        return
    said = statements.read(receipt, Export).statement
    how = "that they are all that match is the signer's word alone"
    if said.complete == PROVABLE and said.kind == LINES:
        how = "that they are all is proven by a certificate of the same time (`holdfast certify`)"
    printer.note(f"{said.events} records, {said.bytes} bytes; {how}")
    for gap in said.gap:
        printer.note(f"GAP in node {gap.node}: segments {gap.start} up to {gap.end} are lost")
    for gone in said.let_go:
        printer.note(f"up to {gone.records} records were let go by {gone.rule}")
