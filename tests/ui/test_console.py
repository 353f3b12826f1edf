"""The console in a browser: read, reached, searched, opened and proven, and nothing blocked."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from holdfast.serve.console import search as search_questions
from tests.serve.running import EVENT, Running, running
from tests.ui.browser import chromium, fill, grave, opened

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]
DAY = "/?q=actor%3Abert-jan+action%3Aec2.amazonaws.com%3A*&from=2023-07-10&to=2023-07-11&count=wait"


@pytest.fixture(scope="module")
def filled(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("console") / "data") as server:
        fill(server)
        server.wait_until(
            lambda: server.get("/v1/completeness").json()["complete_through"] is not None
        )
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def paths(filled: Running) -> dict[str, str]:
    """Every page by its name."""
    found = filled.get("/v1/events?action=ec2.amazonaws.com:DeleteFlowLogs&limit=1").json()
    (event,) = found["events"]
    filled.wait_until(lambda: filled.get(f"/v1/events/{event['id']}/proof").status_code == 200)
    return {
        "search": DAY,
        "mistake": "/?q=actr%3Abob",
        "nothing": "/?q=actor%3Anobody",
        "event": f"/events/{event['id']}",
        "missing": "/events/none",
        "regions": "/regions",
        "completeness": "/completeness?span=all",
        "integrity": "/integrity",
        "verified": "/integrity/verify?depth=bytes",
        "report": "/report?from=2023-07-10&to=2023-07-11&depth=bytes",
        "period": "/report",
        "archive": "/archive",
        "retention": "/retention",
        "alerts": "/alerts",
    }


NAMES = (
    "search",
    "mistake",
    "nothing",
    "event",
    "missing",
    "regions",
    "completeness",
    "integrity",
    "verified",
    "report",
    "period",
    "archive",
    "retention",
    "alerts",
)


@pytest.fixture(scope="module")
def complaints() -> list[str]:
    """What the browser complained of since a test emptied it."""
    return []


@pytest.fixture(scope="module")
def page(browser: Browser, complaints: list[str]) -> Iterator[Page]:
    with browser.new_context() as context:
        yield opened(context, complaints)


@pytest.fixture(scope="module")
def plain(browser: Browser) -> Iterator[Page]:
    """A page without the script."""
    with browser.new_context(java_script_enabled=False) as context:
        yield context.new_page()


@pytest.mark.parametrize("name", NAMES)
def test_every_page_is_for_everyone_and_fits_every_width(
    page: Page, complaints: list[str], filled: Running, paths: dict[str, str], name: str
) -> None:
    """One visit: nothing is blocked, nothing scrolls sideways, and axe finds nothing grave."""
    complaints.clear()

    page.goto(filled.url + paths[name])

    for width in (390, 900, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, width
    assert grave(page) == []
    assert [each for each in complaints if "status of 4" not in each] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_page_reads_without_the_script(
    plain: Page, filled: Running, paths: dict[str, str], name: str
) -> None:
    plain.goto(filled.url + paths[name])

    expect(plain.locator(".wl-say").first).to_contain_text("Complete through")
    expect(plain.locator("main")).not_to_be_empty()
    assert plain.locator(".js-only:visible").count() == 0


def test_a_row_opens_and_leads_to_its_proof_without_the_script(
    browser: Browser, filled: Running
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(filled.url + DAY)

    page.locator(".xb").nth(2).click()
    expect(page.locator("#e2")).to_be_visible()
    page.locator("#e2 .act a").first.click()

    expect(page.locator("h1")).to_contain_text("bert-jan")
    expect(page.locator(".proof")).to_contain_text("a, b and c hold it")
    context.close()


def test_a_row_opens_wherever_it_is_clicked(browser: Browser, filled: Running) -> None:
    page = browser.new_page()
    page.goto(filled.url + DAY)
    action = page.locator(".res tbody tr:not(.open) .d-a").nth(1)

    action.click()
    expect(page.locator("#e1")).to_be_visible()
    expect(page.locator(".xb").nth(1)).to_have_attribute("aria-expanded", "true")
    action.click()

    expect(page.locator("#e1")).to_be_hidden()
    page.close()


def test_a_stretch_of_time_is_drawn_out_and_looked_into(browser: Browser, filled: Running) -> None:
    page = browser.new_page()
    page.goto(filled.url + DAY)
    box = page.locator(".plot svg").bounding_box()
    assert box is not None

    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 40, steps=4)
    page.mouse.up()
    expect(page.locator(".brushbar output")).to_contain_text("2023-07-10")
    page.get_by_role("link", name="Zoom in").click()

    expect(page).to_have_url(re.compile("from=2023-07-10T"))
    page.close()


def test_keys_move_open_and_turn_the_light_off(browser: Browser, filled: Running) -> None:
    page = browser.new_page(color_scheme="light")
    page.goto(filled.url + DAY)

    for key in ("j", "j", "x"):
        page.keyboard.press(key)
    expect(page.locator(".res .open:visible")).to_have_count(1)
    page.keyboard.press("t")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.keyboard.press("o")

    expect(page.locator("h1")).to_contain_text("bert-jan")
    page.close()


def test_a_live_tail_shows_what_comes_above_the_line(browser: Browser, filled: Running) -> None:
    page = browser.new_page()
    page.goto(filled.url + "/")

    page.get_by_role("button", name="Live tail").click()
    expect(page.locator(".wm")).to_contain_text("Complete through")
    leap = "2016-12-31T23:59:60Z"  # which a browser takes for no time at all
    filled.post({"action": "tail.leap", "time": leap})
    expect(page.locator(".res tbody tr").first).to_contain_text("tail.leap")
    filled.post({"action": "tail.seen", "actor": {"id": "<b>\u202e\U000e0041"}})

    expect(page.locator(".res tbody tr").first).to_contain_text("tail.seen")
    expect(page.locator(".res tbody tr").first).to_contain_text("<b>«U+202E»«U+E0041»")
    expect(page.locator(".res tbody tr").first.locator("td")).to_have_count(
        page.locator(".res thead th").count()
    )
    page.close()


@pytest.mark.parametrize("seconds", [0.0, 0.003])
def test_counts_that_were_late_come_by_themselves(
    browser: Browser, filled: Running, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(search_questions, "COUNT_SECONDS", seconds)
    page = browser.new_page()

    page.goto(f"{filled.url}/?q=ip%3A10.8.8.10")

    expect(page.locator("#hist h2")).to_contain_text("events")
    expect(page.locator("#facets")).to_contain_text("Source IP")
    expect(page.locator("#facets")).not_to_contain_text("Not counted")
    page.close()


def test_an_empty_trail_turns_into_the_search(browser: Browser, tmp_path: Path) -> None:
    with running(tmp_path / "data") as server:
        server.wait_until(lambda: "No events yet" in server.get("/").text)
        page: Page = browser.new_page()
        page.goto(server.url)
        expect(page.locator("h1")).to_have_text("Send the first event")
        assert grave(page) == []

        server.post(EVENT)

        expect(page.locator(".res tbody tr").first).to_contain_text("door.open")
        expect(page.locator("#hist")).to_contain_text("15 s a bar")
        page.close()


def test_a_person_signs_in_and_out(browser: Browser, tmp_path: Path) -> None:
    with running(tmp_path / "data", token=b"a-token-of-24-characters") as server:
        context = browser.new_context(java_script_enabled=False)
        page = context.new_page()
        page.goto(server.url + "/regions")
        page.get_by_label("Token").fill("a-token-of-24-characters")
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator("h1")).to_contain_text("Quorum holds")

        page.get_by_role("button", name="Sign out").click()

        expect(page.locator("h1")).to_have_text("Sign in")
        context.close()


def test_a_first_page_is_small(filled: Running) -> None:
    for path in ("/", DAY):
        assert len(filled.get(path).content) <= 100 * 1024


@pytest.fixture(scope="module")
def alarmed(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server without one of its regions, whose alerts are open."""
    quick = {"region-away": 1, "quorum-margin": 1}
    folder = tmp_path_factory.mktemp("alarmed")
    with running(folder / "data", alerts={"after_s": quick}) as server:
        (server.data / "regions" / "b").rename(folder / "aside")
        server.wait_until(lambda: len(server.get("/v1/alerts").json()["open"]) == 2)
        yield server


def test_open_alerts_stand_in_nobodys_way(
    page: Page, complaints: list[str], alarmed: Running
) -> None:
    complaints.clear()

    page.set_viewport_size({"width": 390, "height": 900})
    page.goto(alarmed.url + "/alerts")

    assert grave(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert complaints == []


def test_an_open_alert_says_what_it_means_and_what_to_do_without_the_script(
    browser: Browser, alarmed: Running
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(alarmed.url + "/regions")

    expect(page.locator(".nav .n")).to_have_text("2 open")
    page.locator(".nav a", has_text="Alerts").click()

    card = page.locator("article", has_text="Region b does not answer")
    expect(page.locator("h1")).to_contain_text("one more failure would stop writing")
    expect(card).to_contain_text("Events are held in the others alone")
    expect(card.locator("ol")).to_contain_text("holdfast alerts silence region-away:b")
    assert page.locator(".js-only:visible").count() == 0
    context.close()
