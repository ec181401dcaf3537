"""Show that the numbers are exact; exit 1 on any difference.

    DATABASE_URL=postgres://… python -m benchmarks.exactness [--scale 0.05] [CASE…]

Makes a database of its own on that server and starts a Redis of its own (redis-server must be installed).
"""

import argparse
import os
import sys
import time
from collections.abc import Callable

from benchmarks.exactness.cases import budget, cache, hang_ups, rate_limit, redis_killed, web_killed, worker_killed
from benchmarks.exactness.report import Report
from benchmarks.exactness.stage import Stage, Stalled

Case = Callable[[Stage, float], Report]
CASES: dict[str, Case] = {
    "budget": budget.show,
    "hang-ups": hang_ups.show,
    "rate-limit": rate_limit.show,
    "cache": cache.show,
    "web-killed": web_killed.show,
    "worker-killed": worker_killed.show,
    "redis-emptied": redis_killed.show_emptied,
    "redis-rolled-back": redis_killed.show_rolled_back,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="size of the cases; 1 is the full size")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}; all unless given")
    arguments = parser.parse_args()
    if unknown := set(arguments.cases) - set(CASES):
        parser.error(f"no such case: {', '.join(sorted(unknown))}. There are {', '.join(CASES)}.")
    if not os.environ.get("DATABASE_URL"):
        parser.error("set DATABASE_URL to a database on the Postgres server to use.")
    with Stage(os.environ["DATABASE_URL"]) as stage:
        sys.exit(1 if show(stage, arguments.cases or list(CASES), arguments.scale) else 0)


def show(stage: Stage, names: list[str], scale: float) -> int:
    """Run the cases one after the other; returns how many differences there were."""
    differences = 0
    for name in names:
        began = time.monotonic()
        report = _report(CASES[name], stage, scale)
        report.figures["seconds"] = f"{time.monotonic() - began:.0f}"
        differences += len(report.differences)
        print(report, flush=True)
    print("No difference." if not differences else f"{differences} differences.")
    return differences


def _report(case: Case, stage: Stage, scale: float) -> Report:
    try:
        return case(stage, scale)
    except Stalled as stalled:
        return Report(case.__module__, differences=[str(stalled)])


if __name__ == "__main__":
    main()
