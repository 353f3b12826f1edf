"""What is done to servers, directories and disks while clients go on. Each fault ends healed.

A fault never takes what the design does not survive: whatever a region silently loses, W others
hold (`_wait_until_others_hold`).
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from holdfast.proof import statements
from holdfast.proof.statements import Closed
from holdfast.regions import layout
from tests.e2e.server import HOLDFAST, Server, holdfast, wait_until
from tests.nemesis.cluster import NODES, REGIONS, Cluster

Fault = Callable[[Cluster, Random], str]
NOT_MOUNTED = ("a", "b")  # what is mounted cannot be renamed
REFUSED = 2


class SkippedError(Exception):
    """It cannot be done on this machine; the reason, for people."""


def kill(cluster: Cluster, draw: Random) -> str:
    """SIGKILL, of both nodes at times."""
    killed = draw.sample(NODES, draw.choice([1, 1, 2]))
    for name in killed:
        cluster.servers[name].kill()
    time.sleep(draw.uniform(0, 2))
    for name in killed:
        cluster.servers[name].start()
    return f"killed {' and '.join(killed)}, started again"


def pause(cluster: Cluster, draw: Random) -> str:
    """SIGSTOP until another node has closed the epoch; then it goes on, not knowing."""
    name = draw.choice(NODES)
    server = cluster.servers[name]
    before = _epoch(server)
    node, number = before
    closed = cluster.regions / "a" / layout.closed_key(node, number)
    server.pause()
    try:
        wait_until(closed.exists, lambda: f"nobody closes epoch {number} of {name}")
        time.sleep(draw.uniform(0, 1))
    finally:
        server.resume()
    wait_until(lambda: server.is_ready() and _epoch(server) not in (before, ("", 0)), cluster.tell)
    return f"paused {name} until epoch {number} was closed over it"


def fill_a_region(cluster: Cluster, draw: Random) -> str:
    place = _small(cluster, cluster.regions / "c")
    with cluster.full(place):
        cluster.wait_for_acknowledgements()
        _trouble(cluster, draw)
    return "not a byte free in region c"


def fill_a_node(cluster: Cluster, draw: Random) -> str:
    place = _small(cluster, cluster.place / "two")
    with cluster.full(place):
        cluster.wait_for_acknowledgements()
        time.sleep(draw.uniform(1, 3))
    return "not a byte free in the data directory of two"


def take_permissions(cluster: Cluster, draw: Random) -> str:
    """Of one region: acknowledgements go on. Then, at times, of two: they do not."""
    if not os.geteuid() and not cluster.bites:
        raise SkippedError("root passes over permissions, and setpriv is not here")
    taken = draw.sample(REGIONS, draw.choice([1, 1, 2]))
    modes = {region: (cluster.regions / region).stat().st_mode for region in taken}
    for region in taken:
        (cluster.regions / region).chmod(0)
    try:
        if len(taken) == 1:
            cluster.wait_for_acknowledgements()
        time.sleep(draw.uniform(1, 3))
    finally:
        for region, mode in modes.items():
            (cluster.regions / region).chmod(mode)
    return f"no permissions for {' and '.join(taken)}"


def clone(cluster: Cluster, draw: Random) -> str:
    """A data directory copied while its server writes, and served from at the same time."""
    name, copy = draw.choice(NODES), f"clone{len(cluster.clients)}"
    _copy(cluster.place / name, cluster.place / copy)
    client = cluster.add(copy)
    wait_until(lambda: client.acknowledged_count > 3, cluster.tell)
    cluster.wait_for_acknowledgements()
    killed = draw.random() < 0.5
    cluster.remove(copy, kill=killed)
    return f"a copy of {name} served beside it, and was {'killed' if killed else 'stopped'}"


def restore_an_old_node(cluster: Cluster, draw: Random) -> str:
    """A data directory as it was some time ago."""
    data = cluster.place / "one"
    old, newer = data.with_name("one-old"), data.with_name("one-newer")
    _copy(data, old)
    time.sleep(draw.uniform(1, 3))
    server = cluster.servers["one"]
    server.kill()
    data.rename(newer)
    old.rename(data)
    server.start()
    shutil.rmtree(newer)
    return "one was restored from an older copy of its directory"


def damage_a_cache(cluster: Cluster, draw: Random) -> str:
    """What is derived is cut short or overwritten while the server is down."""
    name = draw.choice(NODES)
    server = cluster.servers[name]
    server.kill()
    files = sorted(p for p in (server.data / "cache").rglob("*") if p.is_file())
    for file in files:
        with file.open("r+b") as opened:
            if draw.random() < 0.5:
                opened.truncate(draw.randint(0, file.stat().st_size))
            else:
                opened.write(draw.randbytes(64))
    server.start()
    return f"{len(files)} files of the cache of {name} damaged"


def wipe(cluster: Cluster, draw: Random) -> str:
    """A region becomes an empty directory; later the lost one comes back, as from a backup."""
    region = cluster.regions / draw.choice(NOT_MOUNTED)
    away = region.with_name(region.name + "-away")
    region.rename(away)
    region.mkdir()
    cluster.wait_for_acknowledgements()
    _trouble(cluster, draw)
    if made := [path.name for path in region.iterdir()]:
        cluster.problem(f"something was made in a wiped region: {made}")
        shutil.rmtree(region)
        region.mkdir()
    region.rmdir()
    away.rename(region)
    return f"region {region.name} was empty"


def replace(cluster: Cluster, draw: Random) -> str:
    """A region's store is lost for good; another takes its place, and is filled under load."""
    region = cluster.regions / draw.choice(NOT_MOUNTED)
    away = region.with_name(region.name + "-away")
    region.rename(away)
    # A segment that rotted in another region must not have lain in this one alone.
    _wait_until_others_hold(cluster, region.name, away)
    shutil.rmtree(away)
    cluster.wait_for_acknowledgements()
    where = ("--config", str(cluster.config), "--data", str(cluster.place / "one"))
    holdfast("region", "replace", region.name, *where)
    _trouble(cluster, draw)
    wait_until(
        lambda: all(each["state"] == "ok" for each in _regions(where)),
        lambda: f"not found whole: {_regions(where)}",
    )
    return f"the store of region {region.name} was lost for good, another took its place"


def roll_back(cluster: Cluster, draw: Random) -> str:
    """A region is as it was some time ago, and seems to be well: nobody is told."""
    region = cluster.regions / draw.choice(NOT_MOUNTED)
    old, away = (region.with_name(f"{region.name}-{word}") for word in ("old", "away"))
    _copy(region, old)
    time.sleep(draw.uniform(1, 3))
    region.rename(away)
    _wait_until_others_hold(cluster, region.name, away)
    lost = _kept(away) - _kept(old)
    old.rename(region)
    _trouble(cluster, draw)
    wait_until(
        lambda: not _lacks(cluster, away, region),
        lambda: f"not repaired: {_lacks(cluster, away, region)[:3]}",
    )
    shutil.rmtree(away)
    return f"region {region.name} lost its newest {len(lost)} objects, and got them again"


def alias(cluster: Cluster, draw: Random) -> str:
    """Two regions are one store: the folder of one is linked in place of the other's."""
    one, other = (cluster.regions / name for name in draw.sample(NOT_MOUNTED, 2))
    away = other.with_name(other.name + "-away")
    other.rename(away)
    other.symlink_to(one)
    cluster.wait_for_acknowledgements()
    time.sleep(draw.uniform(1, 4))  # a node that starts now refuses to: see below
    other.unlink()
    away.rename(other)
    return f"region {other.name} was a link to {one.name}"


def alias_in_settings(cluster: Cluster, draw: Random) -> str:
    """A server whose settings name one store twice must not start."""
    link = cluster.place / "link"
    link.symlink_to(cluster.regions / "a")
    config = cluster.place / "alias.toml"
    config.write_text("quorum = 2\n" + cluster.tables({draw.choice("bc"): str(link)}))
    data = cluster.place / "three"
    data.mkdir()
    shutil.copy(cluster.place / "one" / "trail.key", data / "trail.key")
    command = [HOLDFAST, "serve", "--data", str(data), "--config", str(config), "--port", "0"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if ran.returncode != REFUSED:
        cluster.problem(f"one store as two regions: exit {ran.returncode}: {ran.stderr}")
    shutil.rmtree(data)
    link.unlink()
    return "settings that name one store twice were refused"


def swap(cluster: Cluster, draw: Random) -> str:
    """Two regions' folders change places: neither is what the settings say."""
    a, b = (cluster.regions / name for name in NOT_MOUNTED)
    for _ in range(2):
        between = a.with_name("between")
        a.rename(between)
        b.rename(a)
        between.rename(b)
        time.sleep(draw.uniform(1, 3))
    return "the folders of a and b changed places, and back"


def flip(cluster: Cluster, draw: Random) -> str:
    """A byte of a segment rots, and a reader that lost its cache reads everything anew."""
    region, name = draw.choice(REGIONS), draw.choice(NODES)
    path = draw.choice(sorted((cluster.regions / region).glob("ev/seg/*/*/*.zst")))
    data = bytearray(path.read_bytes())
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    path.write_bytes(data)
    server = cluster.servers[name]
    server.kill()
    shutil.rmtree(server.data / "cache")
    server.start()
    return f"a byte of a segment in {region} flipped; {name} started without its cache"


FAULTS: dict[str, Fault] = {
    each.__name__.replace("_", " "): each
    for each in (
        *(kill, pause, fill_a_region, fill_a_node, take_permissions, clone, restore_an_old_node),
        *(damage_a_cache, wipe, replace, roll_back, alias, alias_in_settings, swap, flip),
    )
}


def _trouble(cluster: Cluster, draw: Random) -> None:
    """Time passes; at times a node is killed, and starts while the fault lasts."""
    time.sleep(draw.uniform(0.5, 2))
    if draw.random() < 0.5:
        server = cluster.servers[draw.choice(NODES)]
        server.kill()
        server.start()
        cluster.wait_for_acknowledgements()
    time.sleep(draw.uniform(0.5, 2))


def _regions(where: Sequence[str]) -> list[dict[str, str]]:
    seen = json.loads(holdfast("region", "list", *where, "--json", ok=(0, 3)))
    listed: list[dict[str, str]] = seen["regions"]
    return listed


def _epoch(server: Server) -> tuple[str, int]:
    node = server.get("/v1/status")["node"]
    return node["node"], node["epoch"]


def _small(cluster: Cluster, path: Path) -> Path:
    if path not in cluster.small:
        raise SkippedError("a tmpfs may not be mounted here")
    return path


def _copy(source: Path, target: Path) -> None:
    """Of a directory that is written to meanwhile: what vanishes is left out."""
    subprocess.run(["cp", "-a", str(source), str(target)], stderr=subprocess.DEVNULL, check=False)


def _kept(region: Path) -> set[str]:
    """What must lie in every region in the end: segments, births, decided closes."""
    paths = (*region.glob("ev/seg/*/*/*"), *region.glob("ev/node/*/*/*"))
    return {
        str(path.relative_to(region))
        for path in paths
        if path.name not in ("fence.note", "close.note")
    }


def _lacks(cluster: Cluster, held: Path, region: Path) -> list[str]:
    """What a region lacks of what a folder held. Orphans are not missed: nobody may copy them."""
    ends: dict[tuple[str, int], int] = {}
    for path in cluster.regions.glob("*/ev/node/*/*/closed.note"):
        end = statements.read(path.read_bytes(), Closed).statement.end
        ends[path.parts[-3], int(path.parts[-2], 16)] = end.size
    missing = []
    for key in sorted(_kept(held) - _kept(region)):
        parsed = layout.parse_key(key)
        if isinstance(parsed, layout.SegmentKey):
            size = ends.get((parsed.node, parsed.name.epoch), parsed.name.index + 1)
            if parsed.name.index >= size:
                continue
        missing.append(key)
    return missing


def _wait_until_others_hold(cluster: Cluster, name: str, away: Path) -> None:
    """What a region held, every other holds; of its fences and votes, what they decided."""
    others = [cluster.regions / region for region in REGIONS if region != name]
    decided = [
        fence.with_name("closed.note").relative_to(away)
        for fence in away.glob("ev/node/*/*/fence.note")
    ]

    def lacking() -> list[str]:
        missing = [key for region in others for key in _lacks(cluster, away, region)]
        return missing + [str(d) for region in others for d in decided if not (region / d).exists()]

    wait_until(lambda: not lacking(), lambda: f"not copied: {lacking()[:3]}")
