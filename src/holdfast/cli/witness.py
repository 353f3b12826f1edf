"""`holdfast witness`: a small witness for transparency logs, this trail or any other."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from typer import Option

from holdfast.cli import printer
from holdfast.cli.exits import GOOD
from holdfast.cli.source import rejected
from holdfast.errors import UnavailableError
from holdfast.proof import ProofError, note
from holdfast.proof.note import VerifierKey
from holdfast.regions.cosignature import WitnessKey
from holdfast.regions.disk import PRIVATE_MODE, PosixDisk, write_whole
from holdfast.regions.signing import SigningKey

KEY_LINE = "holdfast-witness-key/1"
SEED_BYTES = 32
LOGS_BYTES_MAX = 16 * 1024 * 1024
CONNECTIONS_MAX = 512


def witness(
    state: Annotated[Path, Option(metavar="DIR", help="Where what was cosigned is remembered.")],
    key: Annotated[Path, Option(metavar="FILE", help="The witness's key; made if not there.")],
    logs: Annotated[
        Path, Option(metavar="FILE", help="Public keys of the logs to watch (vkeys), one a line.")
    ],
    name: Annotated[
        str, Option(help="Of the key that is made, such as witness.example.com/w1.")
    ] = "",
    listen: Annotated[str, Option(metavar="HOST:PORT")] = "127.0.0.1:8421",
) -> int:
    """Cosign checkpoints that only ever grew (c2sp.org/tlog-witness), until SIGTERM or SIGINT.

    Anyone may ask it: what it cosigns are checkpoints that one of the logs signed.
    """
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise rejected("--listen", "must be HOST:PORT")
    signing = _key(key, name)
    watched = Logs(logs)
    watched()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    vkey = WitnessKey(signing.name, signing.public).text
    asyncio.run(_serve(state, signing, watched, (host.strip("[]"), int(port)), vkey))
    return GOOD


async def _serve(
    directory: Path, key: SigningKey, logs: "Logs", address: tuple[str, int], vkey: str
) -> None:
    import uvicorn

    from holdfast.witness.connection import Connection
    from holdfast.witness.service import Witness
    from holdfast.witness.state import State

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            printer.announce(f"witness {vkey} on http://{host}:{port}/")

    state = State(directory, PosixDisk())
    try:
        app = Witness(state, key, logs, lambda: int(time.time()), asyncio.to_thread)
        config = uvicorn.Config(
            app,
            host=address[0],
            port=address[1],
            http=Connection,
            lifespan="off",
            ws="none",
            access_log=False,
            log_config=None,
            server_header=False,
            limit_concurrency=CONNECTIONS_MAX,
        )
        await Server(config).serve()
    except SystemExit:  # uvicorn's way to say that it cannot listen; it has logged why
        raise UnavailableError(f"cannot listen on {address[0]}:{address[1]}") from None
    finally:
        state.close()


class Logs:
    """The keys in a file, by the name of the log; read again when the file changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._found: Mapping[str, tuple[VerifierKey, ...]] = {}

    def __call__(self) -> Mapping[str, tuple[VerifierKey, ...]]:
        """The keys now.

        Raises:
            RejectedError: a line is no key, and never was read as one; else the keys of before.
        """
        try:
            facts = self._path.stat()
            stamp = (facts.st_mtime_ns, facts.st_size)
            if stamp != self._stamp:
                self._found = _keys_in(self._path.read_bytes()[:LOGS_BYTES_MAX])
                self._stamp = stamp
        except (OSError, UnicodeDecodeError, ProofError) as error:
            if self._stamp is None:
                raise rejected(str(self._path), f"cannot be used: {error}") from None
            logging.getLogger("holdfast.witness").warning("%s: %s", self._path, error)
        return self._found


def _keys_in(data: bytes) -> dict[str, tuple[VerifierKey, ...]]:
    found: dict[str, tuple[VerifierKey, ...]] = {}
    for line in data.decode().splitlines():
        if line.strip() and not line.startswith("#"):
            key = VerifierKey.parse(line.strip())
            found[key.name] = (*found.get(key.name, ()), key)
    return found


def _key(path: Path, name: str) -> SigningKey:
    """The key in a file, readable by its owner only; made where there is none and it has a name."""
    if path.exists():
        try:
            first, named, told, _ = path.read_text("ascii").split("\n")
            if first == KEY_LINE:
                return SigningKey.generate(named, note.decode_base64(told))
        except (OSError, ValueError, ProofError) as error:
            raise rejected(str(path), f"is no witness's key: {error}") from None
        raise rejected(str(path), "is no witness's key")
    if not name:
        raise rejected("--name", "is missing: how shall the new key be named?")
    seed = os.urandom(SEED_BYTES)
    try:
        made = SigningKey.generate(WitnessKey(name, bytes(32)).name, seed)
    except ProofError as error:
        raise rejected("--name", str(error)) from None
    text = f"{KEY_LINE}\n{made.name}\n{note.encode_base64(seed)}\n"
    disk = PosixDisk()
    folder = disk.open_root(path.absolute().parent)
    try:  # durably: whoever trusts this key would not trust the one after it
        file = disk.create(folder, path.name, PRIVATE_MODE)
        try:
            write_whole(disk, file, text.encode())
        finally:
            disk.close(file)
        disk.fsync(folder)
    finally:
        disk.close(folder)
    return made
