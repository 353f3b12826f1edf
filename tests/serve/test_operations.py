"""docs/OPERATIONS.md knows every word that a statement or a survey can say."""

import re
from pathlib import Path
from typing import get_args

from holdfast.keep.repair import FindingKind
from holdfast.model import HoldingKind

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "OPERATIONS.md").read_text(encoding="utf-8")
LINES_MAX = 160


def kinds_in(title: str) -> set[str]:
    section = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    assert section is not None
    return set(re.findall(r"^\| `([a-z-]+)` \|", section[1], re.M))


def test_every_reason_that_holds_the_watermark_back_is_explained_and_no_other() -> None:
    assert kinds_in("What holds `complete_through` back") == set(get_args(HoldingKind))


def test_every_finding_is_explained_and_no_other() -> None:
    assert kinds_in("Findings") == set(get_args(FindingKind))


def test_it_is_short_and_the_readme_leads_to_it() -> None:
    assert len(PAGE.splitlines()) <= LINES_MAX
    assert "(docs/OPERATIONS.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
