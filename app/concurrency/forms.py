"""The one seam to greenlets and threads: what serving needs of its surroundings, in a form for each.

In gunicorn's workers everything runs in greenlets of one thread, so nothing happens between two waits. Elsewhere (the
command line, other front ends) there are native threads.
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

from app.concurrency.background import hub, in_background, now, on_pool
from app.concurrency.polling import is_ready

T = TypeVar("T")

#: What is done before the thread is held up; see ``before_blocking``.
_before_blocking: list[Callable[[], None]] = []
#: Set by ``use_greenlets``.
_greenlets = False


class Lock(Protocol):
    """A mutual exclusion lock, used as a context manager."""

    def __enter__(self) -> Any:
        """Wait for the lock and take it."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Give it back."""


class Waiter(Protocol):
    """One wait of the greenlet or thread that made it."""

    def wait(self, seconds: float | None = None) -> bool:
        """Until ``wake``; False when that did not come in time."""

    def settle(self, seconds: float) -> None:
        """Until ``wake``, or until everything that is ready has had its turn, at most so long."""

    def wake(self) -> None:
        """End the wait, also one that has not begun. From any greenlet, or from any thread."""


def not_awaited() -> bool:
    """Waits."""
    return False


class Concurrency(Protocol):
    """What the engine needs from its surroundings; tests give it a clock and a schedule of their own."""

    def spawn(self, run: Callable[[], None]) -> None:
        """Run it beside everything else; it dies with the process."""

    def lock(self) -> Lock:
        """A new lock, which may be held while waiting."""

    def mutex(self) -> AbstractContextManager[Any]:
        """A lock for a few statements that do not wait."""

    def waiter(self) -> Waiter:
        """A wait of the caller."""

    def wake(self, waiters: Sequence[Any]) -> None:
        """``wake`` all of them."""

    def now(self) -> float:
        """Monotonic time in seconds."""

    def pause(self, seconds: float) -> None:
        """Let everything else go on for so long."""

    def inline(self, call: Callable[[], T]) -> T:
        """Call it here, whoever waits meanwhile; what others have put off until the end of their turn goes first."""

    def on_thread(self, call: Callable[[], T]) -> T:
        """Call it on a native thread, and wait for that; everything else goes on."""

    def in_background(self, call: Callable[[], T], awaited: Callable[[], bool] = not_awaited) -> T:
        """``on_thread`` for what takes long and is written in Python, such as loading a model: requests go first.

        ``awaited`` : whether a client waits for it; asked now and then.
        """

    def note_request(self) -> None:
        """A client asks a model: more of them may come, and what is in the background is to let them go first."""


class Threads:
    """Native threads. In gevent's workers use Greenlets."""

    def spawn(self, run: Callable[[], None]) -> None:
        """A daemon thread."""
        threading.Thread(target=run, daemon=True, name=getattr(run, "__name__", "plumbline")).start()

    def lock(self) -> Lock:
        """A threading.Lock."""
        return threading.Lock()

    def mutex(self) -> AbstractContextManager[Any]:
        """A threading.Lock."""
        return threading.Lock()

    def waiter(self) -> Waiter:
        """A threading.Event."""
        return _ThreadWaiter()

    def wake(self, waiters: Sequence[Any]) -> None:
        """One after the other."""
        for waiter in waiters:
            waiter.wake()

    def now(self) -> float:
        """time.perf_counter()."""
        return time.perf_counter()

    def pause(self, seconds: float) -> None:
        """time.sleep()."""
        time.sleep(seconds)

    def inline(self, call: Callable[[], T]) -> T:
        """Nothing is put off here."""
        return call()

    def on_thread(self, call: Callable[[], T]) -> T:
        """The caller is a native thread already."""
        return call()

    def in_background(self, call: Callable[[], T], awaited: Callable[[], bool] = not_awaited) -> T:
        """The caller is a native thread already."""
        return call()

    def note_request(self) -> None:
        """Nothing is in the background."""


class _ThreadWaiter:
    """While one thread computes, the others queue by themselves: there is nothing to settle."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def wait(self, seconds: float | None = None) -> bool:
        return self._event.wait(seconds)

    def settle(self, seconds: float) -> None:
        pass

    def wake(self) -> None:
        self._event.set()


class Greenlets(Threads):
    """Greenlets of this thread, beside gevent's hub."""

    def spawn(self, run: Callable[[], None]) -> None:
        """A greenlet."""
        gevent.spawn(run)

    def lock(self) -> Lock:
        """One of gevent's: Python's own would hold up the hub, and with it whoever holds the lock."""
        lock: Lock = BoundedSemaphore()
        return lock

    def pause(self, seconds: float) -> None:
        """gevent.sleep()."""
        gevent.sleep(seconds)

    def mutex(self) -> AbstractContextManager[Any]:
        """Nothing: no other greenlet runs before the next wait."""
        return nullcontext()

    def waiter(self) -> Waiter:
        """A switch to the hub."""
        return _GreenletWaiter()

    def wake(self, waiters: Sequence[_GreenletWaiter]) -> None:
        """With one callback for all that wait; those that have not begun to will not."""
        waiting = []
        for waiter in waiters:
            waiter.woken = True
            if waiter.waiting:
                waiting.append(waiter)
        if waiting:
            waiting[0].hub.loop.run_callback(_resume, waiting)

    def inline(self, call: Callable[[], T]) -> T:
        """On the hub's thread."""
        for do in _before_blocking:
            do()
        return call()

    def on_thread(self, call: Callable[[], T]) -> T:
        """On the hub's pool of native threads."""
        with hub.calling():
            return on_pool(get_hub().threadpool, call)

    def in_background(self, call: Callable[[], T], awaited: Callable[[], bool] = not_awaited) -> T:
        """On a native thread that rests while the hub is busy."""
        return in_background(call, awaited)

    def note_request(self) -> None:
        """Noted for threads in the background."""
        hub.asked.append(now())


@contextmanager
def before_blocking(do: Callable[[], None]) -> Iterator[None]:
    """Meanwhile something is put off to the end of each turn of the loop; ``do`` does it at once, without a wait. It is
    called before a greenlet holds up the others: what was put off would be late then."""
    _before_blocking.append(do)
    try:
        yield
    finally:
        _before_blocking.remove(do)


def _resume(waiters: Sequence[_GreenletWaiter]) -> None:
    for waiter in waiters:
        waiter.resume()


class _GreenletWaiter:
    """A switch to the hub, and a callback that switches back."""

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
        """libev calls an idle watcher when a turn of its loop has brought no event: then all sockets are read."""
        loop = self.hub.loop
        # The loop's own descriptor has events when anybody else has something to do.
        if self.woken or not is_ready(loop.fileno(), select.POLLIN):
            return
        with loop.idle() as quiet, loop.timer(seconds) as timer:
            quiet.start(self.resume)
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
    """From now on everything in this process that waits does so in greenlets of one thread."""
    global _greenlets
    _greenlets = True


def runs_greenlets() -> bool:
    """Whether this process runs greenlets, so that long work must be cut into slices: a worker of ours says so, and under
    gunicorn's own gevent worker the standard library is patched."""
    return _greenlets or bool(monkey.is_module_patched("threading"))


def concurrency_of_this_process() -> Concurrency:
    """The form that fits this process."""
    return Greenlets() if runs_greenlets() else Threads()
