"""docs/METRICS.md and the rules against what a real server exposes, both ways."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse

from holdfast.watch.channels import alertname
from holdfast.watch.kinds import DOCUMENT, KINDS
from holdfast.watch.standing import exemplar_of
from tests.serve.running import EVENT, Running
from tests.tidy.source import ROOT
from tests.watch.prometheus import DASHBOARDS, RULES

PAGE = (ROOT / "docs" / "METRICS.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(holdfast_\w+)` \| (\w+) \| ([`\w, ]*) \| (.+) \|$", re.M)
DOCUMENTED = {
    name: (kind, frozenset(re.findall(r"`(\w+)`", labels)))
    for name, kind, labels, _ in ROW.findall(PAGE)
}
TRACE = "0af7651916cd43dd8448eb211c80319c"
OPEN = "application/openmetrics-text; version=1.0.0"


def families(text: str) -> dict[str, tuple[str, set[str]]]:
    """By the name as it is exposed: type, and labels of its samples."""
    found = {}
    for family in parse(text):
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {label for sample in family.samples for label in sample.labels}
        found[name] = family.type, labels - {"le"}
    return found


def test_every_figure_is_documented_and_no_other(server: Running) -> None:
    server.post(EVENT)
    server.wait_until(lambda: server.get("/v1/completeness").json()["complete_through"] is not None)

    found = families(server.get("/metrics").text)

    shown = {name for name in found if not name.startswith("process_")}
    assert shown == DOCUMENTED.keys()
    assert len(DOCUMENTED) == len(ROW.findall(PAGE)), "each stands there once"
    for name in shown:
        kind, labels = found[name]
        assert kind == DOCUMENTED[name][0], name
        assert not labels or labels == DOCUMENTED[name][1], name


def test_who_asks_for_openmetrics_gets_exemplars_and_the_same_figures(server: Running) -> None:
    server.post(EVENT, traceparent=f"00-{TRACE}-b7ad6b7169203331-01")

    with server.client() as client:
        answer = client.get("/metrics", headers={"accept": f"{OPEN},text/plain;q=0.5"})
        plain = client.get("/metrics", headers={"accept": "text/plain"})

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    parsed = parse_open(answer.text)  # type: ignore[no-untyped-call]
    samples = [each for family in parsed for each in family.samples]
    exemplars = [each.exemplar.labels for each in samples if each.exemplar]
    assert {"trace_id": TRACE} in exemplars
    assert "trace_id" not in plain.text


@pytest.mark.parametrize(
    ("headers", "label"),
    [
        ({b"traceparent": b"00-" + TRACE.encode() + b"-b7ad6b7169203331-01"}, "trace_id"),
        ({b"x-request-id": b"req-7.1"}, "request_id"),
        ({b"traceparent": b"nonsense", b"x-request-id": b"req-7"}, "request_id"),
        ({b"x-request-id": b'x" 1\nevil 2'}, ""),
        ({b"x-request-id": b"x" * 65}, ""),
        ({}, ""),
    ],
)
def test_an_exemplar_has_the_id_that_a_request_is_found_by_and_nothing_else(
    headers: dict[bytes, bytes], label: str
) -> None:
    found = exemplar_of(headers, 0.1)

    assert (found.name if found else "") == label


def rules() -> dict[str, Any]:
    decoded: dict[str, Any] = msgspec.yaml.decode(RULES.read_bytes())
    return {each["alert"]: each for group in decoded["groups"] for each in group["rules"]}


def test_each_kind_of_alert_is_a_rule_of_the_same_name_severity_and_time() -> None:
    found = rules()

    assert {alertname(kind) for kind in KINDS} | {"HoldfastDown"} == found.keys()
    for name, kind in KINDS.items():
        rule = found[alertname(name)]
        assert rule["labels"]["severity"] == kind.severity
        assert rule["for"] == f"{kind.after_s}s"
        assert rule["annotations"]["runbook"] == f"{DOCUMENT}#{name}"


@pytest.mark.parametrize("path", [RULES, *sorted(DASHBOARDS.glob("*.json"))], ids=lambda p: p.name)
def test_rules_and_dashboards_ask_for_figures_that_are_documented(path: Path) -> None:
    asked = set(re.findall(r"\bholdfast_\w+", path.read_text(encoding="utf-8")))

    known = set(DOCUMENTED) | {
        f"{name}{end}"
        for name, (kind, _) in DOCUMENTED.items()
        if kind == "histogram"
        for end in ("_bucket", "_sum", "_count")
    }
    assert asked and asked <= known
