"""The console at three in the morning: what is wrong, since when, and what to do about it."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.serve.running import EVENT, Running, running
from tests.ui.browser import chromium, grave, opened
from tests.ui.trouble import away, declare_gap, lose_segment, miss, segments

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]
SEGMENTS = 4


@pytest.fixture(scope="module")
def complaints() -> list[str]:
    return []


@pytest.fixture(scope="module")
def page(complaints: list[str]) -> Iterator[Page]:
    with chromium() as browser:
        yield opened(browser.new_context(), complaints)


@pytest.fixture(scope="module")
def holed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose third segment is in no region any more; one of them was away since."""
    data = tmp_path_factory.mktemp("trouble") / "data"
    with running(data) as server:
        for _ in range(SEGMENTS):
            server.post(EVENT)
    lose_segment(data, 2)
    miss(data, "c", 5)
    with running(data, reconcile_interval_s=6) as server:
        server.wait_until(lambda: "A segment is missing" in server.get("/completeness").text)
        yield server


def test_a_hole_is_named_with_its_node_and_what_to_do(page: Page, holed: Running) -> None:
    page.goto(f"{holed.url}/completeness")

    expect(page.locator(".al h3").first).to_contain_text("A segment is missing: node")
    expect(page.locator(".al").first).to_contain_text("Segment 2 of")
    expect(page.locator(".do pre").first).to_contain_text(f"--data {holed.data}")
    assert page.locator(".tl .f-unk").count() > 0
    assert grave(page) == []


def test_a_declared_gap_lets_it_go_on_and_stays_on_the_page(page: Page, holed: Running) -> None:
    declare_gap(holed, 2, "rack 4 burnt")
    holed.wait_until(lambda: "Nothing. It follows" in holed.get("/completeness").text)

    page.goto(f"{holed.url}/completeness")

    expect(page.locator(".wl-say")).to_contain_text("Complete through")
    expect(page.locator("#gaps + .tbl")).to_contain_text("rack 4 burnt")
    expect(page.locator(".tl")).to_contain_text("epoch 3 began")
    assert page.locator(".tl .gapx").count() == 1


def test_a_corrupt_copy_is_found_by_verifying_now(page: Page, holed: Running) -> None:
    copy = segments(holed.data / "regions" / "b")[0]
    data = copy.read_bytes()
    copy.chmod(0o600)
    copy.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    page.goto(f"{holed.url}/integrity")

    page.get_by_label("How deep").select_option("bytes")
    page.get_by_role("button", name="Verify now").click()

    expect(page.locator("#verified .wl-say")).to_contain_text("Refuted", timeout=20_000)
    expect(page.locator("#verified")).to_contain_text("region b")
    expect(page.locator("#verified")).to_contain_text("move this one aside")
    assert grave(page) == []
    copy.write_bytes(data)


def every_page(server: Running) -> list[str]:
    (event, *_) = server.get("/v1/events").json()["events"]
    named = ("regions", "completeness", "integrity", "integrity/verify", "alerts", "report")
    day = event["received"][:10]
    return [
        "/",
        f"/events/{event['id']}",
        *(f"/{name}" for name in named),
        f"/report?from={day}&to={day}T23:59:59Z",
    ]


def test_two_regions_away_hold_it_back_and_are_named(
    page: Page, complaints: list[str], holed: Running
) -> None:
    with away(holed.data, "b", "c"):
        holed.wait_until(lambda: "Too few regions" in holed.get("/completeness").text)
        page.goto(f"{holed.url}/completeness")

        expect(page.locator(".wl-say")).to_have_text(re.compile("; b .*; c "))
        expect(page.locator(".al").first).to_contain_text("b: ")
        page.goto(f"{holed.url}/regions")
        expect(page.locator("h1")).to_contain_text("No quorum: nothing new is acknowledged")
        expect(page.locator(".card.is-down")).to_have_count(2)
        assert page.locator(".card .spark").count() == 3
        assert grave(page) == []
        for path in every_page(holed):
            page.goto(holed.url + path)
            expect(page.locator(".wl-say").first).to_have_text(re.compile("; b .*; c "))
        assert complaints == []
    holed.wait_until(lambda: "Nothing. It follows" in holed.get("/completeness").text)


def test_a_region_that_came_back_is_among_the_repairs(page: Page, holed: Running) -> None:
    holed.wait_until(lambda: "c lacked up to" in holed.get("/integrity").text)

    page.goto(f"{holed.url}/integrity")

    expect(page.get_by_role("region", name="Repairs")).to_contain_text("c lacked up to")
    assert page.locator(".heat .c2, .heat .c3").count() > 0  # a scrub may have been there, too
    assert grave(page) == []
