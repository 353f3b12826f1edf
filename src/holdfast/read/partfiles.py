"""Files of the archive in the cache: parts and evidence, as many as a budget allows.

They are fetched again when they are asked for, so that nothing is lost with one; an index that was
made of a part stays when the part goes, since a search needs the part only for what it shows.
"""

import shutil
from collections import OrderedDict
from collections.abc import Collection
from pathlib import Path

from holdfast.read import index

PART, EVIDENCE = ".parquet", ".evidence"


class PartFiles:
    """See the module. Names are hashes with a suffix. The least recently used comes first."""

    def __init__(self, folder: Path, size_bytes_max: int) -> None:
        """Open or create, and forget what a crash left half written."""
        self.folder = folder
        self._size_bytes_max = size_bytes_max
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._used: dict[str, float] = {}
        folder.mkdir(parents=True, exist_ok=True)
        found = [(path, path.stat()) for path in folder.iterdir()]
        for path, stat in sorted(found, key=lambda each: each[1].st_mtime):
            if path.suffix in (PART, EVIDENCE):
                self._sizes[path.name] = stat.st_size
            elif path.suffix != index.SUFFIX:
                path.unlink()

    @property
    def size_bytes(self) -> int:
        """What all of them take, without indexes."""
        return sum(self._sizes.values())

    def path(self, name: str) -> Path:
        """Where a file lies, or would."""
        return self.folder / name

    def has(self, name: str) -> bool:
        """Whether a file is here."""
        return name in self._sizes

    def use(self, name: str, now: float) -> bool:
        """Whether a file is here; it stays for a while then. now: seconds, of any clock."""
        if name not in self._sizes:
            return False
        self._sizes.move_to_end(name)
        self._used[name] = now
        return True

    def put(self, name: str, data: bytes) -> None:
        """Keep a file. Nothing is synced: whoever reads it compares its hash. Blocking."""
        temporary = self.folder / f"{name}.tmp"
        temporary.write_bytes(data)
        temporary.replace(self.folder / name)
        self._sizes[name] = len(data)

    def take(self, name: str, path: Path) -> None:
        """Keep a file that lies elsewhere, and no longer does then. Blocking."""
        size = path.stat().st_size
        shutil.move(path, self.folder / f"{name}.tmp")
        (self.folder / f"{name}.tmp").replace(self.folder / name)
        self._sizes[name] = size

    def drop(self, name: str) -> None:
        """Forget a file that is gone, or not what it was, and the index that was made of it."""
        self._sizes.pop(name, None)
        self._used.pop(name, None)
        self.path(name).unlink(missing_ok=True)
        index.path_of(str(self.path(name))).unlink(missing_ok=True)

    def keep_only(self, stems: Collection[str]) -> None:
        """Forget what is of no adopted unit any more. Blocking."""
        for path in self.folder.iterdir():
            if path.stem not in stems:
                self.drop(path.name)

    def evict(self, before: float) -> None:
        """Bring them under their limit; what was used since stays. Blocking."""
        left = self.size_bytes - self._size_bytes_max
        for name in [*self._sizes]:
            if left <= 0 or self._used.get(name, before) > before:
                return
            left -= self._sizes.pop(name)
            self._used.pop(name, None)
            self.path(name).unlink(missing_ok=True)
