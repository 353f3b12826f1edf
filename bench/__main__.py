"""`python -m bench [PART ...]`: measure, keep the figures as JSON, write docs/BENCH.md of them."""

import argparse
import os
import signal
import sys
import time
import traceback
from dataclasses import asdict
from inspect import getdoc, getmodule
from pathlib import Path
from random import Random
from shutil import rmtree
from tempfile import mkdtemp

from bench import page, postgres, results, scale_page
from bench.events import make_pool
from bench.parts import PARTS
from bench.plan import FULL, QUICK, Ground, say
from bench.processes import choose_cores

PAGE = Path(__file__).parent.parent / "docs" / "BENCH.md"


def main() -> int:
    """0: measured, whatever the verdicts; 1: something could not be measured as it should."""
    options = _options()
    # So that whatever was started is stopped then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    cores = choose_cores()
    if cores.side == cores.client:
        say("ONE CORE ONLY: the client shares it with what is measured")
    os.sched_setaffinity(0, {cores.client})
    binaries = postgres.find_binaries()
    if binaries is None:
        say("POSTGRESQL IS NOT INSTALLED: nothing is measured against it")
    # Not /tmp, which may lie in memory, where fsync means nothing.
    directory = Path(mkdtemp(prefix="holdfast-bench-", dir=options.directory))
    directory.chmod(0o755)  # the user that runs PostgreSQL must be able to enter
    failed = []
    try:
        pool = make_pool(options.seed)
        for name in options.parts or PARTS:
            plan = QUICK if options.quick else FULL
            ground = Ground(plan, cores, directory, binaries, pool, Random(options.seed))
            try:
                _show(_run(name, ground), options)
            except Exception:
                # The other parts' hours are not to be lost by it.
                traceback.print_exc()
                failed.append(name)
    finally:
        rmtree(directory, ignore_errors=True)
    if failed:
        say(f"NOT MEASURED, see above: {', '.join(failed)}")
    return 1 if failed else 0


def _run(name: str, ground: Ground) -> results.Result:
    measure = PARTS[name]
    say(name)
    begin = time.monotonic()
    part = measure(ground)
    took_s = round(time.monotonic() - begin)
    say(f"  {name} took {took_s} s")
    around = results.surroundings(ground.directory, part.versions)
    about = getdoc(getmodule(measure)) or ""
    return results.Result(about, around, asdict(ground.plan), took_s, part)


def _show(result: results.Result, options: argparse.Namespace) -> None:
    """Print it; a run that means something is kept, and so is one that names a folder for it."""
    print(page.section(result))
    named = ((result.part.name, finding) for finding in result.part.findings)
    print(page.markdown(page.findings_table(named)), flush=True)
    if options.quick and not options.into:
        return
    kept = options.into or results.RESULTS
    results.keep(result, kept)
    target = options.into / PAGE.name if options.into else PAGE
    target.write_text(page.page(results.read(kept), PARTS), "utf-8")
    if not options.into:
        scale_page.main()  # it tells what follows from these figures


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"default: all, {', '.join(PARTS)}"
    )
    parser.add_argument("--quick", action="store_true", help="a smoke run; its figures mean little")
    parser.add_argument("--seed", type=int, default=1, help="of the events and of every order")
    parser.add_argument(
        "--into", type=Path, help="keep figures and page in this folder, not with the project's"
    )
    parser.add_argument(
        "--directory",
        type=Path,
        default=Path("/var/tmp"),
        help="where all sides keep their data meanwhile; a real disk",
    )
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
