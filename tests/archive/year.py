"""A year as commands see it: what is archived, swept, partly held and let go by rules.

Two nodes that start anew each day, three tenants, three classes, one of which splits a tenant's
events. What is kept is exported byte for byte as it was, is proven as before, and is verified with
exit 0 down to the leaves; what was let go is explained by floors.
"""

import json
import sys
import time
from pathlib import Path

import pytest

from holdfast.cli.app import run
from holdfast.proof.__main__ import main as check
from holdfast.regions.units import DAY_US, HOUR_US, start_us
from holdfast.times import format_us
from tests.read.trails import TRAIL, World, Writer

FIRST = "2025-11-20"
FIRST_US = start_us(FIRST)
SPAN = ("--from", format_us(FIRST_US), "--to", format_us(FIRST_US + 366 * DAY_US))
HELD = format_us(FIRST_US + DAY_US), format_us(FIRST_US + 2 * DAY_US)
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


class Year:
    """The trail in regions, and commands that are given the data directory and the settings.

    days: of which the first half is to be let go but for what is held.
    """

    def __init__(
        self, days: int, data: Path, settings: str, capture: pytest.CaptureFixture[bytes]
    ) -> None:
        age = (time.time_ns() // 1000 - FIRST_US) // DAY_US
        self.half = days // 2
        self.data = data
        self._config = data.parent / "holdfast.toml"
        self._config.write_text(settings + RULES.format(days=age - self.half), "utf-8")
        self._capture = capture

    def command(self, *words: str) -> tuple[int, str]:
        """The exit code and what is printed."""
        code = run([*words, "--data", str(self.data), "--config", str(self._config)])
        told = self._capture.readouterr()
        sys.stderr.write(told.err.decode())
        return code, told.out.decode()

    def checked(self, file: Path) -> str:
        """What checking prints, with no code but that of proofs."""
        assert check(["check", "--trail", TRAIL.trail, str(file)]) == 0
        return self._capture.readouterr().out.decode()

    def exported(self) -> dict[str, str]:
        """All records, by id, as `export` writes them."""
        code, text = self.command("export", *SPAN, "--jobs", "1")
        assert code == 0
        return {json.loads(line)["id"]: line for line in text.splitlines()}

    def hold(self) -> None:
        """The guests of the second day, whom a rule would let go."""
        where = ("--tenant", "blå", "--from", HELD[0], "--to", HELD[1])
        assert self.command("hold", "add", *where, "--reason", "case 7")[0] == 0

    def left(self, records: dict[str, str]) -> dict[str, str]:
        """Those that rules and the hold leave."""
        return {id: line for id, line in records.items() if is_kept(line, self.half)}

    def convince(self, folder: Path) -> None:
        """Verified down to the leaves, one event proven, and all exported with a receipt."""
        assert self.command("verify", "--depth", "events")[0] == 0
        code, text = self.command("proof", "0-0-1-acme-0")
        (folder / "proof").write_text(text, "utf-8")
        assert code == 0 and "PROVEN" in self.checked(folder / "proof")
        self._certify(folder)
        file = folder / "all.ndjson"
        assert self.command("export", *SPAN, "--out", str(file), "--sign")[0] == 0
        told = self.checked(Path(f"{file}.receipt"))
        assert "records let go by class debug" in told and "class guests" in told

    def _certify(self, folder: Path) -> None:
        """That nothing is missing but what rules let go."""
        of = ("--all-tenants", "--no-records")
        code, text = self.command("certify", *of, *SPAN, "--jobs", "1")
        (folder / "certificate").write_text(text, "utf-8")
        told = self.checked(folder / "certificate")
        assert code == 0 and "that rules of retention let go" in told
        assert "records let go by class debug" in told and "class guests" in told


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


def is_kept(line: str, half: int) -> bool:
    """Whether a record stays. half: days of which debug and guests are gone, if not held."""
    record = json.loads(line)
    day = int(record["id"].split("-")[1])
    guest = record["tenant"] == "blå"
    if day >= half or (guest and HELD[0] <= record["received"] < HELD[1]):
        return True
    return not guest and not record["action"].startswith("debug.")
