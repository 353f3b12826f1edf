"""`holdfast import`: files of events, other systems' or our own."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated

from typer import Argument, Option

from holdfast.cli import printer
from holdfast.cli.exits import BAD_INPUT, GOOD, code_of
from holdfast.cli.options import Target
from holdfast.cli.source import open_client, rejected
from holdfast.client import BulkLimits, CutShortError, Delivered, Outgoing, send_all
from holdfast.errors import Problem
from holdfast.receivers import files, formats

STDIN = Path("-")


class FormatName(StrEnum):
    """The names in `formats.FORMATS`, as Typer wants them."""

    HOLDFAST = "holdfast"
    NDJSON = "ndjson"
    CLOUDTRAIL = "cloudtrail"
    K8S = "k8s"


@dataclass(frozen=True)
class Import:
    """How to read and how to send."""

    format: Annotated[FormatName, Option(help="What the files hold.")]
    account_as_tenant: Annotated[
        bool, Option("--account-as-tenant", help="The source's account becomes the tenant.")
    ] = False
    batch: Annotated[int, Option(min=1, max=10_000, help="Events a request.")] = 1_000
    parallel: Annotated[int, Option(min=1, max=64, help="Requests at once.")] = 4


@dataclass
class Tally:
    """What became of the events. Each one that was read is in the end one of the two others, or,
    where the import was cut short, still to be sent."""

    read: int = 0
    acknowledged: int = 0
    refused: int = 0

    def __str__(self) -> str:
        return ", ".join(f"{count} {name}" for name, count in asdict(self).items())


def import_events(
    options: Import,
    target: Target,
    paths: Annotated[
        list[Path] | None,
        Argument(metavar="FILE", help="Plain, gzip or zstd; - or none: standard input."),
    ] = None,
    json: Annotated[bool, Option("--json", help="The tally as JSON, on the last line.")] = False,
) -> int:
    """Send the events in files. Importing them again changes nothing in what is read.

    An event that the server refuses is named and left out; the rest goes in. Exit 2: some were.
    """
    chosen = paths or [STDIN]
    _check(chosen)
    tally = Tally()
    cut_short: CutShortError | None = None
    try:
        with open_client(target) as client, _Reading(chosen, options, tally) as reading:
            limits = BulkLimits(events_max=options.batch, parallel=options.parallel)
            send_all(client, reading.events(), limits, reading.delivered)
    except CutShortError as error:
        cut_short = error
        printer.failure(str(error))
    finally:
        if json:
            printer.machine_object(asdict(tally))
        else:
            printer.line(str(tally))
    if cut_short is not None:
        return code_of(cut_short)
    return BAD_INPUT if tally.refused else GOOD


class _Reading(ExitStack):
    """The files being read, and the bar that shows how far."""

    def __init__(self, paths: Sequence[Path], options: Import, tally: Tally) -> None:
        super().__init__()
        self._paths = paths
        self._format = formats.FORMATS[options.format]
        self._account_as_tenant = options.account_as_tenant
        self._tally = tally
        self._done_bytes = 0
        self._open: IO[bytes] | None = None
        total = sum(0 if path == STDIN else path.stat().st_size for path in paths)
        self._progress = self.enter_context(printer.progress("import", total or None))

    def events(self) -> Iterator[Outgoing]:
        """Every event of every file, in order; what is none is counted and named."""
        for path in self._paths:
            if path == STDIN:
                yield from self._of_file("stdin", sys.stdin.buffer)
                continue
            with path.open("rb") as file:
                self._open = file
                yield from self._of_file(str(path), file)
                self._open = None
            self._done_bytes += path.stat().st_size

    def delivered(self, delivered: Delivered) -> None:
        """Count a batch that has come to its end."""
        self._tally.acknowledged += delivered.acknowledged
        for refusal in delivered.refusals:
            self._refuse(refusal.where, refusal.reason)
        at_bytes = self._done_bytes + (self._open.tell() if self._open else 0)
        self._progress(at_bytes, str(self._tally))

    def _of_file(self, name: str, file: IO[bytes]) -> Iterator[Outgoing]:
        for piece in files.read(file):
            if isinstance(piece, Problem):
                self._read_problem(name, piece)
                continue
            for event in formats.map_piece(self._format, piece, self._account_as_tenant):
                if isinstance(event, Problem):
                    self._read_problem(name, event)
                else:
                    self._tally.read += 1
                    yield Outgoing(event.data, f"{name}:{event.line}{event.place}")

    def _read_problem(self, name: str, problem: Problem) -> None:
        self._tally.read += 1
        self._refuse(f"{name}:{problem.line}{problem.field}", problem.reason)

    def _refuse(self, where: str, reason: str) -> None:
        self._tally.refused += 1
        printer.note(f"{printer.safe(where)}: refused: {printer.safe(reason)}")


def _check(paths: Sequence[Path]) -> None:
    """Every file can be opened, before anything is sent.

    Raises:
        RejectedError: one cannot, or standard input is named and is a terminal.
    """
    for path in paths:
        if path == STDIN:
            if sys.stdin.isatty():
                raise rejected("FILE", "is missing, and standard input is a terminal")
            continue
        try:
            path.open("rb").close()
        except OSError as error:
            raise rejected(str(path), f"cannot be read: {error.strerror}") from None
