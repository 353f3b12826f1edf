"""The site: built without a warning, whole, and asking no other host."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe

from dev.pages import command_line, http
from holdfast.cli.app import GROUPS, VERBS
from holdfast.serve import schema
from tests.tidy.source import ROOT
from tests.ui.browser import chromium

FETCHED = {"script": "src", "img": "src", "source": "srcset", "iframe": "src", "link": "href"}


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `make docs` builds it: a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Seen(HTMLParser):
    """A page's links, what it fetches, and its anchors."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.anchors: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif FETCHED.get(tag, "") in values and values.get("rel") not in ("canonical", "next"):
            self.fetched.append(values[FETCHED[tag]])


@pytest.mark.slow
def test_every_link_of_the_site_leads_somewhere_and_nothing_is_fetched_elsewhere(
    site: Path,
) -> None:
    pages = {path: Seen(path) for path in site.rglob("*.html") if path.name != "404.html"}
    assert len(pages) > 15

    lost = [
        f"{path.relative_to(site)}: {target}"
        for path, seen in pages.items()
        for target in (*seen.links, *seen.fetched)
        if not _leads(path, target, pages)
    ]

    assert lost == []
    assert [url for seen in pages.values() for url in seen.fetched if urlsplit(url).netloc] == []


def _leads(page: Path, target: str, pages: dict[Path, Seen]) -> bool:
    name, anchor = urldefrag(target)
    if urlsplit(name).netloc:
        return True  # a link to follow; other hosts are not asked
    path = (page.parent / unquote(urlsplit(name).path)).resolve() if name else page
    if not path.is_file():
        return False
    return not anchor or path not in pages or unquote(anchor) in pages[path].anchors


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_browser_finds_a_page_by_search_and_asks_nobody_else(site: Path) -> None:
    asked: list[str] = []
    with serving(site) as url, chromium() as browser:
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{url}/index.html")
        page.get_by_placeholder("Search").click()
        page.keyboard.type("salt id")
        found = page.locator(".md-search-result__link").first
        found.wait_for()
        target = found.get_attribute("href") or ""

    page_found = site / urlsplit(target).path.lstrip("/")
    assert "salt id" in page_found.read_text(encoding="utf-8").lower()
    assert [each for each in asked if urlsplit(each).netloc != urlsplit(url).netloc] == []


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_nothing_grave_stands_in_anyones_way(site: Path) -> None:
    with serving(site) as url, chromium() as browser:
        for scheme in ("light", "dark"):
            page = browser.new_page(color_scheme=scheme)
            page.goto(f"{url}/START.html")

            found = Axe().run(page).response["violations"]

            assert [each for each in found if each["impact"] in ("serious", "critical")] == []


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The folder's files on loopback."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_the_reference_of_the_command_line_has_every_verb_and_option() -> None:
    page = command_line()

    verbs = [name for name, _ in VERBS]
    grouped = [f"{group} {name}" for group, _, verbs in GROUPS for name, _ in verbs]
    for name in (*verbs, *grouped):
        assert f" `holdfast {name}`\n" in page
    assert "`--watch`" in page and "* [`serve`](#holdfast-serve): Start a server" in page


def test_the_reference_of_http_has_every_path_parameter_and_key() -> None:
    page, document = http(), json.loads(schema.document())

    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            section = page.partition(f"### {method.upper()} {path}\n".replace("{", "\\{"))[2]
            rows = section.partition("\n### ")[0]
            assert all(f"| `{each['name']}` |" in rows for each in operation.get("parameters", ()))
            assert all(f"\n| {status} |" in rows for status in operation["responses"])
    for name, shape in document["components"]["schemas"].items():
        rows = page.partition(f"### {name}\n")[2].partition("\n### ")[0]
        assert all(f"| `{key}` |" in rows for key in shape.get("properties", ()))
