"""The concurrency interface of serving, implemented for greenlets and for native threads.

In gunicorn's workers everything runs in greenlets of one thread, so nothing else happens between two waits.
Elsewhere (the command line, other front ends) everything runs on native threads.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import Any, Protocol, TypeVar

import gevent
from gevent import get_hub, getcurrent, monkey
from gevent.lock import BoundedSemaphore

from app.concurrency.background import activity, in_background, now, on_pool
from app.concurrency.polling import is_ready

T = TypeVar("T")

#: Callbacks to run before a call that blocks the event loop; see ``before_blocking``.
_before_blocking: list[Callable[[], None]] = []
#: Set by ``use_greenlets``.
_greenlets = False


class Lock(Protocol):
    """A mutual exclusion lock, used as a context manager."""

    def __enter__(self) -> Any:
        """Wait for the lock and acquire it."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Release the lock."""


class Waiter(Protocol):
    """One wait of the greenlet or thread that created it."""

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for ``wake``; return False when it was not called within ``seconds``."""

    def settle(self, seconds: float) -> None:
        """Wait for ``wake``, or until every other greenlet that can run has run, at most ``seconds``."""

    def wake(self) -> None:
        """End the wait, even before it begins. Any greenlet or thread may call this."""


def not_awaited() -> bool:
    """Return False: no client waits for the result."""
    return False


class Concurrency(Protocol):
    """What the engine needs from its surroundings. Tests implement it with their own clock and schedule."""

    def spawn(self, run: Callable[[], None]) -> None:
        """Run the function concurrently; the end of the process ends it."""

    def lock(self) -> Lock:
        """Return a new lock, which may be held during a wait."""

    def mutex(self) -> AbstractContextManager[Any]:
        """Return a lock for a few statements without a wait."""

    def waiter(self) -> Waiter:
        """Return a new wait of the caller."""

    def wake(self, waiters: Sequence[Any]) -> None:
        """Call ``wake`` of every waiter."""

    def now(self) -> float:
        """Return monotonic time in seconds."""

    def pause(self, seconds: float) -> None:
        """Let other work run for ``seconds``."""

    def inline(self, call: Callable[[], T]) -> T:
        """Call the function on the current thread, even if that blocks the event loop.

        The callbacks of ``before_blocking`` run first.
        """

    def on_thread(self, call: Callable[[], T]) -> T:
        """Call the function on a native thread and wait for its result; other work goes on."""

    def in_background(self, call: Callable[[], T], awaited: Callable[[], bool] = not_awaited) -> T:
        """Call a long function, such as loading a model, on a native thread that gives way to requests.

        ``awaited`` tells whether a client waits for the result; it is called repeatedly.
        """

    def note_request(self) -> None:
        """Record a request for a prediction, so that background threads give way to the next ones."""


class Threads:
    """Native threads. gevent's workers use Greenlets instead."""

    def spawn(self, run: Callable[[], None]) -> None:
        """Start a daemon thread."""
        threading.Thread(target=run, daemon=True, name=getattr(run, "__name__", "plumbline")).start()

    def lock(self) -> Lock:
        """Return a threading.Lock."""
        return threading.Lock()

    def mutex(self) -> AbstractContextManager[Any]:
        """Return a threading.Lock."""
        return threading.Lock()

    def waiter(self) -> Waiter:
        """Return a wait on a threading.Event."""
        return _ThreadWaiter()

    def wake(self, waiters: Sequence[Any]) -> None:
        """Wake the waiters one after the other."""
        for waiter in waiters:
            waiter.wake()

    def now(self) -> float:
        """Return time.perf_counter()."""
        return time.perf_counter()

    def pause(self, seconds: float) -> None:
        """Call time.sleep()."""
        time.sleep(seconds)

    def inline(self, call: Callable[[], T]) -> T:
        """Call the function; with threads nothing is deferred that would have to run first."""
        return call()

    def on_thread(self, call: Callable[[], T]) -> T:
        """Call the function; the caller runs on a native thread."""
        return call()

    def in_background(self, call: Callable[[], T], awaited: Callable[[], bool] = not_awaited) -> T:
        """Call the function; the caller runs on a native thread."""
        return call()

    def note_request(self) -> None:
        """Do nothing; there are no background threads."""


class _ThreadWaiter:
    """A wait on a threading.Event."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def wait(self, seconds: float | None = None) -> bool:
        return self._event.wait(seconds)

    def settle(self, seconds: float) -> None:
        """Do nothing: other threads join the queue by themselves while one of them computes."""

    def wake(self) -> None:
        self._event.set()


class Greenlets(Threads):
    """Greenlets of one thread, driven by gevent's event loop."""

    def spawn(self, run: Callable[[], None]) -> None:
        """Start a greenlet."""
        gevent.spawn(run)

    def lock(self) -> Lock:
        """Return a lock of gevent's.

        Python's own would block the event loop, and with it the holder of the lock.
        """
        lock: Lock = BoundedSemaphore()
        return lock

    def pause(self, seconds: float) -> None:
        """Call gevent.sleep()."""
        gevent.sleep(seconds)

    def mutex(self) -> AbstractContextManager[Any]:
        """Return a context that does nothing: no other greenlet runs before the next wait."""
        return nullcontext()

    def waiter(self) -> Waiter:
        """Return a wait that switches to the event loop."""
        return _GreenletWaiter()

    def wake(self, waiters: Sequence[_GreenletWaiter]) -> None:
        """Wake the waiters with one callback of the loop; a wait that has not begun returns at once."""
        waiting = []
        for waiter in waiters:
            waiter.woken = True
            if waiter.waiting:
                waiting.append(waiter)
        if waiting:
            waiting[0].hub.loop.run_callback(_resume, waiting)

    def inline(self, call: Callable[[], T]) -> T:
        """Call the function on the event loop's thread, after the callbacks of ``before_blocking``."""
        for callback in _before_blocking:
            callback()
        return call()

    def on_thread(self, call: Callable[[], T]) -> T:
        """Call the function on gevent's pool of native threads."""
        with activity.calling():
            return on_pool(get_hub().threadpool, call)

    def in_background(self, call: Callable[[], T], awaited: Callable[[], bool] = not_awaited) -> T:
        """Call the function on a native thread that sleeps while the event loop is busy."""
        return in_background(call, awaited)

    def note_request(self) -> None:
        """Record the time for background threads."""
        activity.request_times.append(now())


@contextmanager
def before_blocking(callback: Callable[[], None]) -> Iterator[None]:
    """Run ``callback`` before every blocking call while this context is open.

    The callback flushes what is deferred to the end of the loop iteration, which a blocking call would delay.
    It must not wait.
    """
    _before_blocking.append(callback)
    try:
        yield
    finally:
        _before_blocking.remove(callback)


def _resume(waiters: Sequence[_GreenletWaiter]) -> None:
    for waiter in waiters:
        waiter.resume()


class _GreenletWaiter:
    """A wait that switches to the event loop, which switches back in a callback."""

    __slots__ = ("_greenlet", "hub", "waiting", "woken")

    def __init__(self) -> None:
        self.hub = get_hub()
        self._greenlet = getcurrent()
        self.waiting = self.woken = False

    def wait(self, seconds: float | None = None) -> bool:
        if self.woken:
            return True
        if seconds is None:
            self._switch()
        else:
            with self.hub.loop.timer(seconds) as timer:
                timer.start(self.resume)
                self._switch()
        return self.woken

    def settle(self, seconds: float) -> None:
        """Wait until an iteration of the loop finds no event, so that all sockets were read.

        libev calls an idle watcher only then.
        """
        loop = self.hub.loop
        # The loop's own descriptor is readable when another greenlet has something to do.
        if self.woken or not is_ready(loop.fileno(), select.POLLIN):
            return
        with loop.idle() as idle, loop.timer(seconds) as timer:
            idle.start(self.resume)
            timer.start(self.resume)
            self._switch()

    def wake(self) -> None:
        if not self.woken:
            self.woken = True
            self.hub.loop.run_callback(self.resume)

    def _switch(self) -> None:
        self.waiting = True
        try:
            self.hub.switch()
        finally:
            self.waiting = False

    def resume(self) -> None:
        if self.waiting:
            self._greenlet.switch()


def use_greenlets() -> None:
    """Make this process wait in greenlets of one thread from now on."""
    global _greenlets
    _greenlets = True


def runs_greenlets() -> bool:
    """Return whether this process runs greenlets, so that long work must not block the thread.

    Plumbline's workers call ``use_greenlets``; gunicorn's own gevent worker patches the standard library
    instead.
    """
    return _greenlets or bool(monkey.is_module_patched("threading"))


def concurrency_of_this_process() -> Concurrency:
    """Return Greenlets where this process runs greenlets, and Threads elsewhere."""
    return Greenlets() if runs_greenlets() else Threads()
