"""Writes docs/screens: each page of the console, light and dark, as it is with real events.

Run by `make screenshots`. Look at what it wrote before committing it.
"""

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser

from holdfast.regions.units import DAY_US
from holdfast.times import format_us
from tests.archive.days import laid_out, trail_of
from tests.read.trails import World
from tests.serve.running import EVENT, Running, running
from tests.tidy.source import ROOT
from tests.ui.browser import chromium, fill
from tests.ui.past import live
from tests.ui.trouble import away, declare_gap, lose_segment, miss
from tests.watch.webhook import Webhook

SCREENS = ROOT / "docs" / "screens"
SIZE_MAX_BYTES = 250_000
SEARCH = "/?q=actor%3Abert-jan&from=2023-07-10T11%3A30&to=2023-07-10T12%3A45&count=wait#e3"
REPORT = "/report?from=2023-07-10&to=2023-07-11&depth=bytes"
MONTHS_DAYS = 75
RULES = (
    {"class": "brief", "tenants": ["blå"], "min": 7, "max": 30},
    {"class": "case", "tenants": ["acme"], "min": 30, "max": 60},
    {"class": "default", "min": 365},
)
WHILE_AGO = format_us(time.time_ns() // 1000 - 70 * DAY_US)
QUICK = {"region-away": 1, "region-unfit": 1, "quorum-margin": 1}
DELETED = "/v1/events?action=ec2.amazonaws.com:DeleteFlowLogs&actor=bert-jan&limit=1"


def main() -> int:
    """Returns the exit code: 1, where a picture is larger than it may be."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    with shown(Path("/srv/holdfast")) as folder, chromium() as browser:
        data = folder / "data"
        with running(data) as server:
            well(browser, server)
        live(data / "cache" / "history", time.time_ns() // 1000)
        miss(data, "c", 12)
        with Webhook().serving() as hook:
            alerts = {"after_s": QUICK, "apprise": [f"json://127.0.0.1:{hook.port}"]}
            with running(data, reconcile_interval_s=6, alerts=alerts) as server:
                troubled(browser, server)
        lose_segment(data, 1)
        with running(data) as server:
            incomplete(browser, server)
        months(browser, folder / "months")
    large = [path for path in SCREENS.iterdir() if path.stat().st_size > SIZE_MAX_BYTES]
    for path in large:
        sys.stderr.write(f"{path.name} has more than {SIZE_MAX_BYTES:,} bytes\n")
    return 1 if large else 0


@contextmanager
def shown(folder: Path) -> Iterator[Path]:
    """A folder that pictures may show, for as long as they are taken; it must not be there yet."""
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def well(browser: Browser, server: Running) -> None:
    """An empty trail, and one with events."""
    server.wait_until(lambda: "No events yet" in server.get("/").text)
    shoot(browser, server, {"start": "/"})
    fill(server)
    (event,) = server.get(DELETED).json()["events"]
    proof = f"/v1/events/{event['id']}/proof"
    server.wait_until(lambda: server.get(proof).status_code == 200)
    shoot(browser, server, {"search": SEARCH, "event": f"/events/{event['id']}", "report": REPORT})


def troubled(browser: Browser, server: Running) -> None:
    """A region that was away and is back, one that is away, one whose store is the wrong one."""
    server.wait_until(lambda: "c lacked up to" in server.get("/integrity").text)
    server.wait_until(lambda: "All regions hold the same" in server.get("/integrity").text)
    shoot(browser, server, {"integrity": "/integrity"})
    with away(server.data, "b"):
        for _ in range(3):
            server.post(EVENT)
        server.wait_until(lambda: "without margin" in server.get("/regions").text)
        server.wait_until(lambda: len(server.get("/v1/alerts").json()["open"]) == 2)
        shoot(browser, server, {"regions": "/regions?span=7d"})
    server.wait_until(lambda: "may fail" in server.get("/regions").text)
    server.wait_until(lambda: not server.get("/v1/alerts").json()["open"])
    cookie = server.data / "regions" / "b" / "ev" / "region.note"
    cookie.rename(server.data.parent / "aside")
    server.wait_until(lambda: len(server.get("/v1/alerts").json()["open"]) == 2)
    shoot(browser, server, {"alerts": "/alerts"})
    (server.data.parent / "aside").rename(cookie)


def incomplete(browser: Browser, server: Running) -> None:
    """A segment is gone and declared lost; a region is away, and then two are."""
    server.wait_until(lambda: "A segment is missing" in server.get("/completeness").text)
    declare_gap(server, 1, "rack 4 burnt, and no backup had it")
    server.wait_until(lambda: "Nothing. It follows" in server.get("/completeness").text)
    with away(server.data, "c"):
        server.wait_until(lambda: "has not answered" in server.get("/completeness").text)
        shoot(browser, server, {"completeness": "/completeness"})
        with away(server.data, "b"):
            page = "/completeness"
            server.wait_until(lambda: server.get(page).text.count("has not answered") == 2)
            shoot(browser, server, {"held-back": page})


def months(browser: Browser, folder: Path) -> None:
    """Months of a trail that is archived, one object of it rotten, and brought back day by day."""
    world = World()
    trail_of(world, MONTHS_DAYS, first_us=today_us() - MONTHS_DAYS * DAY_US)
    folder.mkdir()
    data = laid_out(world, folder)
    with running(data, archive_after_hours=24, retention=RULES) as server:
        asked = "/v1/completeness"
        server.wait_until(lambda: server.get(asked).json()["complete_through"] is not None)
        server.inside(lambda: server.system.archivist.archive(DAY_US))
        part = next((data / "regions" / "b").glob("ev/arc/*/class=default/*.parquet"))
        part.write_bytes(part.read_bytes()[:-9] + b"bit rot!!")
        for _ in range(2 * MONTHS_DAYS):
            server.inside(server.system.restorer.restore_some)
        day = part.parts[-3].removeprefix("day=")
        server.inside(lambda: server.system.restorer.restore_some(("b", day)))
        server.wait_until(
            lambda: "1 day could not be restored from b" in server.get("/archive").text
        )
        shoot(browser, server, {"archive": "/archive"})
        server.inside(lambda: server.system.sweeper.sweep(0))
        wanted = {"tenant": "acme", "reason": "case 26-114", "author": "ann", "to": WHILE_AGO}
        with server.client() as client:
            assert client.post("/v1/holds", json=wanted).status_code == 201
        server.inside(server.system.retention.expire)
        shoot(browser, server, {"retention": "/retention"})


def today_us() -> int:
    """When today began."""
    return time.time_ns() // 1000 // DAY_US * DAY_US


def shoot(browser: Browser, server: Running, pages: dict[str, str]) -> None:
    """Take each page's picture, as far as it tells what it is."""
    for scheme in ("light", "dark"):
        page = browser.new_page(
            viewport={"width": 1280, "height": 900},
            color_scheme=scheme,
        )
        for name, path in pages.items():
            page.goto(server.url + path)
            page.wait_for_load_state()
            page.screenshot(
                path=SCREENS / f"{name}-{scheme}.png",
                full_page=True,
                clip={"x": 0, "y": 0, "width": 1280, "height": 960},
            )
        page.close()


if __name__ == "__main__":
    sys.exit(main())
