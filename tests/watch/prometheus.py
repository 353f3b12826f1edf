"""A real Prometheus and a real Alertmanager on loopback, each known by its pid alone."""

import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.server import free_port, wait_until
from tests.machine import program
from tests.tidy.source import ROOT

RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
DASHBOARDS = ROOT / "deploy" / "grafana"


class Program:
    """One of the two. url: where it listens."""

    def __init__(self, port: int, log: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._log = log

    def get(self, path: str, **parameters: str) -> Any:
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        with urllib.request.urlopen(f"{self.url}{path}{query}", timeout=10) as answer:
            return json.load(answer)

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def query(self, expression: str, path: str = "query", **parameters: str) -> list[Any]:
        """What Prometheus finds for an expression."""
        found = self.get(f"/api/v1/{path}", query=expression, **parameters)
        assert found["status"] == "success", found
        results: list[Any] = found["data"]["result"] if path == "query" else found["data"]
        return results


@contextmanager
def running(command: Sequence[str], port: int, log: Path) -> Iterator[Program]:
    started = Program(port, log)
    with log.open("wb") as written:
        process = subprocess.Popen(command, stdout=written, stderr=written, cwd=log.parent)
        try:
            wait_until(started.is_ready, log.read_text)
            yield started
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def alertmanager(folder: Path, webhook: str) -> Iterator[Program]:
    """It tells the webhook of everything, at once."""
    port, config = free_port(), folder / "alertmanager.yml"
    told = f"[{{url: '{webhook}', send_resolved: true}}]"
    config.write_text(
        "route: {receiver: hook, group_by: ['...'], group_wait: 0s, group_interval: 1s, "
        "repeat_interval: 1h}\n"
        f"receivers: [{{name: hook, webhook_configs: {told}}}]\n"
    )
    command = [
        program("prometheus-alertmanager"),
        f"--config.file={config}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with running(command, port, folder / "alertmanager.log") as started:
        yield started


@contextmanager
def prometheus(folder: Path, target: str, rules: Path, alerts: Program | None) -> Iterator[Program]:
    """It scrapes and evaluates every second. target: host and port."""
    port, config = free_port(), folder / "prometheus.yml"
    at = alerts.url.removeprefix("http://") if alerts else ""
    sent_to = [{"static_configs": [{"targets": [at]}]}]
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [{"job_name": "holdfast", "static_configs": [{"targets": [target]}]}],
        "alerting": {"alertmanagers": sent_to if alerts else []},
    }
    config.write_text(json.dumps(settings))  # JSON is YAML
    command = [
        program("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
    ]
    with running(command, port, folder / "prometheus.log") as started:
        yield started
