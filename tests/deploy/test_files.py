"""deploy/ and docs/DEPLOY.md name nothing that the product does not know, and agree on places."""

import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

import holdfast
from holdfast.cli.app import GROUPS, VERBS, run
from holdfast.serve.auth import FREE_PATHS
from holdfast.serve.run import GRACE_SECONDS
from holdfast.serve.supervise import STOP_SECONDS
from holdfast.settings import (
    ENVIRONMENT_PREFIX,
    ENVIRONMENT_RESERVED,
    PORT_DEFAULT,
    Settings,
    load,
)

ROOT = Path(__file__).parents[2]
DEPLOY, CHART = ROOT / "deploy", ROOT / "deploy" / "chart"
PAGE = (ROOT / "docs" / "DEPLOY.md").read_text("utf-8")
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")
UNIT = (DEPLOY / "holdfast.service").read_text("utf-8")
COMPOSE = msgspec.yaml.decode((DEPLOY / "compose" / "compose.yaml").read_bytes())
VALUES = msgspec.yaml.decode((CHART / "values.yaml").read_bytes())
TEMPLATES = {path.name: path.read_text("utf-8") for path in (CHART / "templates").iterdir()}
NODES = TEMPLATES["nodes.yaml"]
FILES = {
    str(path.relative_to(ROOT)): path.read_text("utf-8")
    for path in [*DEPLOY.rglob("*"), ROOT / "docs" / "DEPLOY.md"]
    if path.is_file() and "__pycache__" not in path.parts
}
PLACES = {
    "HOLDFAST_CONFIG": "/etc/holdfast/holdfast.toml",
    "HOLDFAST_TOKEN_FILE": "/etc/holdfast/token",
    "HOLDFAST_TLS_CERTIFICATE": "/etc/holdfast/tls.crt",
    "HOLDFAST_TLS_KEY": "/etc/holdfast/tls.key",
    "HOLDFAST_DATA": "/var/lib/holdfast",
    "HOLDFAST_HOST": "0.0.0.0",
}


@pytest.mark.parametrize("file", FILES)
def test_every_variable_is_one_of_ours(file: str) -> None:
    told = set(re.findall(rf"\b{ENVIRONMENT_PREFIX}([A-Z_]+)\b", FILES[file]))

    keys = {key.upper() for key in Settings.__struct_fields__}
    assert told <= keys | ENVIRONMENT_RESERVED


def test_image_and_unit_look_in_the_same_places_and_the_page_names_them() -> None:
    in_image = dict(re.findall(r"\b(HOLDFAST_[A-Z_]+)=(\S+)", DOCKERFILE))
    in_unit = dict(re.findall(r"^Environment=(HOLDFAST_[A-Z_]+)=(\S+)$", UNIT, re.MULTILINE))

    assert in_image == in_unit == PLACES
    assert [each for each in PLACES if f"`{each}`" not in PAGE] == []
    assert [each for each in list(PLACES.values())[:-1] if f"`{each}`" not in PAGE] == []


def test_the_places_are_where_volumes_are() -> None:
    mounts = {each.split(":")[1] for each in COMPOSE["services"]["holdfast"]["volumes"]}
    mounted = set(re.findall(r"mountPath: (\S+)", NODES))

    assert f"VOLUME {PLACES['HOLDFAST_DATA']}\n" in DOCKERFILE
    assert "StateDirectory=holdfast\n" in UNIT  # below /var/lib
    assert mounts == {"/etc/holdfast", "/var/lib/holdfast"}
    assert mounted == {"/etc/holdfast", "/etc/holdfast-trail", "/var/lib/holdfast", "/tmp"}


def test_every_port_is_the_default() -> None:
    ports = [
        *re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE),
        *re.findall(r"containerPort: (\d+)", NODES),
        *re.findall(r"^ +port: (\d+)$", TEMPLATES["service.yaml"], re.MULTILINE),
        *re.findall(r"localhost:(\d+)|-nodes:(\d+)|publish \d+:(\d+)|^\| `(\d+)` ", PAGE, re.M),
        *COMPOSE["services"]["holdfast"]["ports"][0].split(":")[1:],
        VALUES["service"]["port"],
    ]

    told = {int("".join(each) if isinstance(each, tuple) else each) for each in ports}
    assert told == {PORT_DEFAULT}


def test_health_is_asked_for_where_no_token_is_needed() -> None:
    asked = {*re.findall(r"path: (/\w+)", NODES), *re.findall(r'healthy.py", "(/\w+)"', DOCKERFILE)}
    asked.add(COMPOSE["services"]["holdfast"]["healthcheck"]["test"][-1])

    assert asked == FREE_PATHS


def test_whatever_restarts_a_node_asks_only_whether_it_lives() -> None:
    probes = dict(re.findall(r"(\w+)Probe:\n +httpGet: \{path: (/\w+),", NODES))

    assert probes == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
    assert '"/healthz"]' in DOCKERFILE


def test_a_stop_is_given_the_time_that_it_takes() -> None:
    given = [
        *re.findall(r"^TimeoutStopSec=(\d+)$", UNIT, re.MULTILINE),
        *re.findall(r"terminationGracePeriodSeconds: (\d+)", NODES),
        *re.findall(r"--stop-timeout (\d+)", PAGE),
        COMPOSE["services"]["holdfast"]["stop_grace_period"].removesuffix("s"),
    ]

    alone = GRACE_SECONDS + Settings().ack_timeout_s
    with_workers = 2 * STOP_SECONDS  # those that write, then the one that reads
    assert len(given) == 4 and min(map(int, given)) > max(alone, with_workers)


def test_nobody_is_root_and_the_root_file_system_is_read_only() -> None:
    user = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    ids = set(re.findall(r"(?:runAsUser|runAsGroup|fsGroup): (\d+)", NODES))

    assert user == [("10001", "10001")] and ids == {"10001"}
    assert COMPOSE["services"]["holdfast"]["read_only"] is True
    assert "readOnlyRootFilesystem: true" in TEMPLATES["_parts.tpl"]
    assert "User=holdfast\n" in UNIT and "ProtectSystem=strict\n" in UNIT


def test_a_service_named_like_us_sets_none_of_our_settings() -> None:
    """Kubernetes would give the pod HOLDFAST_PORT=tcp://..., for a Service named holdfast."""
    assert "enableServiceLinks: false" in NODES


def test_what_the_image_copies_is_there_and_let_in() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    let_in = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE)

    paths = [path for line in copied for path in line.split()]
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert sorted(paths) == sorted(let_in)


def test_what_is_fetched_into_an_image_or_a_machine_is_pinned_and_hashed() -> None:
    installs = [
        line
        for text in (DOCKERFILE, PAGE)
        for line in re.sub(r"\\\n\s*", "", text).splitlines()
        for line in line.split("&&")
        if "pip install" in line and "pip-compile" not in line
    ]

    fetching = [line for line in installs if "--no-deps" not in line]
    assert len(installs) == 4 and len(fetching) == 2
    assert all("--require-hashes --requirement requirements/run.lock" in x for x in fetching)


def test_compose_names_a_region_for_each_of_its_stores_and_the_bucket_that_they_make() -> None:
    settings = load(DEPLOY / "compose" / "etc" / "holdfast.toml", {}, {})
    stores = {name: each for name, each in COMPOSE["services"].items() if name != "holdfast"}

    hosts = [urlsplit(region.endpoint).hostname for region in settings.regions.values()]
    buckets = {urlsplit(region.url).netloc for region in settings.regions.values()}
    assert sorted(map(str, hosts)) == sorted(stores)
    assert buckets == {each["environment"]["S3_BUCKET"] for each in stores.values()}
    node = COMPOSE["services"]["holdfast"]["environment"]
    assert all(node.items() <= each["environment"].items() for each in stores.values())


def test_what_compose_is_given_as_secrets_is_never_committed() -> None:
    ignored = (ROOT / ".gitignore").read_text("utf-8").splitlines()

    secrets = ["token", "tls.crt", "tls.key"]
    for name in ["deploy/compose/.env", *(f"deploy/compose/etc/{each}" for each in secrets)]:
        assert any(fnmatch(name, each) for each in ignored), name


def test_every_value_of_the_chart_is_used_and_every_used_one_is_there() -> None:
    used = set(re.findall(r"\.Values((?:\.\w+)+)", "".join(TEMPLATES.values())))

    known = {f".{name}" for name in _leaves(VALUES)}
    wholes = {name for name in used if isinstance(_value(name), dict)}
    covered = {leaf for leaf in known for whole in wholes if leaf.startswith(f"{whole}.")}
    assert used - wholes <= known <= used | covered


def test_every_part_of_the_chart_that_is_included_is_defined() -> None:
    text = "".join(TEMPLATES.values())

    included = set(re.findall(r'include "([\w.]+)"', text))
    assert included == set(re.findall(r'define "([\w.]+)"', text))


@pytest.mark.parametrize("name", TEMPLATES)
def test_what_a_template_opens_it_closes(name: str) -> None:
    actions = re.findall(r"\{\{-?\s*(\w+)", TEMPLATES[name])

    opened = [each for each in actions if each in {"if", "with", "range", "define"}]
    assert len(opened) == actions.count("end")


def test_the_chart_is_of_this_version() -> None:
    chart = msgspec.yaml.decode((CHART / "Chart.yaml").read_bytes())

    assert chart["appVersion"] == chart["version"] == holdfast.__version__


def test_every_command_of_ours_on_the_page_exists(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = "".join(re.findall(r"^```sh\n((?:.*\n)+?)```$", PAGE, re.MULTILINE))
    lines = re.sub(r" \\\n\s*", " ", blocks).splitlines()
    found = [re.search(r"(?:^|exec holdfast )holdfast (\w+)(.*)$", line) for line in lines]
    commands = [(each[1], each[2]) for each in found if each]

    verbs = {name for name, _ in VERBS} | {group for group, _, _ in GROUPS}
    assert commands and {verb for verb, _ in commands} <= verbs
    for verb, rest in commands:
        run([verb, "--help"])
        options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
        assert set(re.findall(r"--[a-z-]+", rest)) <= options
    assert "ExecStart=/opt/holdfast/bin/holdfast serve\n" in UNIT
    assert 'ENTRYPOINT ["holdfast"]\nCMD ["serve"]\n' in DOCKERFILE


def test_every_file_and_folder_on_the_page_is_there() -> None:
    named = set(re.findall(r"(?<![\w/.])((?:deploy|docs|requirements)/[\w./-]*\w)", PAGE))

    assert len(named) >= 6
    assert [each for each in sorted(named) if not (ROOT / each).exists()] == []


def test_the_readme_leads_to_the_page() -> None:
    assert "(docs/DEPLOY.md)" in (ROOT / "README.md").read_text("utf-8")


def _leaves(values: dict[str, Any], prefix: str = "") -> list[str]:
    """The dotted names of all values; a table that is empty is one itself."""
    names = []
    for name, value in values.items():
        inner = isinstance(value, dict) and value
        names += _leaves(value, f"{prefix}{name}.") if inner else [prefix + name]
    return names


def _value(name: str) -> object:
    found: Any = VALUES
    for part in name.strip(".").split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found
