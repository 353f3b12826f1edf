"""docs/REGIONS.md: its settings are read, its policies are JSON, and name what they are about."""

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from holdfast.regions.buckets import Access
from holdfast.settings import RegionSettings, load

PAGE = (Path(__file__).parents[1] / "docs" / "REGIONS.md").read_text("utf-8")
SETTINGS = re.findall(r"^```toml\n((?:.*\n)+?)```$", PAGE, re.MULTILINE)
POLICIES = re.findall(r"^```json\n((?:.*\n)+?)```$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("text", SETTINGS, ids=range(len(SETTINGS)))
def test_every_settings_file_is_complete(text: str, tmp_path: Path) -> None:
    file = tmp_path / "holdfast.toml"
    file.write_text(text)

    found = load(file, {}, {})

    assert len(found.regions) == 3 and found.quorum == 2


def test_every_vendor_has_one() -> None:
    schemes = {urlsplit(url).scheme for url in re.findall(r'^url = "(.*)"$', PAGE, re.MULTILINE)}

    assert schemes == {"s3", "gs", "az"}


@pytest.mark.parametrize("text", POLICIES, ids=range(len(POLICIES)))
def test_every_policy_is_json_and_no_role_may_delete(text: str) -> None:
    policy = json.loads(text)

    allowed = [each for each in policy.get("Statement", ()) if each["Effect"] == "Allow"]
    assert "delete" not in json.dumps([allowed, policy.get("DataActions", ())]).lower()


def test_every_key_of_a_region_is_in_the_table() -> None:
    rows = re.findall(r"^\| ((?:`[a-z0-9_]+`(?:, )?)+) \| ", PAGE, re.MULTILINE)

    told = {name for row in rows for name in re.findall(r"`([a-z0-9_]+)`", row)}
    assert told >= {*Access.__struct_fields__, *RegionSettings.__struct_fields__} - {"leaving"}
