"""A small trail on disk, written by a real node and left without a server."""

import asyncio
import json
from pathlib import Path

from holdfast.settings import load
from holdfast.wiring import open_system
from holdfast.write.admit import Limits, admit


def write_trail(data: Path, *events: dict[str, object]) -> str:
    """Found a trail in a directory and store events, a request each; returns the trail's id."""
    return asyncio.run(_write(data, events))


async def _write(data: Path, events: tuple[dict[str, object], ...]) -> str:
    settings = load(None, {}, {"data": str(data), "seal_interval_ms": 1})
    async with open_system(settings, write=True) as system:
        assert system.node is not None
        await asyncio.wait_for(system.node.ready(), 30)
        for event in events:
            body = json.dumps(event).encode()
            admitted = admit(body, "application/json", Limits())
            await system.node.take(admitted, "test").outcome
        return system.regions.trail
