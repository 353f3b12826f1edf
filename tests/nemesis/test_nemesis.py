"""A short play of the nemesis, and a judge who sees what is wrong. `make nemesis` plays it all."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nemesis.cluster import REGIONS, Cluster
from tests.nemesis.judge import answers, judge, settle
from tests.nemesis.play import play

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path, seed=1)
    try:
        made.found()
        made.wait_for_acknowledgements()
        yield made
    finally:
        made.end()
        made.unmount(keep=False)


def test_nothing_is_lost_to_a_wiped_region_and_a_kill_meanwhile() -> None:
    said: list[str] = []

    problems = play(2, said.append, ("wipe",))  # a seed that kills a node in the midst of it

    assert problems == [], "\n".join(said)
    assert said[-1].startswith("all promises held")


def test_the_judge_sees_a_lost_segment_a_doubled_event_and_another_answer(
    cluster: Cluster,
) -> None:
    settle(cluster)
    found = answers(cluster)
    judge(cluster, found)
    good = list(cluster.problems)
    lost = cluster.clients[0].acks[-1][1].segment

    for region in REGIONS:
        next((cluster.regions / region).glob(f"ev/seg/*/*/{lost}*")).unlink()
    doubled = found["one"][0]["id"]
    found["one"].append(found["one"][0])
    judge(cluster, found)

    assert good == []
    told = "\n".join(cluster.problems)
    assert "LOST: segment" in told
    assert "I1: segment" in told
    assert "LOST or doubled: one finds" in told and doubled in told
    assert "one does not answer as the command line does" in told
