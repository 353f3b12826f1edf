"""The proof room stands apart: it needs the standard library and cryptography only."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import holdfast.proof

ROOM = Path(holdfast.proof.__file__).parent
OTHERS = {"cryptography"}
FOREIGN = "('msgspec', 'numpy', 'duckdb', 'pyarrow', 'obstore', 'litestar', 'typer', 'uvicorn')"


def imported_by(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            yield node.module or ""


def test_proof_imports_only_the_standard_library_and_cryptography() -> None:
    strangers = {
        (path.name, name)
        for path in ROOM.glob("*.py")
        for name in imported_by(path)
        if name.split(".")[0] not in sys.stdlib_module_names | OTHERS
        and name.split(".")[:2] != ["holdfast", "proof"]
    }

    assert strangers == set()


def test_importing_proof_loads_none_of_the_servers_libraries() -> None:
    program = (
        "import sys; from holdfast.proof import event, ledger, statements; "
        f"ours = {{name for name in sys.modules if name.startswith('holdfast.')}}; "
        "assert all(name.startswith('holdfast.proof') for name in ours), ours; "
        f"assert not set(sys.modules) & set({FOREIGN})"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        check=False,
        text=True,
        cwd=ROOM.parents[1],
        env={"PYTHONPATH": str(ROOM.parents[1])},
    )

    assert (done.returncode, done.stderr) == (0, "")
