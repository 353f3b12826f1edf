"""Writes docs/screens: each page of the console, light and dark, as it is with real events.

Run by `make screenshots`. Look at what it wrote before committing it.
"""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser

from tests.serve.running import Running, running
from tests.tidy.source import ROOT
from tests.ui.browser import chromium, fill

SCREENS = ROOT / "docs" / "screens"
SIZE_MAX_BYTES = 250_000
SEARCH = "/?q=actor%3Abert-jan&from=2023-07-10T11%3A30&to=2023-07-10T12%3A45&count=wait#e3"
REPORT = "/report?from=2023-07-10&to=2023-07-11&depth=bytes"
DELETED = "/v1/events?action=ec2.amazonaws.com:DeleteFlowLogs&actor=bert-jan&limit=1"


def main() -> int:
    """Returns the exit code: 1, where a picture is larger than it may be."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        quick = {"region-unfit": 1, "quorum-margin": 1}
        with running(Path(folder) / "data", alerts={"after_s": quick}) as server:
            server.wait_until(lambda: "No events yet" in server.get("/").text)
            shoot(browser, server, {"start": "/"})
            fill(server)
            (event,) = server.get(DELETED).json()["events"]
            proof = f"/v1/events/{event['id']}/proof"
            server.wait_until(lambda: server.get(proof).status_code == 200)
            pages = {"search": SEARCH, "event": f"/events/{event['id']}", "regions": "/regions"}
            pages |= {
                "completeness": "/completeness?span=all",
                "integrity": "/integrity",
                "report": REPORT,
            }
            shoot(browser, server, pages)
            cookie = server.data / "regions" / "b" / "ev" / "region.note"
            cookie.rename(server.data.parent / "aside")
            server.wait_until(lambda: len(server.get("/v1/alerts").json()["open"]) == 2)
            shoot(browser, server, {"alerts": "/alerts"})
    large = [path for path in SCREENS.iterdir() if path.stat().st_size > SIZE_MAX_BYTES]
    for path in large:
        sys.stderr.write(f"{path.name} has more than {SIZE_MAX_BYTES:,} bytes\n")
    return 1 if large else 0


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
