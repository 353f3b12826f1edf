"""GET /v1/certificate, over a real node, reader and regions."""

import httpx
import pytest

from holdfast.proof import tenants
from holdfast.regions import segment
from holdfast.serve.faces import FILES_MAX
from holdfast.times import format_us, parse_time
from tests.prove.certificates import checked, records_in
from tests.serve.running import EVENT, Running

DAY_US = 86_400_000_000


def certified(server: Running, tenant: str, records: str = "whole") -> httpx.Response:
    """Of a day until now, once all until now is known."""
    through = ""

    def known() -> bool:
        nonlocal through
        through = server.get("/v1/completeness").json()["complete_through"] or ""
        return through > now

    now = format_us(server.system.host.now_us())
    server.wait_until(known)
    since = format_us(parse_time(through) - DAY_US)
    asked = {"tenant": tenant, "from": since, "to": through, "records": records}
    with server.client() as client:
        return client.get("/v1/certificate", params=asked)


def test_all_events_of_a_tenant_are_certified_and_convince_it(server: Running) -> None:
    events = [{**EVENT, "id": f"certify-{n}", "tenant": f"certified{n % 2}"} for n in range(6)]
    for event in events:
        server.post(event)

    answer = certified(server, "certified1")

    regions = server.system.regions
    salt_id = tenants.salt_id(segment.tenant_salt(regions.tag_key, "certified1"))
    found, claims = checked(answer.content, salt_id, regions.trail)
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert not isinstance(found, Exception), (found, claims[-1])
    assert found.code == 0
    assert records_in(answer.content) == ["certify-1", "certify-3", "certify-5"]
    assert found.events == 3
    assert server.server.front.bounds.files["certificates"] == 0

    hashes = certified(server, "certified1", "hashes")

    again, _ = checked(hashes.content, salt_id, regions.trail)
    assert not isinstance(again, Exception), again
    assert (again.hashes, records_in(hashes.content)) == (3, [])


@pytest.mark.parametrize(
    ("asked", "status", "kind", "told"),
    [
        (
            "tenant=a&from=2026-01-01T00:00:00Z&to=2999-01-01T00:00:00Z",
            409,
            "uncertifiable",
            "too late",
        ),
        (
            "tenant=a&from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
            400,
            "bad-parameter",
            "later",
        ),
        (
            "tenant=a&from=1960-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
            400,
            "bad-parameter",
            "1970",
        ),
        ("from=2026-01-01T00:00:00Z", 400, "bad-parameter", "tenant: is missing; to: is missing"),
        ("tenant=a&from=x&to=2026-01-01T00:00:00Z", 400, "bad-parameter", "from"),
        ("tenant=a&records=all", 400, "bad-parameter", "one of whole, hashes"),
        ("tenant=a&actor=b", 400, "unknown-parameter", "actor"),
    ],
)
def test_what_cannot_be_certified_is_told_as_a_problem(
    server: Running, asked: str, status: int, kind: str, told: str
) -> None:
    answer = server.get(f"/v1/certificate?{asked}")

    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{kind}")
    assert told in answer.json()["detail"]


def test_only_some_are_made_at_once(server: Running) -> None:
    bounds = server.server.front.bounds
    bounds.files["certificates"] += FILES_MAX
    try:
        answer = certified(server, "a")
    finally:
        bounds.files["certificates"] -= FILES_MAX

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "10"
