"""A real browser before a real server with real events: Debian's Chromium, by Playwright."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.machine import program
from tests.serve.running import Running
from tests.tidy.source import ROOT

DATA = ROOT / "tests" / "data" / "events"
SOURCES = (
    ("cloudtrail", DATA / "cloudtrail" / "invictus_stratus_20230710.ndjson.gz"),
    ("k8s", DATA / "kubernetes" / "panther_Amazon_EKS_Audit.ndjson.gz"),
)


GRAVE = {"serious", "critical"}
LIGHT = {"resultTypes": ["violations"]}
DARK = {**LIGHT, "runOnly": ["color-contrast"]}  # of all that axe looks at, only colours change


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser that keeps nothing; root may not use its sandbox."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program("chromium"), args=["--no-sandbox"]
        )
        yield browser
        browser.close()


def fill(server: Running) -> None:
    """Import what CloudTrail and Kubernetes wrote, as a person would."""
    for kind, path in SOURCES:
        command = ["-m", "holdfast", "import", "--server", server.url, "--format", kind, str(path)]
        subprocess.run([sys.executable, *command], check=True, timeout=60, stdout=subprocess.PIPE)


def opened(context: BrowserContext, complaints: list[str]) -> Page:
    """A page that writes down what the browser complains of: the policy, a script's mistakes."""
    page = context.new_page()
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page


def grave(page: Page) -> list[object]:
    """What axe finds grave on a page, light and dark."""
    found: list[object] = []
    for scheme, options in (("light", LIGHT), ("dark", DARK)):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        violations = Axe().run(page, options=options).response["violations"]
        found += [(scheme, each) for each in violations if each["impact"] in GRAVE]
    return found
