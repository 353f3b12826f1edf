"""The errors, one class for each thing that a caller can do next.

    HoldfastError
    ├── RejectedError         fix the request                          4xx   exit 2
    ├── UnavailableError      nothing was stored: send it again        503   exit 3
    ├── OutcomeUnknownError   it may be stored: send the same ids      504   exit 3
    │   └── FencedError       this epoch was ended: start the next     504   exit 3
    ├── HeldError             a legal hold forbids it                  423   exit 2
    └── CorruptError          bytes contradict their hash: page        500   exit 1

They carry facts, print nothing and know no HTTP status: the faces translate them. `holdfast.proof`
has a tree of its own (`holdfast.proof.ProofError`), since it imports nothing of ours.
"""

from dataclasses import dataclass


class HoldfastError(Exception):
    """Root of everything that Holdfast raises on purpose."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a request.

    line: 1-based line of an NDJSON body or element of a JSON array; 0: the request as a whole.
    field: dotted path inside the event ("actor.id"), or a parameter's name; "": the whole line.
    reason: what is wrong, for a person.
    """

    line: int
    field: str
    reason: str

    def __str__(self) -> str:
        where = ", ".join(
            part for part in (f"line {self.line}" if self.line else "", self.field) if part
        )
        return f"{where}: {self.reason}" if where else self.reason


class RejectedError(HoldfastError):
    """The request can never succeed as it is.

    kind: stable word for programs ("malformed", "too-large", "unknown-parameter", ...).
    problems: what is wrong where, at least one.
    """

    def __init__(self, kind: str, *problems: Problem) -> None:
        super().__init__("; ".join(str(problem) for problem in problems[:5]))
        self.kind = kind
        self.problems = problems

    def __reduce__(self) -> tuple[type["RejectedError"], tuple[str | Problem, ...]]:
        """As it was made: an error that a worker process raises arrives whole."""
        return RejectedError, (self.kind, *self.problems)


class UnavailableError(HoldfastError):
    """Nothing was taken in; the same request may be sent again.

    retry_after_seconds: when that is sensible.
    """

    def __init__(self, reason: str, retry_after_seconds: int = 1) -> None:
        super().__init__(reason)
        self.retry_after_seconds = retry_after_seconds


class OutcomeUnknownError(HoldfastError):
    """Taken in, not acknowledged: it may be stored. Send the same ids again.

    ids: the ids of the request's events, in its order.
    """

    def __init__(self, reason: str, ids: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.ids = ids


class FencedError(OutcomeUnknownError):
    """Someone ended this epoch: nothing more counts in it, the next one may be born."""


class HeldError(HoldfastError):
    """A legal hold forbids what was asked for."""


class CorruptError(HoldfastError):
    """Stored bytes contradict their own name or signature."""
