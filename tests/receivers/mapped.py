"""What the receivers' tests share: real events, and a mapped event as the server would store it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from holdfast.errors import Problem
from holdfast.receivers import files
from holdfast.receivers.formats import FORMATS, Ready, map_piece
from holdfast.write.admit import admit

EVENTS = Path(__file__).parents[1] / "data/events"

Fields = dict[str, Any]


def map_one(name: str, event: object, account_as_tenant: bool = False) -> Fields:
    """An event through its format and through admission, parsed."""
    data = event if isinstance(event, bytes) else json.dumps(event).encode()
    return stored(FORMATS[name].map_event(data, account_as_tenant))


def stored(data: bytes) -> Fields:
    (line,) = admit(data, "application/json").lines
    fields: Fields = json.loads(line)
    return fields


def map_file(name: str, path: Path) -> Iterator[Ready | Problem]:
    with path.open("rb") as raw:
        for piece in files.read(raw):
            if isinstance(piece, Problem):
                yield piece
            else:
                yield from map_piece(FORMATS[name], piece)
