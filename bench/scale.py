"""`python -m bench.scale`: how cost grows with segments, events, nodes and regions.

Trails are written by the code that seals, into directories of one disk; requests are counted as an
object store bills them. Keeps every sample in `bench/results/scale.json`, of which
`bench.scale_page` makes docs/SCALE.md.
"""

import argparse
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from shutil import rmtree
from tempfile import mkdtemp

from bench import scale_reading, scale_writing
from bench.plan import say
from bench.report import Part
from bench.results import RESULTS, Result, keep, surroundings
from bench.scale_reading import Figures, Shape

NAME = "scale"
NODE_STAGES = ("follow", "keep")


@dataclass(frozen=True)
class Plan:
    """trails: (segments, events a segment), of one node. node_segments: of each of several."""

    trails: tuple[tuple[int, int], ...]
    nodes: tuple[int, ...]
    node_segments: int
    regions: tuple[int, ...]
    acks: int
    ack_rounds: int


FULL = Plan(
    trails=((1_000, 10), (10_000, 10), (100_000, 10), (10_000, 100), (100_000, 100)),
    nodes=(1, 5, 10, 20, 50),
    node_segments=100,
    regions=(1, 2, 3, 4, 5),
    acks=50,
    ack_rounds=3,
)
QUICK = Plan(
    trails=((100, 10), (1_000, 10)),
    nodes=(1, 3),
    node_segments=20,
    regions=(1, 3),
    acks=5,
    ack_rounds=1,
)


def measure(plan: Plan, directory: Path, seed: int) -> Figures:
    """Every curve. Acks with different numbers of regions take turns, in shuffled order."""
    shapes = [Shape(segments, events) for segments, events in plan.trails]
    found: Figures = {"trails": [_trail(shape, directory, seed) for shape in shapes]}
    shapes = [Shape(nodes * plan.node_segments, 10, nodes=nodes) for nodes in plan.nodes]
    found["nodes"] = [_trail(shape, directory, seed, NODE_STAGES) for shape in shapes]
    random = Random(seed)
    found["regions"] = [
        _acks(directory, count, plan.acks, seed)
        for _ in range(plan.ack_rounds)
        for count in random.sample(plan.regions, len(plan.regions))
    ]
    return found


def _trail(
    shape: Shape,
    directory: Path,
    seed: int,
    stages: tuple[str, ...] = tuple(scale_reading.STAGES),
) -> Figures:
    folder, begun = Path(mkdtemp(prefix="trail-", dir=directory)), time.monotonic()
    try:
        made, figures = scale_reading.make(shape, folder, seed)
        figures |= scale_reading.measure(made, stages)
    finally:
        rmtree(folder)
    say(
        f"  {shape.segments:,} segments, {shape.segments * shape.events:,} events, "
        f"{shape.nodes} nodes: {time.monotonic() - begun:.0f} s"
    )
    return {"shape": asdict(shape)} | figures


def _acks(directory: Path, regions: int, acks: int, seed: int) -> Figures:
    folder = Path(mkdtemp(prefix="acks-", dir=directory))
    try:
        return scale_writing.measure(folder, regions, acks, seed)
    finally:
        rmtree(folder)


def main() -> int:
    options = _options()
    # So that whatever was started is stopped then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    # Not /tmp, which may lie in memory.
    directory = Path(mkdtemp(prefix="holdfast-scale-", dir=options.directory))
    plan, begun = QUICK if options.quick else FULL, time.monotonic()
    try:
        found = measure(plan, directory, options.seed)
        around = surroundings(directory, {})
    finally:
        rmtree(directory)
    took_s = round(time.monotonic() - begun)
    amounts = {"seed": options.seed, "acks": plan.acks, "ack_rounds": plan.ack_rounds}
    keep(Result(__doc__ or "", around, amounts, took_s, Part(NAME, (), data=found)), options.to)
    say(f"took {took_s} s; figures: {options.to / NAME}.json")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run; its figures mean little")
    parser.add_argument("--seed", type=int, default=1, help="of the events and of every order")
    parser.add_argument("--to", type=Path, default=RESULTS, help="where to keep the figures")
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"), help="on a real disk")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
