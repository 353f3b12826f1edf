"""One play: a cluster under load, fault after fault as the seed draws them, and the judgement."""

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from tests.nemesis.cluster import Cluster
from tests.nemesis.faults import FAULTS, SkippedError
from tests.nemesis.judge import answers, judge, settle

Say = Callable[[str], None]


def play(seed: int, say: Say, faults: Sequence[str] = ()) -> list[str]:
    """Returns what was breached. The directories stay where anything was.

    faults: these, in this order; else every one, in an order that the seed draws.
    """
    draw = Random(seed)
    say(f"seed {seed}")
    cluster = Cluster(Path(tempfile.mkdtemp(prefix="holdfast-nemesis-")), seed)
    begun = time.monotonic()
    try:
        cluster.found()
        say(f"{time.monotonic() - begun:6.1f} s  two nodes, three regions, clients and readers")
        for title in faults or draw.sample(sorted(FAULTS), len(FAULTS)):
            _step(cluster, title, draw, say)
        began = time.monotonic()
        settle(cluster)
        say(f"{time.monotonic() - began:6.1f} s  loads ended, everyone caught up")
        say(f"         {judge(cluster, answers(cluster))}")
    except AssertionError as error:
        cluster.problem(f"it did not come to hold: {error}")
    finally:
        cluster.end()
        cluster.unmount(keep=bool(cluster.problems))
    for problem in cluster.problems:
        say(f"BREACH: {problem}")
    if cluster.problems:
        say(f"the directories are in {cluster.place}; again: make nemesis SEED={seed}")
    else:
        shutil.rmtree(cluster.place)
        say(f"all promises held, in {time.monotonic() - begun:.0f} s")
    return cluster.problems


def _step(cluster: Cluster, title: str, draw: Random, say: Say) -> None:
    begun = time.monotonic()
    before = sum(client.acknowledged_count for client in cluster.clients)
    try:
        told = FAULTS[title](cluster, draw)
    except SkippedError as reason:
        say(f"     -    {title}: SKIPPED: {reason}")
        return
    healed = time.monotonic()
    cluster.wait_for_acknowledgements()
    acknowledging = time.monotonic() - healed
    cluster.wait_until_caught_up()
    count = sum(client.acknowledged_count for client in cluster.clients) - before
    say(
        f"{healed - begun:6.1f} s  {title}: {told}; acknowledging {acknowledging:.1f} s later, "
        f"caught up after {time.monotonic() - healed:.1f} s ({count} requests acknowledged)"
    )
