"""Several web processes on one address, forked from this one, which only looks after them."""

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

from uvicorn.config import STARTUP_FAILURE

STOPS = {signal.SIGTERM, signal.SIGINT}
# Before one that died is replaced, so that whatever kills them all does not keep a core busy.
PAUSE_S = 0.5

logger = logging.getLogger(__name__)


class Workers:
    """Replaces a worker that dies; ends when SIGTERM or SIGINT comes, or the first ones cannot start.

    A worker still there `patience_s` after the signal is killed. The kernel spreads connections over their sockets.
    """

    def __init__(self, count: int, serve: Callable[[], None], patience_s: float) -> None:
        self._count = count
        self._serve = serve
        self._patience_s = patience_s
        self._first: set[int] = set()
        self._alive: set[int] = set()
        self._is_stopping = False
        self._failed = False

    def run(self) -> None:
        """Raises SystemExit in the workers when they end, and here if they could not start."""
        for stop in STOPS:
            signal.signal(stop, self._stop)
        signal.signal(signal.SIGALRM, self._kill)
        for _ in range(self._count):
            self._fork()
        self._first = set(self._alive)
        while self._alive:
            pid, status = os.wait()
            self._alive.discard(pid)
            self._bury(pid, os.waitstatus_to_exitcode(status))
        if self._failed:
            sys.exit(STARTUP_FAILURE)

    def _bury(self, pid: int, code: int) -> None:
        if self._is_stopping:
            return
        if code == STARTUP_FAILURE and pid in self._first:
            self._failed = True
            self._stop(signal.SIGTERM, None)
            return
        logger.error("Web process %d ended with code %d; another one takes its place.", pid, code)
        time.sleep(PAUSE_S)
        if not self._is_stopping:
            self._fork()

    def _fork(self) -> None:
        # A signal between the fork and what follows would reach a worker that still has this process's handlers.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        pid = os.fork()
        if pid == 0:
            for stop in (*STOPS, signal.SIGALRM):
                signal.signal(stop, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
            self._serve()
            sys.exit()
        self._alive.add(pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)

    def _stop(self, signum: int, frame: FrameType | None) -> None:
        self._is_stopping = True
        self._tell(signal.SIGTERM)
        signal.setitimer(signal.ITIMER_REAL, self._patience_s)

    def _kill(self, signum: int, frame: FrameType | None) -> None:
        logger.error("Killing %d web processes that do not stop.", len(self._alive))
        self._tell(signal.SIGKILL)

    def _tell(self, signum: signal.Signals) -> None:
        for pid in self._alive:
            with contextlib.suppress(ProcessLookupError):  # ended in this very moment
                os.kill(pid, signum)
