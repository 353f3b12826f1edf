"""Settings that name sets of regions, and places of regions."""

from pathlib import Path

import pytest

from holdfast.errors import RejectedError
from holdfast.settings import EarlierSet, Settings, load

TABLES = "".join(f'[regions.{id}]\nurl = "file:///mnt/{id}"\n' for id in "abcd")


def settings(folder: Path, head: str = "", tail: str = "") -> Settings:
    file = folder / "holdfast.toml"
    file.write_text(head + TABLES + tail)
    return load(file, {}, {})


def earlier(quorum: int, *regions: str) -> str:
    return f"[[earlier]]\nquorum = {quorum}\nregions = {list(regions)}\n"


def test_earlier_sets_are_named_by_ids_and_quorum(tmp_path: Path) -> None:
    found = settings(tmp_path, "quorum = 3\n", earlier(2, "a", "b", "c"))

    assert found.earlier == (EarlierSet(2, ("a", "b", "c")),)
    assert (found.quorum, found.leaving) == (3, frozenset())


def test_a_region_that_leaves_is_no_part_of_the_set_in_force(tmp_path: Path) -> None:
    found = settings(tmp_path, tail="leaving = true\n" + earlier(3, "a", "b", "c", "d"))

    assert found.leaving == {"d"}
    assert found.quorum == 2


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        (earlier(2, "a", "b", "x"), "names x, which has no"),
        (earlier(2, "a", "a", "b"), "names a region twice"),
        (earlier(1, "a", "b", "c"), "quorum 1 is not more than half"),
        (earlier(4, "a", "b", "c"), "quorum 4 is not more than half, or more than all"),
        ("leaving = true\n", "regions.d: is leaving, and in no"),
        ("leaving = true\n" + earlier(2, "a", "b", "c"), "regions.d: is leaving, and in no"),
    ],
)
def test_a_set_that_makes_no_sense_is_refused_by_name(
    tmp_path: Path, tail: str, reason: str
) -> None:
    with pytest.raises(RejectedError, match=reason):
        settings(tmp_path, tail=tail)


def test_the_quorum_is_one_of_the_regions_that_stay(tmp_path: Path) -> None:
    tail = "leaving = true\n" + earlier(3, "a", "b", "c", "d")

    with pytest.raises(RejectedError, match="is 4; of 3 regions"):
        settings(tmp_path, "quorum = 4\n", tail)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ('url = "s3://"', "regions.x: url must name a bucket"),
        ('url = "ftp://x"', "regions.x: url must be file:///"),
        ('url = "file://host/x"', "regions.x: url must be file:///"),
        ('url = "s3://xyz"\ncontrol_url = "s3://a b"', "regions.x: control_url must name a bucket"),
        ('url = "s3://xyz"\ncontrol_url = "file:///x"', "regions.x: .* must be of one kind"),
        ('url = "file:///x"\nendpoint = "http://x"', "regions.x: endpoint is of s3://"),
        ('url = "gs://xyz"\nobject_lock = true', "regions.x: object_lock is of s3://"),
        ('url = "s3://xyz"\nobject_lock = true', "regions.x: object_lock needs a control_url"),
        (
            'url = "s3://xyz/a"\ncontrol_url = "s3://xyz/b"\nobject_lock = true',
            "regions.x: object_lock needs a control_url in another bucket",
        ),
        ('url = "s3://xyz"\nsecret_key = "x"', "unknown field `secret_key`"),
    ],
)
def test_a_place_that_makes_no_sense_is_refused_by_name(
    tmp_path: Path, table: str, reason: str
) -> None:
    with pytest.raises(RejectedError, match=reason):
        settings(tmp_path, tail=f"[regions.x]\n{table}\n")


def test_control_objects_may_lie_in_a_directory_of_their_own(tmp_path: Path) -> None:
    found = settings(tmp_path, tail='control_url = "file:///control/d"\n')

    assert found.regions["d"].urls == ("file:///mnt/d", "file:///control/d")


def test_two_regions_do_not_share_a_place_for_control_objects(tmp_path: Path) -> None:
    table = '[regions.{}]\nurl = "file:///{}"\ncontrol_url = "file:///{}"\n'

    for control in ("control", "mnt/a"):
        with pytest.raises(RejectedError, match="two regions have the same url"):
            tail = table.format("x", "x", "control") + table.format("y", "y", control)
            settings(tmp_path, tail=tail)


def test_one_bucket_name_at_two_endpoints_is_two_places(tmp_path: Path) -> None:
    table = '[regions.{}]\nurl = "s3://trail"\nendpoint = "http://127.0.0.1:{}"\n'

    found = settings(tmp_path, tail=table.format("x", 1) + table.format("y", 2))

    assert found.regions["x"].place == "s3://trail at http://127.0.0.1:1"
    assert (found.seal_interval_ms, found.clock_error_ms) == (250, 10_000)
    with pytest.raises(RejectedError, match="two regions have the same url"):
        settings(tmp_path, tail=table.format("x", 1) + table.format("y", 1))


@pytest.mark.parametrize("name", ["", "-a", "A", "a_b", "a" * 33])
def test_a_region_has_an_id_that_a_command_can_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(RejectedError, match="does not begin with -"):
        settings(tmp_path, tail=f'[regions."{name}"]\nurl = "file:///mnt/x"\n')


def test_a_queue_holds_at_least_a_request_and_a_cache_something(tmp_path: Path) -> None:
    least = "request_bytes_max = 1000\nqueue_bytes_max = 1000\ncache_bytes_max = 1\n"

    assert settings(tmp_path, least).queue_bytes_max == 1000
    with pytest.raises(RejectedError, match="queue_bytes_max: must be at least request_bytes_max"):
        settings(tmp_path, "queue_bytes_max = 8388607\n")
    with pytest.raises(RejectedError, match="cache_bytes_max: must be above 0"):
        settings(tmp_path, "cache_bytes_max = 0\n")


@pytest.mark.parametrize("url", ["x", "ftp://h", "http://", "https://h:99999", "http://[::1"])
def test_an_address_that_cannot_be_asked_is_refused_by_name(tmp_path: Path, url: str) -> None:
    for field, tail in (
        ("traces.url", f'[traces]\nurl = "{url}"\n'),
        ("alerts.alertmanager", f'[alerts]\nalertmanager = ["{url}"]\n'),
        ("alerts.console_url", f'[alerts]\nconsole_url = "{url}"\n'),
        ("witnesses.w", f'[witnesses.w]\nurl = "{url}"\nkey = "k"\n'),
    ):
        with pytest.raises(RejectedError, match=f"{field}: must be http://HOST"):
            settings(tmp_path, tail=tail)


def test_a_witness_is_sent_no_password(tmp_path: Path) -> None:
    with pytest.raises(RejectedError, match="holds a password, which nothing would send"):
        settings(tmp_path, tail='[witnesses.w]\nurl = "https://a:b@w.example"\nkey = "k"\n')


def test_there_is_one_worker_unless_more_are_asked_for_within_bounds(tmp_path: Path) -> None:
    assert settings(tmp_path).workers == 1
    assert settings(tmp_path, "workers = 4\n").workers == 4
    for workers in (0, 65):
        with pytest.raises(RejectedError, match="workers: must be 1 to 64"):
            settings(tmp_path, f"workers = {workers}\n")


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ('class = "x"\nmin = 9\nmax = 8', r"retention \(x\): max is 8 days, and min 9"),
        ('class = "x"\nmost = 8', "unknown field `most`"),
        ("min = 8", "missing required field `class`"),
        ('class = "x"\n[[retention]]\nclass = "x"', r"retention \(x\): is the class of an earlier"),
    ],
)
def test_a_rule_of_retention_that_makes_no_sense_is_refused_by_name(
    tmp_path: Path, table: str, reason: str
) -> None:
    with pytest.raises(RejectedError, match=reason):
        settings(tmp_path, tail=f"[[retention]]\n{table}\n")
