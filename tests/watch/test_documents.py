"""docs/ALERTS.md says of every alert what causes it, how to check and what cures it."""

import re
from pathlib import Path

from holdfast.watch.kinds import DOCUMENT, KINDS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / DOCUMENT).read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## ([a-z-]+)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S))


def test_every_alert_has_a_section_and_every_section_an_alert() -> None:
    assert list(SECTIONS) == list(KINDS)


def test_each_section_has_severity_time_cause_check_and_cure() -> None:
    for name, kind in KINDS.items():
        text = " ".join(SECTIONS[name].split())
        after = f"after {kind.after_s} s" if kind.after_s else "at once"
        assert text.startswith(f"`{kind.severity}`, {after}"), name
        assert all(f"**{part}**:" in text for part in ("Cause", "Check", "Cure")), name


def test_every_link_leads_to_a_page_that_is_there() -> None:
    links = re.findall(r"\]\(([A-Z]+\.md)(?:#([\w-]+))?\)", PAGE)

    assert links
    for page, anchor in links:
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        headings = {
            re.sub(r"[^\w -]", "", title).lower().replace(" ", "-")
            for title in re.findall(r"^#+ (.*)$", text, re.M)
        }
        assert not anchor or f'id="{anchor}"' in text or anchor in headings, (page, anchor)


def test_every_command_that_an_alert_names_exists() -> None:
    from holdfast.cli.app import GROUPS, VERBS

    verbs = {name for name, _ in VERBS} | {
        f"{group} {name}" for group, _, verbs in GROUPS for name, _ in verbs
    }
    commands = [step.command for kind in KINDS.values() for step in kind.do if step.command]

    for command in commands:
        program, *words = command.split()
        if program == "holdfast":
            assert words[0] in verbs or " ".join(words[:2]) in verbs, command


def test_a_command_that_reads_the_regions_says_where_they_are() -> None:
    verbs = (ROOT / "docs" / "CLI.md").read_text(encoding="utf-8")
    of_regions = re.findall(r"^\| `([a-z ]+)` \|.*\| regions[^|]* \|$", verbs, re.M)
    commands = [step.command for kind in KINDS.values() for step in kind.do]
    asked = [
        command
        for command in commands
        for verb in of_regions
        if command.startswith(f"holdfast {verb}") and not command.endswith("--help")
    ]

    assert len(asked) > 5
    assert [command for command in asked if " --data DIR" not in command] == []
