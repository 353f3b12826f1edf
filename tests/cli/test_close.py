"""`holdfast close declare` on real directories."""

import asyncio
import base64
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli.app import run
from holdfast.proof import ledger, names
from holdfast.proof.ledger import EMPTY_END
from holdfast.proof.names import SegmentName
from holdfast.regions import layout, signing
from holdfast.regions.kinds import Vote
from holdfast.regions.signing import SigningKey
from holdfast.settings import load
from holdfast.wiring import open_system
from tests.cli.test_documents import EXAMPLES, shape
from tests.cli.trail import write_trail

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """An epoch that stores a and b voted differently on, while c is gone for good."""
    data = tmp_path / "data"
    write_trail(data, {"id": "e0", "action": "a"}, {"id": "e1", "action": "a"})
    (data / "regions" / "c").rename(tmp_path / "gone")
    regions = [data / "regions" / id for id in "ab"]
    found = sorted(regions[0].rglob("ev/seg/*/*/*.zst"))
    node = found[0].parts[-3]
    text = (data / "nodes" / "0" / "node.key").read_text()
    seed = base64.b64decode(text.split("seed ")[1])
    end = EMPTY_END
    for region, segment in zip(regions, found, strict=True):
        end = ledger.extend(end, SegmentName.parse(segment.name.partition(".")[0]))
        (region / layout.closed_key(node, 1)).unlink()
        vote = region / layout.vote_key(node, 1)
        vote.unlink()
        shutil.rmtree(region / "ctl")
        vote.write_bytes(_vote(node, data, seed, end))
    return data


def _vote(node: str, data: Path, seed: bytes, end: object) -> bytes:
    trail = (data / "trail.key").read_text().split("trail ")[1].split("\n")[0]
    key = SigningKey.generate(names.ledger_origin(trail, node), seed)
    assert names.node_id(key.public) == node
    return signing.write(Vote(1, end), key.name, key)  # type: ignore[arg-type]


def declare(data: Path, *more: str) -> int:
    node = next((data / "regions" / "a" / "ev" / "seg").iterdir()).name
    what = ("--node", node, "--epoch", "1", "--why", "c burnt", "--yes")
    return run(["close", "declare", "--data", str(data), *what, *more])


def closed(data: Path) -> list[str]:
    return sorted(path.parts[-6] for path in data.glob("regions/*/ev/node/*/*/closed.note"))


def test_a_person_ends_what_votes_cannot_and_the_node_goes_on(split: Path, capsys: Capture) -> None:
    refused = declare(split)
    why = capsys.readouterr().err

    code = declare(split, "--region-gone", "c", "--json")

    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert refused == 3 and "its vote may decide" in why
    assert code == 0 and closed(split) == ["a", "b"] == said["stored"]
    assert (said["size"], said["votes"], said["unseen"]) == (2, {"a": 1, "b": 2}, ["c"])
    assert shape(said) == shape(EXAMPLES["close declare"])
    assert asyncio.run(_goes_on(split)) == said["node"]


async def _goes_on(data: Path) -> str:
    settings = load(None, {}, {"data": str(data), "seal_interval_ms": 1})
    async with open_system(settings, write=True) as system:
        assert system.node is not None
        await asyncio.wait_for(system.node.ready(), 60)
        return system.node.identity.node


def test_what_is_declared_is_not_declared_otherwise(split: Path, capsys: Capture) -> None:
    declare(split, "--region-gone", "c")
    before = [path.read_bytes() for path in split.glob("regions/*/ev/node/*/*/closed.note")]

    again = declare(split, "--region-gone", "c")

    after = [path.read_bytes() for path in split.glob("regions/*/ev/node/*/*/closed.note")]
    assert again == 0 and after == before
    assert "was declared before" in capsys.readouterr().err


def test_a_decided_epoch_is_refused(tmp_path: Path, capsys: Capture) -> None:
    write_trail(tmp_path / "data", {"id": "e0", "action": "a"})

    assert declare(tmp_path / "data") == 2
    assert "decided already" in capsys.readouterr().err
