"""The project's own source, read as text and as syntax trees."""

import ast
import functools
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "holdfast"
NOT_OURS = {".git", ".venv", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis"} | {
    "__pycache__",
    "holdfast-data",
    "build",
}


@dataclass(frozen=True)
class Module:
    """A module of ours. name: dotted, below `holdfast` ("write.seal"); room: its first part."""

    name: str
    path: Path
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        return self.name.partition(".")[0]

    @functools.cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """All of the tree: walking it is most of what the tests of it cost."""
        return tuple(ast.walk(self.tree))

    @functools.cached_property
    def functions(self) -> tuple[ast.FunctionDef | ast.AsyncFunctionDef, ...]:
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
        return tuple(node for node in self.nodes if isinstance(node, kinds))

    @functools.cached_property
    def imports(self) -> frozenset[str]:
        """Every dotted name that is imported, `from a import b` as "a.b"."""
        found = set()
        for node in self.nodes:
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
        return frozenset(found)

    @functools.cached_property
    def ours(self) -> frozenset[str]:
        """What it imports of ours, below `holdfast` ("write.seal.encode")."""
        prefix = "holdfast."
        return frozenset(name.removeprefix(prefix) for name in self.imports if name[:9] == prefix)


@functools.cache
def modules() -> tuple[Module, ...]:
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__") or "__init__"
        text = path.read_text(encoding="utf-8")
        found.append(Module(name, path, text, ast.parse(text)))
    return tuple(found)


@functools.cache
def scripts() -> tuple[Path, ...]:
    """Every Python file of the project, tests too."""
    return tuple(path for path in tracked() if path.suffix == ".py")


@functools.cache
def tracked() -> tuple[Path, ...]:
    """Every file under version control; where git is not there, every file that could be."""
    names = _listed_by_git() or [
        str(path.relative_to(ROOT))
        for path in sorted(ROOT.rglob("*"))
        if not NOT_OURS & set(path.relative_to(ROOT).parts)
    ]
    return tuple(ROOT / name for name in names if (ROOT / name).is_file())


def _listed_by_git() -> list[str]:
    command = ["git", "-C", str(ROOT), "ls-files", "-z"]
    try:
        listed = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        return []
    return [name for name in listed.stdout.decode().split("\0") if name]
