"""The servers, regions and clients of one play, in a directory of their own."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from holdfast.regions import layout
from holdfast.times import format_us
from tests.e2e.server import Server, wait_until
from tests.nemesis.history import Client, Listener, Reader

REGIONS = ("a", "b", "c")
NODES = ("one", "two")
QUORUM = 2
LOST_AFTER_SECONDS = 4
SETTINGS = f"""quorum = {QUORUM}
lost_after_s = {LOST_AFTER_SECONDS}
reconcile_interval_s = 1
checkpoint_interval_s = 3
ack_timeout_s = 5
scrub_period_days = 1
"""
SMALL_DISK = "size=96m"
# Root passes over permissions; without these capabilities it does not.
WITHOUT_ROOTS_EYES = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
CAUGHT_UP_SECONDS = 45.0


class Cluster:
    """Two nodes, each with a directory of its own, on three regions of one trail: directories here.

    settings: the first part of the settings file. small: what lies on a small file system of its
    own, where that may be mounted.
    """

    settings = SETTINGS

    def __init__(self, place: Path, seed: int) -> None:
        self.place = place
        self.regions = place / "regions"
        self.config = place / "holdfast.toml"
        self.problems: list[str] = []
        self.small: list[Path] = []
        self.seed = seed
        self.bites = not os.geteuid() and shutil.which(WITHOUT_ROOTS_EYES[0]) is not None
        self.servers: dict[str, Server] = {}
        self.clients: list[Client] = []
        self.readers: list[Reader] = []
        self.listener = Listener(self.heartbeats)

    def found(self) -> None:
        """Make the regions, start both nodes, and let clients and readers begin."""
        for name in NODES:
            (self.place / name).mkdir()
        self.make_regions()
        self.listener.start()
        self.config.write_text(self.settings + self.tables({}))
        self.add("one")
        shutil.copy(self.place / "one" / "trail.key", self.place / "two" / "trail.key")
        self.add("two")

    def make_regions(self) -> None:
        """The places that regions are to lie in, empty."""
        for region in REGIONS:
            (self.regions / region).mkdir(parents=True)
        self._mount(self.regions / "c")
        self._mount(self.place / "two")

    def tables(self, elsewhere: Mapping[str, str]) -> str:
        """The regions' part of the settings. elsewhere: region -> another folder for it."""
        folders = {id: str(self.regions / id) for id in REGIONS} | dict(elsewhere)
        tables = (f'[regions.{id}]\nurl = "file://{at}"\n' for id, at in folders.items())
        return "".join(tables)

    def add(self, name: str) -> Client:
        """Start a server in a directory, with a client and a reader of its own."""
        prefix = WITHOUT_ROOTS_EYES if self.bites else ()
        server = self.servers[name] = Server(self.place / name, self.config, prefix=prefix)
        server.start()
        self.clients.append(Client(server, self.seed, self.problem).start())
        self.readers.append(Reader(server, self.problem).start())
        return self.clients[-1]

    def remove(self, name: str, *, kill: bool) -> None:
        """End a server, and who speaks with it; they are remembered."""
        server = self.servers.pop(name)
        if kill:
            server.kill()
        elif (code := server.stop()) != 0:
            self.problem(f"{name} stopped with {code}")
        self.hush(server)

    def hush(self, server: Server | None = None) -> None:
        """End who speaks with a server, or with any."""
        speaking: list[Client | Reader] = [*self.clients, *self.readers]
        for who in speaking:
            if server in (None, who.server):
                who.end()

    def problem(self, text: str) -> None:
        if text not in self.problems:
            self.problems.append(text)

    # -- how it is -----------------------------------------------------------------------------

    def wait_for_acknowledgements(self) -> None:
        """Until every client that has a server got new ones."""
        before = {c: c.acknowledged_count for c in self.clients if c.server in self.living}
        wait_until(
            lambda: all(client.acknowledged_count > count for client, count in before.items()),
            lambda: f"no acknowledgement: {self.tell()}",
        )

    def wait_until_caught_up(self) -> None:
        """Until every server's statement has passed this moment (I20)."""
        now = format_us(time.time_ns() // 1000)
        ends = time.monotonic() + CAUGHT_UP_SECONDS
        for name, server in self.servers.items():
            while (self._through(server) or "") <= now:
                if time.monotonic() > ends:
                    self.problem(f"I20: {name} does not catch up with {now}: {self.tell()}")
                    return
                time.sleep(0.1)

    def _through(self, server: Server) -> str | None:
        with contextlib.suppress(OSError):
            found: str | None = server.get("/v1/completeness")["complete_through"]
            return found
        return None

    @property
    def living(self) -> list[Server]:
        return list(self.servers.values())

    def tell(self) -> str:
        """How every server stands, for a person."""
        return "; ".join(f"{name}: {self._state(server)}" for name, server in self.servers.items())

    def _state(self, server: Server) -> str:
        try:
            held = server.get("/v1/completeness")["holding_back"]
            node = server.get("/v1/status")["node"]
        except OSError as error:
            return str(error)
        return f"{node['state']} {node['why']}, held back by {held}"

    def content(self, id: str) -> dict[str, bytes]:
        """What a region holds, key -> bytes."""
        region = self.regions / id
        paths = (path for kind in ("ev", "ctl") for path in region.glob(f"{kind}/**/*"))
        return {str(p.relative_to(region)): p.read_bytes() for p in paths if p.is_file()}

    def heartbeats(self) -> Iterator[tuple[bytes, str]]:
        """Every heartbeat that lies in a region now, and its node."""
        for path in self.regions.glob(f"*/{layout.HEARTBEATS_PREFIX}*.note"):
            with contextlib.suppress(OSError):
                yield path.read_bytes(), path.stem

    # -- small disks ---------------------------------------------------------------------------

    def _mount(self, path: Path) -> None:
        command = ["mount", "-t", "tmpfs", "-o", SMALL_DISK, "tmpfs", str(path)]
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
        if mounted:
            self.small.append(path)

    @contextlib.contextmanager
    def full(self, path: Path) -> Iterator[None]:
        """Leave no byte free on a small disk."""
        ballast = path / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            for size in (1024 * 1024, 4096):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"\0" * size)
        try:
            yield
        finally:
            ballast.unlink()

    def end(self) -> None:
        """End everything that was started, and unmount; files stay."""
        self.hush()
        self.listener.end()
        for server in self.servers.values():
            server.close()

    def unmount(self, *, keep: bool) -> None:
        """keep: leave the files of the small disks where they were."""
        for path in self.small:
            kept = path.with_name(path.name + ".kept")
            if keep:
                shutil.copytree(path, kept)
            subprocess.run(["umount", "--lazy", str(path)], check=False)
            if keep:
                path.rmdir()
                kept.rename(path)
