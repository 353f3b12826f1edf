"""Real processes that let go and hold are killed, and race, at one step after the other.

    python -m tests.nemesis.expiring

Some days, with a class for each tenant, are archived and swept. Then rules let classes go: by
commands and servers that are killed with SIGKILL once so many writes and deletes are done, alone
and two at once; while a region is away; and against holds that another process places in that
moment, some hundred times. After all of it, what a hold was confirmed for is found, what was let go
is said and gone everywhere, no repair brings it back, and `verify --depth events` is content.
"""

import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from holdfast.cli.exits import GOOD, INCOMPLETE, UNREACHED
from holdfast.regions.trailkey import KEY_FILE
from holdfast.regions.units import DAY_US, HOUR_US, day_at
from holdfast.times import format_us
from tests.archive.days import FIRST_US, laid_out
from tests.e2e.server import HOLDFAST, Server
from tests.nemesis.sweeping import run, say, wait_for
from tests.read.trails import ALL, World, Writer

DAYS = tuple(day_at(FIRST_US + n * DAY_US) for n in range(10))
TENANTS = tuple(f"t{n:02}" for n in range(25))
EVENTS_EACH = 2  # of a tenant in a day
BY_COMMANDS, BY_SERVERS, AWAY, RACED = TENANTS[:2], TENANTS[2:4], TENANTS[4:5], TENANTS[5:]
KILLED_AFTER = (1, 4, 8, 13, 19, 1, 2, 3, 5, 8)  # floors stated and parts deleted, in all regions
SERVER_KILLED_AFTER = (3, 30, 70)
BY_CLI = 6  # races in which the hold is a command's; a server places the others
HELD, REFUSED = 201, 423

Pair = tuple[str, str]  # a day, a tenant


def written(data: Path) -> None:
    """A trail of old days, closed."""
    world = World()
    world.now_us = FIRST_US
    writer = Writer(world)
    writer.born()
    for n, day in enumerate(DAYS):
        for each in range(EVENTS_EACH):
            world.now_us = FIRST_US + n * DAY_US + (each + 1) * HOUR_US
            events: list[dict[str, object]] = [
                {"id": f"{day}-{each}-{of}", "tenant": of} for of in TENANTS
            ]
            writer.seal(*events)
    world.now_us = FIRST_US + (len(DAYS) + 9) * DAY_US
    writer.beat()
    writer.close()
    laid_out(world, data)


class Place:
    """A trail in directories, and commands on it. held: pairs for which a hold was confirmed."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.held: set[Pair] = set()

    def settings(self, going: Collection[str]) -> Path:
        """Settings by which these tenants' classes go, and none of the others."""
        regions = self.data / "regions"
        lines = [f'[regions.{id}]\nurl = "{(regions / id).as_uri()}"' for id in ALL]
        for of in TENANTS:
            most = "max = 3" if of in going else ""
            lines.append(f'[[retention]]\nclass = "{of}"\ntenants = ["{of}"]\nmin = 1\n{most}')
        path = self.data.parent / f"{'-'.join(going)[:20] or 'none'}.toml"
        path.write_text("\n".join(lines) + "\n")
        return path

    def where(self, going: Collection[str]) -> list[str]:
        return ["--data", str(self.data), "--config", str(self.settings(going))]

    def parts(self, pair: Pair) -> list[str]:
        """The regions that have a part of a class of a day."""
        of = f"ev/arc/day={pair[0]}/class={pair[1]}"
        return [id for id in ALL if any((self.data / "regions" / id / of).glob("*.parquet"))]

    def floors(self, pair: Pair) -> list[str]:
        name = f"ev/ret/floor/{pair[0]}.{pair[1]}.note"
        return [id for id in ALL if (self.data / "regions" / id / name).exists()]

    def count(self, tenants: Collection[str]) -> int:
        return sum(len(self.parts((day, of))) for day in DAYS for of in tenants)

    def done(self, tenants: Collection[str]) -> int:
        """How many floors are stated, and parts deleted, in all regions."""
        pairs = [(day, of) for day in DAYS for of in tenants]
        stated = sum(len(self.floors(pair)) for pair in pairs)
        return stated + len(ALL) * len(pairs) - self.count(tenants)

    def check(self, tenants: Collection[str] = TENANTS) -> None:
        """At any time: nothing went before it was stated in W regions, nor what is held."""
        for pair in ((day, of) for day in DAYS for of in tenants):
            there = self.parts(pair)  # first: who deletes goes on meanwhile
            assert len(there) == len(ALL) or len(self.floors(pair)) >= 2, (pair, there)
            assert pair not in self.held or len(there) == len(ALL), (pair, there)

    def hold(self, pair: Pair) -> None:
        said = json.loads(run("hold", "add", *self.where(()), "--json", *_options(pair)))
        assert said["late"] == [], said
        self.held.add(pair)


def _options(pair: Pair) -> list[str]:
    wanted = hold_of(pair)
    return [part for name in wanted for part in (f"--{name}", wanted[name])]


def hold_of(pair: Pair) -> dict[str, str]:
    from_us = FIRST_US + DAYS.index(pair[0]) * DAY_US
    times = {"from": format_us(from_us), "to": format_us(from_us + DAY_US)}
    return {"tenant": pair[1], "reason": "a race", **times}


def by_commands(place: Place) -> None:
    """Commands die after one step more each time, some of them beside another one."""
    for day in DAYS[::2]:
        place.hold((day, BY_COMMANDS[1]))
    command = [HOLDFAST, "retention", "run", *place.where(BY_COMMANDS)]
    for n, count in enumerate(KILLED_AFTER):
        done = _killed(place, BY_COMMANDS, count, [command] * (1 + (n % 4 == 3)))
        place.check(BY_COMMANDS)
        left = place.count(BY_COMMANDS)
        say(f"retention run killed after {done} writes and deletes; {left} parts are left")
    run("retention", "run", *place.where(BY_COMMANDS))
    place.check(BY_COMMANDS)
    assert place.count(BY_COMMANDS) == len(ALL) * len(DAYS[::2])


def _killed(
    place: Place, tenants: Collection[str], count: int, several: Sequence[Sequence[str]]
) -> int:
    """Run commands at once, and kill them once so much is done; how much is."""
    before, quiet = place.done(tenants), subprocess.DEVNULL
    processes = [subprocess.Popen(each, stdout=quiet, stderr=quiet) for each in several]
    try:
        while place.done(tenants) - before < count:
            if all(process.poll() is not None for process in processes):
                break
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return place.done(tenants) - before


def by_servers(place: Place) -> None:
    """The same of servers that are asked to."""
    for count in SERVER_KILLED_AFTER:
        before = place.done(BY_SERVERS)
        with closing(Server(place.data, place.settings(BY_SERVERS)).start()) as server:
            with ThreadPoolExecutor(1) as pool:
                asked = pool.submit(_post, server, "/v1/retention/run", {})
                wait_for(lambda: asked.done() or place.done(BY_SERVERS) - before >= count)  # noqa: B023
                if asked.done():
                    assert asked.result()[0] == HELD, asked.result()
                server.kill()
                asked.exception()
        place.check(BY_SERVERS)
        done, left = place.done(BY_SERVERS) - before, place.count(BY_SERVERS)
        say(f"holdfast serve killed after {done} writes and deletes; {left} parts are left")


def _post(server: Server, path: str, body: dict[str, str]) -> tuple[int, dict[str, Any]]:
    """An answer, also one that refuses."""
    head = {"Content-Type": "application/json"}
    request = urllib.request.Request(server.url + path, json.dumps(body).encode(), head)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def without_a_region(place: Place) -> None:
    """What went while a region was away goes there when it is back, and comes back nowhere."""
    away, aside = place.data / "regions" / "c", place.data / "aside"
    away.rename(aside)
    run("retention", "run", *place.where(AWAY), code=UNREACHED)  # which is said
    aside.rename(away)
    pairs = [(day, of) for day in DAYS for of in AWAY]
    there = [place.parts(pair) for pair in pairs]
    assert there == [["c"]] * len(pairs), there
    run("reconcile", *place.where(AWAY))
    assert [place.parts(pair) for pair in pairs] == there, "repair brought back what is let go"
    run("retention", "run", *place.where(AWAY))
    assert not place.count(AWAY)
    say(f"a region was away while {len(pairs)} classes of days went, and let them go since")


def races(place: Place) -> None:
    """Holds are placed while expiries run, by other processes; either is answered as it then is."""
    draw, orders = random.Random(1), Counter[str]()
    other = place.data.with_name("other")
    other.mkdir()
    shutil.copy(place.data / KEY_FILE, other)
    pairs = [(day, of) for of in RACED for day in DAYS]
    with (
        closing(Server(place.data, place.settings(RACED)).start()) as deleter,
        closing(Server(other, place.settings(())).start()) as placer,
        ThreadPoolExecutor(2) as pool,
    ):
        for n, pair in enumerate(pairs):
            late = draw.uniform(-0.1, 0.1)
            asked = {"unit": pair[0], "class": pair[1]}
            expiry = pool.submit(_after, -late, _post, deleter, "/v1/retention/run", asked)
            if n < BY_CLI:
                expiry = pool.submit(_after, 1.0 - late, _post, deleter, "/v1/retention/run", asked)
                hold = pool.submit(_hold_by_command, place, pair)
            else:
                hold = pool.submit(_after, late, _post, placer, "/v1/holds", hold_of(pair))
            orders[_judged(place, pair, hold.result(), expiry.result())] += 1
        for server in (deleter, placer):
            server.stop()
    say(f"{len(pairs)} races of a hold and an expiry: {dict(orders)}")
    assert len(orders) > 1, "one of both was first each time"


def _after(seconds: float, work: Any, *arguments: object) -> Any:
    time.sleep(max(0.0, seconds))
    return work(*arguments)


def _hold_by_command(place: Place, pair: Pair) -> tuple[int, dict[str, Any]]:
    command = [HOLDFAST, "hold", "add", *place.where(()), "--json", *_options(pair)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (GOOD, INCOMPLETE), done.stderr
    return HELD, json.loads(done.stdout)


def _judged(
    place: Place,
    pair: Pair,
    held: tuple[int, dict[str, Any]],
    expired: tuple[int, dict[str, Any]],
) -> str:
    """What came of a race: which of both was first, or that each saw the other."""
    status, said = held
    assert status == HELD, held
    if not said["late"]:
        assert expired[0] == REFUSED or not expired[1]["expiring"][0]["removed"], (pair, expired)
        place.held.add(pair)
        place.check([pair[1]])
        return "held"
    place.check([pair[1]])
    return "let go, and not deleted while it is held" if expired[0] == REFUSED else "let go"


def judged(place: Place) -> None:
    """Everything is as it was answered, also once all is repaired and let go again."""
    where = place.where(TENANTS)
    for _ in range(2):
        run("reconcile", *where)
        run("retention", "run", *where)
    place.check()
    out = {(day, of) for day in DAYS for of in TENANTS if place.floors((day, of))}
    met = out & place.held  # stated in the moment of the confirmation: hidden, and kept
    listed = json.loads(run("hold", "list", *where, "--json"))["holds"]
    assert met <= {(each["unit"], each["class"]) for one in listed for each in one["late"]}
    with closing(Server(place.data, place.settings(())).start()) as server:
        found = Counter(each["id"] for each in server.events())
        said = server.get("/v1/completeness")["retained_out"]
        server.stop()
    ids = {f"{day}-{n}-{of}" for day in DAYS for of in TENANTS for n in range(EVENTS_EACH)}
    gone = {f"{day}-{n}-{of}" for day, of in out for n in range(EVENTS_EACH)}
    shown = Counter({id: count for id, count in found.items() if id in ids})
    assert shown == Counter(ids - gone), "what is kept is found once, and nothing else is"
    assert sum(each["events"] for each in said) == len(gone)
    report = json.loads(run("verify", *where, "--depth", "events", "--json"))
    assert report["verdict"] == "good", report["findings"]
    say(f"{len(out)} classes of days let go and said, {len(place.held - met)} held and found")
    say(f"{len(met)} held and let go in one moment: kept, hidden, and named by `hold list`")


def main() -> int:
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="holdfast-expiring-") as folder:
        place = Place(Path(folder) / "data")
        written(place.data)
        run("archive", *place.where(()))
        run("sweep", *place.where(()), "--kept", "0")
        assert place.count(TENANTS) == len(ALL) * len(DAYS) * len(TENANTS)
        for step in (by_commands, by_servers, without_a_region, races, judged):
            step(place)
            say(f"  {time.monotonic() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
