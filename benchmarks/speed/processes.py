"""The processes of a server: on which core they run, and what CPU and memory they use.

CPU time comes from /proc/PID/stat, in ticks of 10 ms: it is what the kernel charged to the processes, so that it means
the same on a machine that others use, too.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.exactness.stage import Process

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cores:
    """Servers that are measured run on the one, everything else (load, provider, databases of ours) on the other."""

    server: int
    other: int

    @classmethod
    def choose(cls) -> "Cores":
        available = sorted(os.sched_getaffinity(0))
        return cls(available[0], available[-1])


def pinned(core: int, command: list[str]) -> list[str]:
    taskset = shutil.which("taskset") or "taskset"
    return [taskset, "--cpu-list", str(core), *command]


def tree(pid: int) -> Iterator[int]:
    """The process and all below it."""
    yield pid
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from tree(int(child))


def cpu_s(process: Process) -> float:
    """What the processes have used so far, in user and kernel mode."""
    ticks = 0
    for pid in tree(process.popen.pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks * TICK_S


def memory_mb(process: Process) -> float:
    """Resident memory of the largest process: the one that serves."""
    return max(_resident_kb(pid) for pid in tree(process.popen.pid)) / 1024


def _resident_kb(pid: int) -> int:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0


@dataclass
class Meter:
    """CPU seconds that a server used inside a `with` block, and how long that was."""

    process: Process | None
    cpu_s: float = 0.0
    wall_s: float = 0.0

    def __enter__(self) -> "Meter":
        self._began, self._cpu = time.perf_counter(), cpu_s(self.process) if self.process else 0.0
        return self

    def __exit__(self, *error: object) -> None:
        self.wall_s = time.perf_counter() - self._began
        self.cpu_s = cpu_s(self.process) - self._cpu if self.process else 0.0
