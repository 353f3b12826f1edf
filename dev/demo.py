"""`make demo`: real events, a lost region, a killed server, and nothing lost or doubled.

Every step says what it does and what it saw. Whatever does not hold ends the demo with exit code 1.
It uses the command line as a person would, real server processes, and directories of its own, which
are removed at the end (`--keep` leaves them).
"""

import argparse
import contextlib
import gzip
import hashlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[1]
EVENTS = ROOT / "tests" / "data" / "events"
HOLDFAST = Path(sys.executable).parent / "holdfast"
REGIONS = ("a", "b", "c")
Result = TypeVar("Result")

READY_SECONDS = 60.0
PATIENCE_SECONDS = 120.0
STEP_SECONDS = 0.05
BATCHES = ("--batch", "25", "--parallel", "2")
IN_FLIGHT_EVENTS = 50

FIRST_HALF = (
    ("k8s", ("kubernetes/audit2rbac_demo.ndjson.gz", "kubernetes/eventlist_webhook_body.json")),
    ("k8s", ("kubernetes/panther_Amazon_EKS_Audit.ndjson.gz",)),
    ("cloudtrail", tuple(f"cloudtrail/raw_logfile_{n}.json.gz" for n in (1, 2, 3, 4))),
    ("cloudtrail", ("cloudtrail/panther_AWS_CloudTrail.ndjson.gz",)),
)
SECOND_HALF = ("cloudtrail", ("cloudtrail/invictus_stratus_20230710.ndjson.gz",))


class DoesNotHoldError(Exception):
    """Something that must be true is not."""


class Server:
    """A `holdfast serve` process, known by its pid alone."""

    def __init__(self, data: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._command = [str(HOLDFAST), "serve", "--data", str(data), "--port", str(port)]
        self._log = (data.parent / "server.log").open("ab")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start, and wait until it accepts events; returns how many seconds that took."""
        began = time.monotonic()
        self._process = subprocess.Popen(self._command, stdout=self._log, stderr=self._log)
        wait_until("the server is ready", self._is_ready, READY_SECONDS)
        return time.monotonic() - began

    def kill(self) -> int:
        """SIGKILL: no goodbye, nothing flushed. Returns the pid that was."""
        return self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM: drain, close the epoch, go. Returns the exit code."""
        self._end(signal.SIGTERM)
        return 0 if self._process is None else self._process.returncode

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()
        self._log.close()

    def fetch(self, path: str) -> bytes:
        """The body of a good answer; any other one raises URLError."""
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            body: bytes = answer.read()
            return body

    def get(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.fetch(path))
        return found

    def _end(self, sign: signal.Signals) -> int:
        assert self._process is not None, "it was started"
        self._process.send_signal(sign)
        self._process.wait(READY_SECONDS)
        return self._process.pid

    def _is_ready(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise DoesNotHoldError(f"the server ended by itself: {self._process.returncode}")
        with contextlib.suppress(OSError):
            self.fetch("/readyz")
            return True
        return False


class Demo:
    """The play. acknowledged: what the imports said so far, in events."""

    def __init__(self, place: Path) -> None:
        self.data = place / "data"
        self.away = place / "region-c-away"
        self.server = Server(self.data, free_port())
        self.acknowledged = 0

    def play(self) -> None:
        self.found_the_trail()
        self.import_the_first_half()
        self.lose_a_region()
        self.import_while_the_server_is_killed()
        self.bring_the_region_back()
        self.compare_the_regions()
        self.account_for_every_event()
        self.read_without_a_server()

    def found_the_trail(self) -> None:
        step("A fresh trail: three directories as regions, any two of them must hold an event")
        seconds = self.server.start()
        say(f"ready after {seconds:.1f} s at {self.server.url}")

    def import_the_first_half(self) -> None:
        step("Import real Kubernetes and CloudTrail events")
        for kind, names in FIRST_HALF:
            self.take(holdfast_json("import", *self.import_options(kind), *paths(names)))
        say(f"{self.acknowledged} events acknowledged so far")

    def lose_a_region(self) -> None:
        step("Lose region c: its directory is renamed away, under the running server")
        (self.data / "regions" / "c").rename(self.away)
        holdfast_json("send", "--server", self.server.url, "--action", "demo.still.writing")
        self.acknowledged += 1
        say("an event was acknowledged all the same")
        wait_until("answers rest on a and b alone", lambda: self.basis() == ["a", "b"])
        self.show_completeness()

    def import_while_the_server_is_killed(self) -> None:
        step("Import the rest, and kill the server with SIGKILL in the middle of it")
        before = self.found()
        options = (*self.import_options(SECOND_HALF[0]), *BATCHES)
        importing = subprocess.Popen(
            [HOLDFAST, "import", *options, *paths(SECOND_HALF[1])], stdout=subprocess.PIPE
        )
        wait_until("some of it arrived", lambda: self.found() > before + 200)
        pid = self.server.kill()
        check(importing.poll() is None, "the import was still running when the server was killed")
        say(f"killed process {pid}; the import keeps trying, with the same ids")
        say(f"started again, ready after {self.server.start():.1f} s, nobody asked anything")
        printed, _ = importing.communicate(timeout=PATIENCE_SECONDS)
        check(importing.returncode == 0, "the import ended well")
        self.take(json.loads(printed.splitlines()[-1]))
        say(f"{self.acknowledged} events acknowledged in all")

    def bring_the_region_back(self) -> None:
        step("Region c comes back, and is given what it lacks")
        self.away.rename(self.data / "regions" / "c")
        wait_until("region c is used again", lambda: "c" in self.basis())
        report = wait_until("the regions are equal", self.reconciled)
        for region in report["regions"]:
            say(
                f"region {region['region']}: {region['objects']} objects found, "
                f"{region['repaired']} copied to it by `holdfast reconcile`"
            )

    def compare_the_regions(self) -> None:
        step("Compare the three regions byte by byte: segments, checkpoints, births")
        self.server.stop()
        holdfast_json("reconcile", "--data", str(self.data))
        trees = {region: evidence(self.data / "regions" / region) for region in REGIONS}
        check(trees["a"] == trees["b"] == trees["c"], "the three regions hold the same bytes")
        kinds = [name.split("/")[1] for name in trees["a"]]
        say(
            f"each holds the same {len(kinds)} objects: {kinds.count('seg')} segments, "
            f"{kinds.count('cp')} checkpoints, {kinds.count('node')} births and closes"
        )
        self.server.start()

    def account_for_every_event(self) -> None:
        step("Account for every event: acknowledged = found + repeats")
        wait_until("the server has read all of it", lambda: self.accounts()[0] >= self.acknowledged)
        total, found, repeats = self.accounts()
        say(f"{self.acknowledged} acknowledged, {found} found, {repeats} repeats")
        unanswered = total - self.acknowledged
        if 0 < unanswered <= IN_FLIGHT_EVENTS:
            say(
                f"{unanswered} more were stored when the server was killed, before it said so; "
                "sent again, they are repeats too"
            )
            repeats -= unanswered
        check(self.acknowledged == found + repeats, "acknowledged = found + repeats")
        expected = len(
            {content for kind in (*FIRST_HALF, SECOND_HALF) for content in contents(kind)}
        )
        say(f"the files themselves hold {expected} different events, and one was sent by hand")
        check(found == expected + 1, "every different event is found exactly once")
        self.show_completeness()

    def read_without_a_server(self) -> None:
        step("No server at all, and only region b left: everything is still found")
        found = self.found()
        self.server.stop()
        regions = self.data / "regions"
        for name in ("a", "c"):
            (regions / name).rename(regions.parent / f"{name}-gone")
        answer = holdfast_json("search", "--data", str(self.data), "--count")
        say(f"{answer['count']} events found in one region, straight from its files")
        told = answer["complete_through"] or "no time at all"
        say(f"complete through {told}: one region alone cannot say what the others held")
        for holding in answer["holding_back"]:
            say(f"held back: {holding['reason']}")
        check(answer["count"] == found, "one region holds everything")

    # What the steps ask

    def import_options(self, kind: str) -> tuple[str, ...]:
        return ("--format", kind, "--server", self.server.url, "--json")

    def take(self, tally: dict[str, Any]) -> None:
        said = ", ".join(f"{count} {name}" for name, count in tally.items())
        every = tally["refused"] == 0 and tally["read"] == tally["acknowledged"]
        check(every, f"everything that was read was acknowledged ({said})")
        self.acknowledged += tally["acknowledged"]

    def found(self) -> int:
        count: int = self.server.get("/v1/events/count")["count"]
        return count

    def basis(self) -> list[str]:
        return [each["region"] for each in self.server.get("/v1/completeness")["basis"]]

    def reconciled(self) -> dict[str, Any] | None:
        report = holdfast_json("reconcile", "--data", str(self.data))
        return report if report["identical"] else None

    def accounts(self) -> tuple[int, int, int]:
        """(acknowledged as the reader sees it, found, repeats)."""
        found = self.found()
        repeats: int = self.server.get("/v1/status")["reader"]["repeats"]
        return found + repeats, found, repeats

    def show_completeness(self) -> None:
        printed = holdfast("completeness", "--server", self.server.url)
        for line in printed.splitlines():
            say(line)


def holdfast(*arguments: str) -> str:
    """Run a command and return what it printed; it must end well."""
    done = subprocess.run(
        [HOLDFAST, *arguments], capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode:
        named = " ".join(arguments)
        raise DoesNotHoldError(f"holdfast {named}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


def holdfast_json(*arguments: str) -> dict[str, Any]:
    """Run a command with --json and return its last line."""
    found: dict[str, Any] = json.loads(holdfast(*arguments, "--json").splitlines()[-1])
    return found


def evidence(region: Path) -> dict[str, str]:
    """Segments, checkpoints, births and closes of a region: name -> SHA-256 of the bytes."""
    wanted = [*region.glob("ev/seg/**/*.zst"), *region.glob("ev/cp/**/*.note")]
    wanted += [*region.glob("ev/node/**/birth.note"), *region.glob("ev/node/**/closed.note")]
    return {
        str(path.relative_to(region)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in wanted
    }


def paths(names: Sequence[str]) -> list[str]:
    return [str(EVENTS / name) for name in names]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def wait_until(what: str, seen: Callable[[], Result | None], seconds: float = 60.0) -> Result:
    """Look again and again until what is seen is true, within the time."""
    until = time.monotonic() + seconds
    while not (result := seen()):
        if time.monotonic() > until:
            raise DoesNotHoldError(f"not within {seconds:g} s: {what}")
        time.sleep(STEP_SECONDS)
    return result


def contents(source: tuple[str, Sequence[str]]) -> Iterator[str]:
    """What the events of some files say, read without any of Holdfast's code."""
    for name in source[1]:
        data = (EVENTS / name).read_bytes()
        text = (gzip.decompress(data) if name.endswith(".gz") else data).decode()
        try:
            whole = json.loads(text)
            events = whole.get("Records") or whole.get("items") or [whole]
        except ValueError:
            events = [json.loads(line) for line in text.splitlines() if line.strip()]
        for event in events:
            yield json.dumps(event, sort_keys=True)


def step(text: str) -> None:
    print(f"\n== {text}", flush=True)


def say(text: str) -> None:
    print(f"   {text}", flush=True)


def check(holds: bool, what: str) -> None:
    """Say what holds; end the demo where it does not."""
    if not holds:
        raise DoesNotHoldError(what)
    say(f"holds: {what}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--keep", action="store_true", help="leave the directories for a look")
    options = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="holdfast-demo-"))
    demo = Demo(place)
    began = time.monotonic()
    failed = ""
    try:
        demo.play()
    except (DoesNotHoldError, urllib.error.URLError, subprocess.TimeoutExpired) as error:
        failed = str(error)
    finally:
        demo.server.close()
    if failed:
        print(f"\nDOES NOT HOLD: {failed}\n\nThe server's last words:", flush=True)
        print("\n".join((place / "server.log").read_text("utf-8").splitlines()[-20:]))
    if options.keep or failed:
        print(f"\nThe directories are in {place}")
    else:
        shutil.rmtree(place)
    if failed:
        return 1
    print(f"\nEverything holds ({time.monotonic() - began:.0f} s).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
