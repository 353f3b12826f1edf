"""The console at three in the morning: what is wrong, since when, and what to do about it."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.serve.running import EVENT, Running, running
from tests.ui.browser import chromium

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]
GRAVE = {"serious", "critical"}
SEGMENTS = 4


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with chromium() as browser:
        yield browser.new_page()


@pytest.fixture(scope="module")
def holed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose third segment is in no region any more, and nobody's cache."""
    data = tmp_path_factory.mktemp("trouble") / "data"
    with running(data) as server:
        for _ in range(SEGMENTS):
            server.post(EVENT)
    for region in "abc":
        segments(data / "regions" / region)[2].unlink()
    shutil.rmtree(data / "cache")
    with running(data, lost_after_s=600) as server:
        server.wait_until(lambda: "A segment is missing" in server.get("/completeness").text)
        yield server


def segments(region: Path) -> list[Path]:
    return sorted(path for path in (region / "ev" / "seg").rglob("*") if path.is_file())


def grave(page: Page) -> list[object]:
    found = Axe().run(page).response["violations"]
    return [each for each in found if each["impact"] in GRAVE]


def test_a_hole_is_named_with_its_node_and_what_to_do(page: Page, holed: Running) -> None:
    page.goto(f"{holed.url}/completeness")

    expect(page.locator(".al h3").first).to_contain_text("A segment is missing: node")
    expect(page.locator(".al").first).to_contain_text("Segment 2 of")
    expect(page.locator(".do pre").first).to_contain_text(f"--data {holed.data}")
    assert page.locator(".tl .f-unk").count() > 0
    assert grave(page) == []


def test_a_declared_gap_lets_it_go_on_and_stays_on_the_page(page: Page, holed: Running) -> None:
    (node,) = (each["node"] for each in holed.get("/v1/status").json()["nodes"])
    command = ["gap", "declare", "--data", str(holed.data), "--node", node, "--yes"]
    command += ["--from", "2", "--to", "3", "--why", "rack 4 burnt"]
    subprocess.run([sys.executable, "-m", "holdfast", *command], check=True, timeout=60)
    holed.wait_until(lambda: "Nothing. It follows" in holed.get("/completeness").text)

    page.goto(f"{holed.url}/completeness")

    expect(page.locator(".wl-say")).to_contain_text("Complete through")
    expect(page.locator("#gaps + .tbl")).to_contain_text("rack 4 burnt")
    expect(page.locator(".tl")).to_contain_text("epoch 2 began")
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


def test_two_regions_away_hold_it_back_and_are_named(page: Page, holed: Running) -> None:
    regions = holed.data / "regions"
    for id in "bc":
        (regions / id).rename(holed.data / f"{id}-away")
    try:
        holed.wait_until(lambda: "Too few regions" in holed.get("/completeness").text)
        page.goto(f"{holed.url}/completeness")

        expect(page.locator(".wl-say")).to_have_text(re.compile("; b .*; c "))
        expect(page.locator(".al").first).to_contain_text("b: ")
        page.goto(f"{holed.url}/regions")
        expect(page.locator("h1")).to_contain_text("No quorum: nothing new is acknowledged")
        expect(page.locator(".card.is-down")).to_have_count(2)
        assert page.locator(".card .spark").count() == 3
        assert grave(page) == []
    finally:
        for id in "bc":
            (holed.data / f"{id}-away").rename(regions / id)
    holed.wait_until(lambda: "Nothing. It follows" in holed.get("/completeness").text)
