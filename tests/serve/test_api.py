"""The HTTP API over a real node, reader and regions."""

import gzip
import json
import sys
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from holdfast.proof import note
from tests.serve.running import EVENT, Running

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def ndjson(*events: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def fields(problem: dict[str, Any]) -> list[tuple[int, str]]:
    return [(error["line"], error["field"]) for error in problem["errors"]]


def test_an_event_is_found_as_soon_as_it_is_acknowledged(server: Running) -> None:
    taken = server.post(
        {**EVENT, "actor": {"id": "first"}, "payload_type": "x", "payload": {"n": 1.50}}
    )

    found = server.get("/v1/events?actor=first").json()

    assert taken.status_code == 201
    assert [event["id"] for event in found["events"]] == taken.json()["ids"]
    assert found["events"][0]["principal"] == "loopback"


def test_an_acknowledgement_names_segment_regions_and_ids(server: Running) -> None:
    taken = server.post([EVENT, {**EVENT, "id": "mine-1"}]).json()

    receipt = note.parse(taken["receipt"].encode())

    assert list(taken) == ["segment", "receipt", "regions", "ids"]
    assert taken["segment"] in receipt.text
    assert len(taken["regions"]) >= 2
    assert taken["ids"][1] == "mine-1"


@pytest.mark.parametrize("coding", ["identity", "gzip", "zstd"])
def test_bodies_may_be_lines_and_compressed(server: Running, coding: str) -> None:
    lines = ndjson({**EVENT, "actor": {"id": coding}}, {**EVENT, "actor": {"id": coding}})
    bodies = {"identity": lines, "gzip": gzip.compress(lines), "zstd": zstd.compress(lines)}

    taken = server.post(
        bodies[coding], **{"content-type": "application/x-ndjson", "content-encoding": coding}
    )

    assert taken.status_code == 201
    assert len(server.get(f"/v1/events?actor={coding}").json()["events"]) == 2


def test_every_bad_line_is_named_and_nothing_is_stored(server: Running) -> None:
    lines = ndjson({**EVENT, "actor": {"id": "half"}}, {"action": 7}, {"actio": "x"})

    refused = server.post(lines, **{"content-type": "application/x-ndjson"})

    assert refused.status_code == 400
    assert refused.headers["content-type"] == "application/problem+json"
    assert {line for line, _ in fields(refused.json())} == {2, 3}
    assert server.get("/v1/events?actor=half").json()["events"] == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": "application/json", "content-encoding": "br"}, 415),
        ({"content-type": "application/json", "content-encoding": "gzip"}, 400),
    ],
)
def test_what_cannot_be_read_is_refused(
    server: Running, headers: dict[str, str], status: int
) -> None:
    assert server.post(b'{"action":"x"}', **headers).status_code == status


def test_a_bomb_is_refused(server: Running) -> None:
    bomb = gzip.compress(b" " * 200_000_000, 1)

    refused = server.post(bomb, **{"content-type": "application/json", "content-encoding": "gzip"})

    assert refused.status_code == 413
    assert refused.json()["type"] == "/problems/too-large"


def test_too_many_events_and_too_large_ones_are_refused(server: Running) -> None:
    many = server.post(b'{"action":"x"}\n' * 10_001, **{"content-type": "application/x-ndjson"})
    large = server.post({**EVENT, "reason": "x" * 1_100_000})

    assert (many.status_code, large.status_code) == (413, 413)


def test_posting_with_parameters_is_a_mistake(server: Running) -> None:
    with server.client() as client:
        refused = client.post("/v1/events?tenant=a", json=EVENT)

    assert refused.status_code == 400
    assert refused.json()["type"] == "/problems/unknown-parameter"


def test_a_search_object_has_its_keys_and_elements_their_place(server: Running) -> None:
    server.post({**EVENT, "id": "place-1", "tenant": "place"})

    found = server.get("/v1/events?tenant=place").json()

    event = found["events"][0]
    assert list(found) == [
        "events",
        "complete_through",
        "basis",
        "holding_back",
        "gaps",
        "retained_out",
        "next",
    ]
    assert list(event)[-3:] == ["node", "segment", "position"]
    assert event["id"] == "place-1"


def test_pages_follow_each_other_without_a_gap_or_a_repeat(server: Running) -> None:
    sent = [
        {**EVENT, "id": f"p{n}", "tenant": "pages", "time": f"2026-01-01T00:00:{n:02}Z"}
        for n in range(7)
    ]
    server.post(sent)
    seen, cursor = [], ""

    for _ in range(4):
        page = server.get(f"/v1/events?tenant=pages&limit=2&cursor={cursor}").json()
        seen += [event["id"] for event in page["events"]]
        cursor = page["next"]

    assert seen == ["p6", "p5", "p4", "p3", "p2", "p1", "p0"]
    assert cursor is None


def test_every_filter_filters(server: Running) -> None:
    event = {
        "id": "f-1",
        "time": "2020-05-05T05:05:05Z",
        "tenant": "filters",
        "actor": {"id": "arn:1", "name": "Ann"},
        "action": "iam.user.create",
        "targets": [{"id": "t-1", "name": "Target"}],
        "outcome": "denied",
        "source": {"ip": "10.1.2.3"},
        "reason": "Because of Zebras",
    }
    server.post([event, {"action": "other", "tenant": "filters"}])

    for asked in (
        "from=2020-05-05T05:05:05Z&to=2020-05-05T05:05:06Z",
        "actor=arn:1",
        "actor=Ann",
        "action=iam.user.create",
        "action=iam.*",
        "target=t-1",
        "target=Target",
        "outcome=denied",
        "ip=10.1.2.3",
        "id=f-1",
        "q=zebras",
    ):
        found = server.get(f"/v1/events?tenant=filters&{asked}").json()
        assert [event["id"] for event in found["events"]] == ["f-1"], asked


@pytest.mark.parametrize(
    ("asked", "kind", "field"),
    [
        ("actr=alice", "unknown-parameter", "actr"),
        ("from=yesterday", "bad-parameter", "from"),
        ("limit=0", "bad-parameter", "limit"),
        ("limit=1001", "bad-parameter", "limit"),
        ("outcome=maybe", "bad-parameter", "outcome"),
        ("cursor=nonsense", "bad-cursor", "cursor"),
        (f"q={'x' * 2000}", "bad-parameter", "q"),
    ],
)
def test_a_bad_parameter_is_named(server: Running, asked: str, kind: str, field: str) -> None:
    refused = server.get(f"/v1/events?{asked}")

    assert refused.status_code == 400
    assert refused.json()["type"] == f"/problems/{kind}"
    assert fields(refused.json()) == [(0, field)]


def test_counts_are_grouped_and_put_in_bars(server: Running) -> None:
    server.post(
        [
            {"action": "in", "tenant": "counts", "time": "2026-01-01T00:10:00Z"},
            {"action": "in", "tenant": "counts", "time": "2026-01-01T00:50:00Z"},
            {"action": "out", "tenant": "counts", "time": "2026-01-01T01:10:00Z"},
        ]
    )

    counted = server.get("/v1/events/count?tenant=counts&by=action&bucket=1h").json()

    assert counted["count"] == 3
    assert counted["groups"] == [{"action": "in", "count": 2}, {"action": "out", "count": 1}]
    assert counted["histogram"] == [
        {"from": "2026-01-01T00:00:00.000000Z", "count": 2},
        {"from": "2026-01-01T01:00:00.000000Z", "count": 1},
    ]


@pytest.mark.parametrize("asked", ["by=colour", "by=action,action", "bucket=1y", "limit=5"])
def test_a_count_that_means_nothing_is_refused(server: Running, asked: str) -> None:
    assert server.get(f"/v1/events/count?{asked}").status_code == 400


@pytest.mark.parametrize("id", ["a/b?c#d", "count", "ünï cödé", "..", "100%"])
def test_an_event_is_found_under_any_id(server: Running, id: str) -> None:
    server.post({**EVENT, "id": id, "tenant": "ids"})

    with server.client() as client:
        escaped = "".join(f"%{byte:02x}" for byte in id.encode())
        by_path = client.get(f"/v1/events/{escaped}", params={"tenant": "ids"})
        by_query = client.get("/v1/events", params={"id": id, "tenant": "ids"})

    assert [event["id"] for event in by_query.json()["events"]] == [id]
    if id not in ("count", ".."):  # a path of its own, and one that clients resolve
        assert [event["id"] for event in by_path.json()["events"]] == [id]


def test_two_events_that_differ_under_one_id_are_both_shown(server: Running) -> None:
    server.post({**EVENT, "id": "twice", "reason": "one"})
    server.post({**EVENT, "id": "twice", "reason": "two"})

    server.wait_until(
        lambda: (
            [event.get("conflict") for event in server.get("/v1/events/twice").json()["events"]]
            == [True, True]
        )
    )


def test_an_unknown_id_is_an_empty_list_and_the_statement(server: Running) -> None:
    answer = server.get("/v1/events/nobody")

    assert answer.status_code == 200
    assert answer.json()["events"] == []
    assert "complete_through" in answer.json()


def test_the_watermark_passes_what_was_acknowledged(server: Running) -> None:
    server.post({**EVENT, "id": "below"})
    received = server.get("/v1/events/below").json()["events"][0]["received"]

    server.wait_until(
        lambda: (server.get("/v1/completeness").json()["complete_through"] or "") > received
    )


def test_the_status_knows_node_regions_and_reader(server: Running) -> None:
    server.post(EVENT)

    status = server.get("/v1/status").json()

    assert status["ready"] is True
    assert status["trail"]["id"] == server.system.regions.trail
    assert status["node"]["state"] == "open"
    assert [region["region"] for region in status["regions"]] == ["a", "b", "c"]
    assert status["reader"]["events"] >= 1


def test_it_lives_and_is_ready(server: Running) -> None:
    assert server.get("/healthz").text == "ok\n"
    assert server.get("/readyz").text == "ready\n"


def test_prometheus_can_read_the_figures(server: Running) -> None:
    server.post(EVENT)

    families = {
        family.name: family
        for family in text_string_to_metric_families(server.get("/metrics").text)
    }

    assert families["holdfast_ingest_events"].samples[0].value >= 1
    assert families["holdfast_node_open"].samples[0].value == 1
    assert {s.labels["region"] for s in families["holdfast_region_lag_seconds"].samples} == {
        "a",
        "b",
        "c",
    }
    assert families["holdfast_watermark_age_seconds"].samples[0].value < 60
    buckets = [s for s in families["holdfast_ack_seconds"].samples if s.name.endswith("_bucket")]
    assert buckets[-1].value >= 1


def test_head_is_get_without_a_body(server: Running) -> None:
    with server.client() as client:
        answers = [client.head(path) for path in ("/healthz", "/readyz", "/", "/v1/events")]

    assert [answer.status_code for answer in answers] == [200] * 4
    assert all(answer.content == b"" for answer in answers)


def test_unknown_paths_and_methods_are_problems(server: Running) -> None:
    with server.client() as client:
        nowhere = client.get("/nowhere")
        putting = client.put("/v1/events", json=EVENT)

    assert (nowhere.status_code, putting.status_code) == (404, 405)
    assert putting.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert {nowhere.headers["content-type"], putting.headers["content-type"]} == {
        "application/problem+json"
    }


def test_every_problem_has_a_page(server: Running) -> None:
    refused = server.get("/v1/events?actr=1").json()

    page = server.get(refused["type"])

    assert page.status_code == 200
    assert refused["title"] in page.text
    assert server.get("/problems/nothing").status_code == 404


def test_answers_may_not_be_kept_or_framed(server: Running) -> None:
    for path in ("/", "/v1/events", "/nowhere"):
        headers = server.get(path).headers
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_a_foreign_page_cannot_read_the_trail_by_another_name(server: Running) -> None:
    with server.client() as client:
        reading = client.get("/v1/events", headers={"host": "evil.example"})
        writing = client.post("/v1/events", json=EVENT, headers={"host": "evil.example"})

    assert (reading.status_code, writing.status_code) == (421, 421)


def test_the_page_shows_hostile_events_as_text(server: Running) -> None:
    evil = '<script>alert("x")</script>'
    server.post({"action": evil, "actor": {"id": evil}, "tenant": "evil", "reason": evil})

    page = server.get("/?tenant=evil")

    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert evil not in page.text and page.text.count("<script") == 1  # our own
    assert "&lt;script&gt;" in page.text


def test_the_page_says_what_was_wrong_with_a_search(server: Running) -> None:
    page = server.get("/?from=yesterday&actor=")

    assert page.status_code == 400
    assert "Nothing was searched." in page.text


def test_the_page_has_its_sheet_and_its_sign(server: Running) -> None:
    assert server.get("/holdfast.css").headers["content-type"] == "text/css; charset=utf-8"
    assert server.get("/mark.svg").headers["content-type"] == "image/svg+xml"


def test_a_group_that_is_none_is_refused_with_those_that_are(server: Running) -> None:
    refused = server.get("/v1/events/count?by=colour").json()

    assert "'colour' is not one of tenant, actor" in refused["detail"]
    assert refused["errors"][0]["field"] == "by"
