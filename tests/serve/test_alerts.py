"""A region is lost under a real server: somebody is told, once, also over a restart.

The webhook is a real one, behind `apprise`. That it resolves, and Alertmanager itself, are in
`make test-watch`.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import RejectedError
from holdfast.settings import AlertSettings, load
from tests.serve.running import Running, running
from tests.watch.webhook import Webhook

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]
QUICK = {"region-away": 1, "quorum-margin": 100_000, "unknown-node": 100_000}
AWAY = "Region b does not answer"


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with Webhook().serving() as hook:
        yield hook


def settings(hook: Webhook) -> dict[str, Any]:
    url = f"json://user:secret@127.0.0.1:{hook.port}/hook"
    return {"alerts": {"apprise": (url,), "after_s": QUICK}}


def titles(hook: Webhook) -> list[str]:
    return [body["title"] for body in hook.bodies("/hook")]


def lose(server: Running) -> None:
    (server.data / "regions" / "b").rename(server.data.parent / "aside")


def opened(server: Running) -> list[str]:
    return [each["key"] for each in server.get("/v1/alerts").json()["open"]]


def events(server: Running, action: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.get(f"/v1/events?action={action}").json()["events"]
    return found


def test_a_lost_region_is_told_once_over_a_restart_too(
    tmp_path: Path, hook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "holdfast.watch")
    data = tmp_path / "data"
    with running(data, **settings(hook)) as server:
        lose(server)
        hook.wait(lambda: len(hook.posts) == 1)
        server.wait_until(lambda: len(events(server, "holdfast.alert.opened")) == 1)
    with running(data, **settings(hook)) as server:
        server.wait_until(lambda: opened(server) == ["region-away:b"])
        before = server.get("/v1/alerts").json()["open"][0]["since"]
        server.wait_until(lambda: len(events(server, "holdfast.alert.opened")) == 1)
        (event,) = events(server, "holdfast.alert.opened")

    assert titles(hook) == [f"[warning] {AWAY}"]
    assert "Events are held in the others alone" in hook.bodies()[0]["message"]
    assert event["attributes"]["since"] == before
    assert event["actor"]["type"] == "node" and event["targets"][0]["id"] == "region-away:b"
    assert event["principal"].startswith("node:")
    assert caplog.text.count(f"opened: {AWAY}") == 1


def test_a_silenced_alert_is_listed_and_kept_and_told_to_nobody(
    tmp_path: Path, hook: Webhook
) -> None:
    wanted = {"match": "region-*:b", "for_s": 3600, "why": "new disk", "by": "ann"}
    with running(tmp_path / "data", **settings(hook)) as server:
        with server.client() as client:
            answer = client.post("/v1/alerts/silences", json=wanted)
        lose(server)
        server.wait_until(lambda: opened(server) == ["region-away:b"])
        server.wait_until(lambda: len(events(server, "holdfast.alert.*")) == 2)
        (alert,) = server.get("/v1/alerts").json()["open"]
        (silenced,) = events(server, "holdfast.alert.silenced")

    assert answer.status_code == 201 and answer.json()["by"] == "ann"
    assert alert["silenced"] and alert["told"] is None
    assert (silenced["actor"]["id"], silenced["reason"]) == ("ann", "new disk")
    assert hook.posts == []


def test_a_way_that_takes_nothing_is_told_in_every_report(tmp_path: Path, hook: Webhook) -> None:
    hook.status = 500
    with running(tmp_path / "data", **settings(hook)) as server:
        lose(server)
        server.wait_until(lambda: bool(server.get("/v1/alerts").json()["channels"][0]["failing"]))
        status, figures = server.get("/v1/status").json(), server.get("/metrics").text
        hook.status = 200
        hook.wait(lambda: len(hook.posts) == 1)

    (channel, trail) = status["alerts"]["channels"]
    assert status["alerts"]["open"] == 1
    assert channel["failing"] and channel["waiting"] == 1 and not trail["failing"]
    assert 'holdfast_alert_channel_failing{channel="apprise json' in figures
    told = json.dumps(status) + figures
    assert "secret" not in told


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b'{"match":"lag:x","for_s":1,"why":"y"}', "text/plain", 415),
        (b'{"match":"lag:x","for_s":1,"why":"y"}', "application/x-www-form-urlencoded", 415),
        (b'{"match":"lag:x","for_s":1}', "application/json", 400),
        (b'{"match":"","for_s":1,"why":"y"}', "application/json", 400),
        (b'{"match":"lag:x","for_s":-1,"why":"y"}', "application/json", 400),
        (b'{"match":"lag:x","for_s":9999999,"why":"y"}', "application/json", 400),
        (b'{"match":"lag:x","for_s":1,"why":"y","z":1}', "application/json", 400),
        (b'{"match":"region-awy:c","for_s":1,"why":"y"}', "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"x" * 20_000, "application/json", 413),
    ],
)
def test_a_silence_that_makes_no_sense_is_refused(
    server: Running, body: bytes, kind: str, status: int
) -> None:
    before = server.get("/v1/alerts").json()["silences"]

    with server.client() as client:
        answer = client.post("/v1/alerts/silences", content=body, headers={"content-type": kind})

    assert answer.status_code == status
    assert server.get("/v1/alerts").json()["silences"] == before


def test_who_may_silence_must_show_the_token_and_a_session_does_not_suffice(
    tmp_path: Path,
) -> None:
    token = b"a-token-of-the-test"
    with running(tmp_path / "data", token) as server, server.client() as client:
        signed = client.post("/signin", data={"token": token.decode()})
        cookie = signed.headers["set-cookie"].partition(";")[0]
        wanted = {"match": "lag:x", "for_s": 60, "why": "y"}
        bare = {"authorization": "", "cookie": cookie}
        refused = client.post("/v1/alerts/silences", json=wanted, headers=bare)
        read = client.get("/v1/alerts", headers=bare)
        taken = client.post("/v1/alerts/silences", json=wanted)

    assert (refused.status_code, read.status_code, taken.status_code) == (401, 200, 201)
    assert taken.json()["by"] == "token"


@pytest.mark.parametrize(
    ("alerts", "reason"),
    [
        ({"alertmanager": ("host:9093",)}, "alerts.alertmanager: must be http"),
        ({"console_url": "audit.example"}, "alerts.console_url: must be http"),
        ({"after_s": {"lagg": 3}}, "alerts.after_s.lagg: is no kind"),
        ({"after_s": {"lag": -3}}, "alerts.after_s.lag: must be 0 or more"),
        ({"mail": ()}, "unknown field `mail`"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(
    alerts: dict[str, Any], reason: str
) -> None:
    with pytest.raises(RejectedError, match=reason):
        load(None, {}, {"alerts": alerts})


def test_a_url_that_apprise_does_not_know_is_refused_without_telling_it(tmp_path: Path) -> None:
    from holdfast.alerting import apprise_channels

    with pytest.raises(RejectedError) as refused:
        list(apprise_channels(AlertSettings(apprise=("pigeon://secret",)), ""))

    assert "URL 1: pigeon:// is none that apprise reads" in str(refused.value)
    assert "secret" not in str(refused.value)
