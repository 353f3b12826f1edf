"""A year as commands see it: archived, swept, partly held, let go by rules, damaged, and mended.

Two nodes that start anew each day, three tenants, three classes, one of which splits a tenant's
events. What is kept is exported byte for byte as it was, is proven as before, and is verified with
exit 0 down to the leaves; what was let go is explained by floors.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.cli.app import run
from holdfast.proof.__main__ import main as check
from holdfast.regions.units import DAY_US, HOUR_US, start_us
from holdfast.times import format_us
from tests.archive.days import laid_out
from tests.read.trails import TRAIL, World, Writer

FIRST = "2025-11-20"
FIRST_US = start_us(FIRST)
SPAN = ("--from", format_us(FIRST_US), "--to", format_us(FIRST_US + 366 * DAY_US))
RULES = """
[[retention]]
class = "debug"
actions = ["debug.*"]
min = 1
max = {days}

[[retention]]
class = "guests"
tenants = ["blå"]
max = {days}

[[retention]]
class = "default"
min = {days}
"""

Command = Callable[..., tuple[int, str]]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_some_days_are_kept_as_long_as_rules_and_holds_say(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    tell(4, tmp_path, capfdbinary)


@pytest.mark.year
@pytest.mark.timeout(3600)
def test_a_year_is_kept_as_long_as_rules_and_holds_say(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    tell(365, tmp_path, capfdbinary)


def tell(days: int, folder: Path, capture: pytest.CaptureFixture[bytes]) -> None:
    """The story."""
    half = days // 2
    world = World()
    write(world, days)
    data = laid_out(world, folder / "data")
    age = (time.time_ns() // 1000 - FIRST_US) // DAY_US
    (folder / "holdfast.toml").write_text(RULES.format(days=age - half), "utf-8")

    def command(*words: str) -> tuple[int, str]:
        code = run([*words, "--data", str(data), "--config", str(folder / "holdfast.toml")])
        told = capture.readouterr()
        sys.stderr.write(told.err.decode())
        return code, told.out.decode()

    def proven(*words: str) -> str:
        """What checking says, with no code but that of proofs, of what a command prints."""
        code, text = command(*words)
        assert code == 0
        (folder / "proof").write_text(text, "utf-8")
        assert check(["check", "--trail", TRAIL.trail, str(folder / "proof")]) == 0
        return capture.readouterr().out.decode()

    before = exported(command)
    kept_id = "0-0-1-acme-0"
    assert command("archive", "--json")[0] == 0
    assert command("sweep", "--kept", "0", "--json")[0] == 0
    assert list(data.glob("regions/*/ev/seg/**/*.zst")) == []
    assert exported(command) == before

    held = format_us(FIRST_US + DAY_US), format_us(FIRST_US + 2 * DAY_US)
    hold = ("--from", held[0], "--to", held[1], "--reason", "case 7")
    assert command("hold", "add", "--tenant", "blå", *hold)[0] == 0
    assert command("retention", "run", "--json")[0] == 0
    after = exported(command)
    assert after == {id: line for id, line in before.items() if is_kept(line, half, held)}
    assert 0 < len(after) < len(before)

    assert command("verify", "--depth", "events")[0] == 0
    assert "PROVEN" in proven("proof", kept_id)
    file = folder / "all.ndjson"
    assert command("export", *SPAN, "--out", str(file), "--sign")[0] == 0
    assert check(["check", "--trail", TRAIL.trail, f"{file}.receipt"]) == 0
    assert "records let go by class debug" in capture.readouterr().out.decode()
    damaged_and_mended(command, data, after)


def damaged_and_mended(command: Command, data: Path, kept: dict[str, str]) -> None:
    """One flipped byte in any object is named; one that is gone is repaired from another region."""
    archive = data / "regions" / "b" / "ev" / "arc"
    for pattern in ("day=*/class=default/*.parquet", "day=*/*.ndjson.zst", "day=*/*.note"):
        path = sorted(archive.glob(pattern))[-1]
        good = path.read_bytes()
        path.write_bytes(good[:100] + bytes([good[100] ^ 1]) + good[101:])
        code, said = command("verify", "--depth", "bytes", "--json")
        assert (code, path.name in said) == (1, True), pattern
        path.write_bytes(good)
    path = sorted(archive.glob("day=*/class=default/*.parquet"))[0]
    good = path.read_bytes()
    path.unlink()
    code, said = command("verify", "--json")
    assert (code, path.name in said, "under_replicated" in said) == (0, True, True)
    assert command("reconcile")[0] == 0
    assert path.read_bytes() == good
    assert command("verify", "--depth", "events")[0] == 0
    assert exported(command) == kept


def write(world: World, days: int) -> None:
    """Straight into the regions. A third of acme's events are of class debug."""
    world.now_us = FIRST_US
    writers = [Writer(world, seed) for seed in (7, 8)]
    for day in range(days):
        world.now_us = FIRST_US + day * DAY_US + HOUR_US
        for number, writer in enumerate(writers):
            writer.born()
            for hour in (1, 13):
                world.now_us = FIRST_US + day * DAY_US + (hour + number) * HOUR_US
                for tenant in ("acme", "blå", ""):
                    told = f"{number}-{day}-{hour}-{tenant}"
                    writer.seal(
                        {"id": f"{told}-0", "tenant": tenant, "action": "door.open"},
                        {"id": f"{told}-1", "tenant": "acme", "action": "debug.trace"},
                        {"id": f"{told}-2", "tenant": tenant, "action": "door.shut"},
                    )
            writer.close()
    world.now_us = FIRST_US + (days + 2) * DAY_US
    for writer in writers:
        writer.beat()


def exported(command: Command) -> dict[str, str]:
    """All records, by id, as `export` writes them."""
    code, text = command("export", *SPAN, "--jobs", "1")
    assert code == 0
    return {json.loads(line)["id"]: line for line in text.splitlines()}


def is_kept(line: str, half: int, held: tuple[str, str]) -> bool:
    """Whether rules and the hold leave a record. half: days of which debug and guests are gone."""
    record = json.loads(line)
    day = int(record["id"].split("-")[1])
    guest = record["tenant"] == "blå"
    if day >= half or (guest and held[0] <= record["received"] < held[1]):
        return True
    return not guest and not record["action"].startswith("debug.")
