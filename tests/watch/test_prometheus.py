"""`make test-watch`: a region is killed under a real server, and whoever watches is told.

Prometheus scrapes, its rule fires, Alertmanager delivers; the server's own alerts do the same
without Prometheus; and when the region is back, all of it resolves. Every query of the dashboards
is asked of a Prometheus that scraped the server.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.machine import program
from tests.serve.running import EVENT, Running, running
from tests.watch.prometheus import DASHBOARDS, RULES, Program, alertmanager, prometheus
from tests.watch.webhook import Webhook

pytestmark = [
    pytest.mark.watch,
    pytest.mark.timeout(240),
    pytest.mark.filterwarnings("default"),
]
TESTS = sorted(RULES.parent.glob("rules*.test.yml"))
AFTER_S = {"region-away": 2, "quorum-margin": 3600}
VARIABLE = re.compile(r"\$(\w+)")
VALUES = {"job": ".*", "instance": ".*", "__rate_interval": "5s"}
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with Webhook().serving() as hook:
        yield hook


@pytest.fixture
def manager(tmp_path: Path, hook: Webhook) -> Iterator[Program]:
    with alertmanager(tmp_path, f"http://127.0.0.1:{hook.port}/manager") as started:
        yield started


def quick_rules(folder: Path) -> Path:
    """The very rules, but for how long each must last."""
    rules = folder / "rules.yml"
    rules.write_text(re.sub(r"\bfor: \d+s", "for: 2s", RULES.read_text(encoding="utf-8")))
    return rules


def region(server: Running) -> Path:
    return server.data / "regions" / "b"


def lose(server: Running) -> None:
    region(server).rename(server.data.parent / "aside")


def bring_back(server: Running) -> None:
    (server.data.parent / "aside").rename(region(server))


def told(hook: Webhook, name: str) -> list[tuple[str, str]]:
    """What Alertmanager said of alerts of that name: status, and of which region."""
    return [
        (alert["status"], alert["labels"].get("region", alert["labels"].get("subject", "")))
        for body in hook.bodies("/manager")
        for alert in body["alerts"]
        if alert["labels"]["alertname"] == name
    ]


def test_prometheus_has_a_lost_region_told_and_its_return(
    tmp_path: Path, hook: Webhook, manager: Program
) -> None:
    with running(tmp_path / "data") as server:
        target = server.url.removeprefix("http://")
        with prometheus(tmp_path, target, quick_rules(tmp_path), manager) as watching:
            hook.wait(lambda: bool(watching.query('up{job="holdfast"} == 1')))
            lose(server)
            hook.wait(lambda: ("firing", "b") in told(hook, "HoldfastRegionAway"), 60)
            bring_back(server)
            hook.wait(lambda: ("resolved", "b") in told(hook, "HoldfastRegionAway"), 90)

    assert ("firing", "") in told(hook, "HoldfastQuorumMargin")
    assert {name for _, name in told(hook, "HoldfastRegionAway")} == {"b"}


def test_without_prometheus_the_same_is_told_through_alertmanager_and_apprise(
    tmp_path: Path, hook: Webhook, manager: Program
) -> None:
    alerts = {
        "alertmanager": (manager.url,),
        "apprise": (f"json://127.0.0.1:{hook.port}/apprise",),
        "after_s": AFTER_S,
    }

    def titles() -> list[str]:
        return [body["title"] for body in hook.bodies("/apprise")]

    with running(tmp_path / "data", alerts=alerts) as server:
        lose(server)
        hook.wait(lambda: ("firing", "b") in told(hook, "HoldfastRegionAway"), 60)
        hook.wait(lambda: len(titles()) == 1)
        (event,) = manager.get("/api/v2/alerts")
        wanted = {"match": "lag:*", "for_s": 600, "why": "new disk", "by": "ann"}
        with server.client() as client:
            assert client.post("/v1/alerts/silences", json=wanted).status_code == 201
        hook.wait(lambda: len(manager.get("/api/v2/silences")) == 1)
        (silence,) = manager.get("/api/v2/silences")
        bring_back(server)
        hook.wait(lambda: ("resolved", "b") in told(hook, "HoldfastRegionAway"), 90)
        hook.wait(lambda: len(titles()) == 2)
        asked = "/v1/events?action=holdfast.alert.*"
        server.wait_until(lambda: len(server.get(asked).json()["events"]) == 3)

    away = "Region b does not answer"
    assert titles() == [f"[warning] {away}", f"[resolved] {away}"]
    assert told(hook, "HoldfastRegionAway") == [("firing", "b"), ("resolved", "b")]
    assert event["labels"]["severity"] == "warning" and event["annotations"]["summary"] == away
    matchers = {each["name"]: each["value"] for each in silence["matchers"]}
    assert matchers["key"] == "lag:.*" and silence["createdBy"] == "ann"


def panels(folder: Path) -> Iterator[tuple[str, str]]:
    """Every query of every panel and annotation, as Grafana would send it."""
    for path in sorted(folder.glob("*.json")):
        board = json.loads(path.read_text(encoding="utf-8"))
        queries = [(p["title"], t["expr"]) for p in board["panels"] for t in p.get("targets", ())]
        queries += [(each["name"], each["expr"]) for each in board["annotations"]["list"]]
        for title, query in queries:
            yield f"{path.name}: {title}", VARIABLE.sub(lambda found: VALUES[found[1]], query)


def test_every_query_of_the_dashboards_finds_something(tmp_path: Path) -> None:
    quiet = {"Server started"}  # there while nothing starts
    with running(tmp_path / "data", reconcile_interval_s=1) as server:
        target = server.url.removeprefix("http://")
        with prometheus(tmp_path, target, RULES, None) as watching:
            for _ in range(8):
                server.post(EVENT, traceparent=f"00-{TRACE}-b7ad6b7169203331-01")
                server.wait_until(lambda: bool(watching.query("holdfast_ack_seconds_count > 0")))
            server.wait_until(lambda: bool(watching.query("holdfast_survey_identical == 1")))
            server.inside(server.system.scrub.read_share)
            server.wait_until(lambda: bool(watching.query("holdfast_scrub_timestamp_seconds > 0")))
            server.inside(lambda: server.system.archivist.archive(0))
            server.inside(lambda: server.system.sweeper.sweep(0))
            server.inside(server.system.retention.expire)
            server.inside(server.system.restorer.restore_some)
            server.post(EVENT)
            empty: list[str] = []

            def all_found() -> bool:
                empty[:] = [
                    title
                    for title, query in panels(DASHBOARDS)
                    if not watching.query(query) and title.partition(": ")[2] not in quiet
                ]
                server.post(EVENT, traceparent=f"00-{TRACE}-b7ad6b7169203331-01")
                return not empty

            try:
                server.wait_until(all_found)
            finally:
                assert empty == []
            started = server.get("/v1/status").json()["now"]
            exemplars = watching.query(
                "holdfast_ack_seconds_bucket", "query_exemplars", start="0", end=started
            )

    labels = [each["labels"] for series in exemplars for each in series["exemplars"]]
    assert {"trace_id": TRACE} in labels


def promtool(*arguments: str, standing: bytes = b"") -> str:
    done = subprocess.run(
        [program("promtool"), *arguments], input=standing, capture_output=True, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return (done.stdout + done.stderr).decode()


def test_promtool_finds_nothing_wrong_with_the_rules_and_their_tests_hold() -> None:
    assert "rules found" in promtool("check", "rules", str(RULES))
    promtool("test", "rules", *map(str, TESTS))


def test_promtool_finds_nothing_wrong_with_the_figures(tmp_path: Path) -> None:
    with running(tmp_path / "data") as server:
        figures = server.get("/metrics").content

    assert promtool("check", "metrics", standing=figures) == ""


def test_each_rule_has_a_test_that_sees_it_fire() -> None:
    tests: list[dict[str, Any]] = [msgspec.yaml.decode(path.read_bytes()) for path in TESTS]
    rules: dict[str, Any] = msgspec.yaml.decode(RULES.read_bytes())

    fired = {
        case["alertname"]
        for file in tests
        for each in file["tests"]
        for case in each["alert_rule_test"]
        if case.get("exp_alerts")
    }
    assert fired == {each["alert"] for group in rules["groups"] for each in group["rules"]}
