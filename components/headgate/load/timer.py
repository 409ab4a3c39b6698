"""A timer that is exact to microseconds: event loops round to milliseconds, which would show in every latency."""

import asyncio
import ctypes
import os
import sys
import time
from collections.abc import Callable

_CLOCK_MONOTONIC, _ABSOLUTE = 1, 1
_NONBLOCK_CLOEXEC = os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)

#: The clock that alarms are set by, in seconds: that of `time.monotonic`.
clock = time.monotonic


class _Spec(ctypes.Structure):
    """struct itimerspec: an interval, which stays zero, and the instant."""

    _fields_ = (("every", ctypes.c_long * 2), ("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class Timer:
    """Calls `ring` at one instant at a time; a new instant takes the place of the one before.

    Linux's timerfd. Elsewhere the loop's own timer, which may be a millisecond late: the latency then has it in it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        """Ring in `loop`."""
        self._loop, self._ring = loop, ring
        self._timer: asyncio.TimerHandle | None = None
        self._file = -1
        if sys.platform == "linux":
            self._c = ctypes.CDLL(None, use_errno=True)
            self._file = self._c.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC)
        if self._file >= 0:
            self._spec = _Spec()
            self._pointer = ctypes.byref(self._spec)
            loop.add_reader(self._file, ring)

    def set(self, instant: float) -> None:
        """Ring at `instant` of `clock`; at once if it has passed."""
        if self._file >= 0:
            # Setting it also takes back a ring that was not waited for: nothing has to be read.
            self._spec.seconds, self._spec.nanoseconds = divmod(max(int(instant * 1e9), 1), 1_000_000_000)
            self._c.timerfd_settime(self._file, _ABSOLUTE, self._pointer, None)
            return
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_later(max(0.0, instant - clock()), self._ring)

    def close(self) -> None:
        """Ring no more."""
        if self._timer:
            self._timer.cancel()
        if self._file >= 0:
            self._loop.remove_reader(self._file)
            os.close(self._file)
            self._file = -1
