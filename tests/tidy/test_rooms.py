"""STYLE: a few rooms, one direction; pure modules; only `wiring` builds real things."""

import ast
import sys

from tests.tidy.source import Module, modules

# What each room may import of ours, beside itself. A stage never imports a later one.
SHARED = {"errors", "model", "ports", "times", "proof"}
MAY_IMPORT = {
    "__init__": set(),
    "__main__": {"cli"},
    "beside": set(),
    "errors": set(),
    "model": set(),
    "ports": set(),
    "times": set(),
    "proof": set(),
    "posting": {"client", "regions"},
    "client": set(),  # an application carries it alone
    "regions": SHARED,
    "write": SHARED | {"regions"},
    "read": SHARED | {"regions", "write"},
    "prove": SHARED | {"regions", "read"},
    "archive": SHARED | {"beside", "regions", "write", "read"},
    "keep": SHARED | {"beside", "regions", "write", "read", "archive"},
    "retention": SHARED | {"beside", "regions", "write", "read", "archive", "keep"},
    "verify": SHARED | {"regions", "write", "read", "archive", "keep"},
    "restore": SHARED | {"regions", "read", "archive", "prove", "verify"},
    "receivers": SHARED | {"write"},
    "witness": SHARED | {"regions"},  # it watches any log, and knows nothing of trails
    "watch": SHARED | {"regions", "write", "read", "archive", "keep", "retention", "restore"},
    "settings": SHARED | {"regions", "write", "read", "archive", "keep", "watch"},
    "limits": SHARED | {"write", "read", "settings"},
    "wiring": SHARED
    | {"regions", "write", "read", "archive", "prove", "keep", "watch", "receivers", "settings"}
    | {"limits", "restore", "retention", "posting", "beside"},
    "alerting": SHARED | {"regions", "write", "watch", "settings", "wiring", "posting"},
    "tracing": SHARED | {"write", "settings", "__init__"},
    "serve": SHARED
    | {"regions", "write", "read", "keep", "watch", "receivers", "settings", "wiring"}
    | {"archive", "verify", "prove", "restore", "retention", "__init__", "alerting", "tracing"}
    | {"beside"},
    "cli": SHARED
    | {"regions", "write", "read", "keep", "watch", "receivers", "settings", "wiring", "serve"}
    | {"client", "archive", "verify", "restore", "witness", "__init__", "alerting"},
}

# Modules that only think: bytes and values in, values out.
PURE = {
    "errors",
    "model",
    "times",
    "proof.merkle",
    "proof.note",
    "proof.names",
    "proof.ledger",
    "proof.statements",
    "proof.tenants",
    "proof.fields",
    "proof.objects",
    "proof.anchor",
    "proof.event",
    "proof.certificate",
    "proof.floors",
    "proof.left",
    "proof.records",
    "proof.units",
    "proof.export",
    "proof.errors",
    "regions.cosignature",
    "regions.keys",
    "regions.kinds",
    "regions.layout",
    "regions.segment",
    "regions.units",
    "regions.signing",
    "write.seal",
    "write.admit",
    "write.law",
    "write.strict",
    "write.record",
    "write.quorum",
    "write.stamp",
    "receivers.mapping",
    "receivers.native",
    "receivers.anyjson",
    "receivers.cloudtrail",
    "receivers.kubernetes",
    "receivers.formats",
    "archive.lines",
    "archive.plan",
    "archive.rules",
    "read.ledgers",
    "read.lives",
    "read.listings",
    "read.matching",
    "read.repeats",
    "read.shown",
    "read.watermark",
    "prove.event",
    "prove.paths",
    "restore.choice",
    "keep.drift",
    "retention.plan",
    "regions.retained",
    "witness.request",
    "keep.lost",
    "keep.objects",
    "serve.problems",
    "verify.contents",
    "verify.evidence",
    "verify.expect",
    "verify.findings",
    "verify.walk",
    "watch.alerts",
    "watch.health",
    "watch.kinds",
}
IMPURE_IMPORTS = {
    *("asyncio", "concurrent", "ctypes", "fcntl", "glob", "http", "io", "logging", "mmap"),
    *("multiprocessing", "os", "pathlib", "random", "secrets", "select", "shutil", "signal"),
    *("socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time", "urllib"),
    *("duckdb", "httpx", "litestar", "obstore", "typer", "uvicorn"),
}
# What the world is read with, and the few modules that may: a process's edge.
WORLD = {
    *("time.time", "time.time_ns", "time.monotonic", "time.perf_counter", "datetime.now"),
    *("datetime.utcnow", "os.environ", "os.getenv", "os.urandom", "uuid.uuid4", "uuid.uuid1"),
    *("random.random", "random.randint", "random.choice", "secrets.token_bytes"),
    *("secrets.token_hex", "socket.socket", "sys.argv", "sys.stdin", "time.sleep"),
}
MAY_TOUCH_THE_WORLD = {"wiring", "cli", "client"}


def test_rooms_import_in_one_direction_only() -> None:
    wrong = [
        f"{module.name} imports {name}"
        for module in modules()
        for name in sorted(module.ours)
        if _room(name) != module.room and _room(name) not in MAY_IMPORT[module.room]
    ]

    assert wrong == []


def test_no_import_is_relative() -> None:
    relative = [
        module.name
        for module in modules()
        for node in module.nodes
        if isinstance(node, ast.ImportFrom) and node.level
    ]

    assert relative == []


def test_proof_needs_the_standard_library_and_cryptography_only() -> None:
    allowed = sys.stdlib_module_names | {"cryptography", "holdfast"}

    strangers = {
        f"{module.name} imports {name}"
        for module in modules()
        if module.room == "proof"
        for name in module.imports
        if name.partition(".")[0] not in allowed
        or (name.startswith("holdfast.") and not name.startswith("holdfast.proof"))
    }

    assert strangers == set()


def test_the_client_needs_the_standard_library_only() -> None:
    strangers = {
        name
        for module in modules()
        if module.room == "client"
        for name in module.imports
        if name.partition(".")[0] not in sys.stdlib_module_names
        and not name.startswith("holdfast.client")
    }

    assert strangers == set()


def test_pure_modules_exist_and_import_nothing_impure() -> None:
    pure = [module for module in modules() if module.name in PURE]

    impure = {
        f"{module.name} imports {name}"
        for module in pure
        for name in module.imports
        if name.partition(".")[0] in IMPURE_IMPORTS
    }

    assert {module.name for module in pure} == PURE
    assert impure == set()


def test_pure_modules_open_no_file() -> None:
    opening = [
        module.name for module in modules() if module.name in PURE and "open" in _calls(module)
    ]

    assert opening == []


def test_clock_randomness_and_environment_come_through_wiring_only() -> None:
    wrong = {
        f"{module.name} uses {name}"
        for module in modules()
        if module.room not in MAY_TOUCH_THE_WORLD and module.name != "proof.__main__"
        for name in _attributes(module) & WORLD
    }

    assert wrong == set()


def test_there_is_no_room_for_what_fits_nowhere() -> None:
    drawers = {"utils", "util", "common", "helpers", "helper", "manager", "misc"}

    assert [m.name for m in modules() if drawers & set(m.name.split("."))] == []


def _room(name: str) -> str:
    """The room that an imported name lies in: "write.seal.encode" in "write"."""
    first = name.partition(".")[0]
    return first if first in MAY_IMPORT else "__init__"


def _calls(module: Module) -> set[str]:
    calls = (node.func for node in module.nodes if isinstance(node, ast.Call))
    return {call.id for call in calls if isinstance(call, ast.Name)}


def _attributes(module: Module) -> set[str]:
    """Every `name.attribute` that is read, and every `from name import attribute`."""
    read = {
        f"{node.value.id}.{node.attr}"
        for node in module.nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    return read | set(module.imports)
