"""The client's errors, one class for each thing that its caller can do next.

    ClientError
    ├── RefusedError           the server said no: correct the request
    ├── UnreachableError       no answer, and nothing was stored: try later, or another server
    └── NotAcknowledgedError   it may be stored: send the same ids again, later

`holdfast.errors` is the server's own tree; an application that only sends needs none of it.
"""

from dataclasses import dataclass

# Refusals that are about the events; any other one (a token, a path) is about the whole errand.
ABOUT_EVENTS = frozenset({"malformed", "too-large"})


class ClientError(Exception):
    """Root of everything that the client raises on purpose."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a request, as the server named it.

    line: 1-based line of the body; 0: the request as a whole. field: "" for the line as a whole.
    """

    line: int
    field: str
    reason: str

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}" if self.field else self.reason


class RefusedError(ClientError):
    """The server will never take this request as it is.

    status: of the answer. kind: the last part of the problem's `type` ("malformed", "too-large").
    faults: what is wrong where, as far as the server said.
    """

    def __init__(self, status: int, kind: str, detail: str, faults: tuple[Fault, ...] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.faults = faults


class UnreachableError(ClientError):
    """Nothing was stored, and the patience is over."""


class NotAcknowledgedError(ClientError):
    """Sent at least once and never acknowledged; the patience is over."""
