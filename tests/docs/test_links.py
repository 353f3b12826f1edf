"""Links between the documents lead somewhere, anchors too, for a reader of the repository."""

import re
from pathlib import Path

import pytest

from tests.tidy.source import ROOT, tracked

OURS = sorted(p for p in tracked() if p.suffix == ".md" and p.parent in (ROOT, ROOT / "docs"))
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!`)\[[^]]*\]\(\s*([^)\s]+)\s*\)|(?:src|srcset|href)=\"([^\"]+)\"")


@pytest.mark.parametrize("page", OURS, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))

    found = [one or other for one, other in LINK.findall(text)]
    assert [target for target in found if why_not(page, target)] == []


def why_not(page: Path, target: str) -> str:
    """What is wrong with a link; "" where nothing is. Other hosts are not asked."""
    if re.match(r"https?:", target):
        return ""
    name, _, anchor = target.partition("#")
    path = (page.parent / name).resolve() if name else page
    if not path.exists():
        return "there is no such file"
    return "" if not anchor or anchor in anchors_of(path) else "there is no such anchor"


def anchors_of(page: Path) -> set[str]:
    """Of headings, as GitHub and the site make them, and those that stand in the text."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    made = {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in headings}
    return made | set(re.findall(r'<a id="([^"]+)">', text))


def test_a_link_that_leads_nowhere_is_found() -> None:
    page = ROOT / "docs" / "OPERATIONS.md"

    assert why_not(page, "NOWHERE.md") and why_not(page, "CLI.md#nowhere")
    assert not why_not(page, "CLI.md#exit-codes") and not why_not(page, "#declare-a-gap")


def test_the_site_names_each_page_once() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]

    named = re.findall(r": ([\w/]+\.md)$", navigation, re.MULTILINE)
    assert len(named) == len(set(named))
    assert {f"{path.stem}.md" for path in OURS if path.parent.name == "docs"} <= set(named)
