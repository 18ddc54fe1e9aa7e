"""gunicorn's configuration for Plumbline, whose settings it validates first (docs/configuration.md)."""

import gc as _gc
import os as _os
import signal as _signal
import socket as _socket
import sys as _sys
from pathlib import Path as _Path

_sys.path.insert(0, str(_Path(__file__).parent))

from models.threads import ONE_THREAD as _ONE_THREAD

for _name, _value in _ONE_THREAD.items():
    _os.environ.setdefault(_name, _value)

from app import config as _config  # noqa: E402
from app import credentials as _credentials  # noqa: E402
from app.config.under_gunicorn import note_that_it_was_read as _note_that_it_was_read  # noqa: E402
from app.host import marks as _marks  # noqa: E402
from app.host import run_dir as _run_dirs  # noqa: E402
from models import talk as _talk  # noqa: E402

try:
    _settings = _config.load_settings()
    _credentials.read_key(_settings)
    _credentials.read_admin_tokens(_settings)
    if _settings.run_dir is not None:
        _run_dirs.make_run_dir(_settings.run_dir)
except (_config.ConfigError, _run_dirs.RunDirError) as _error:
    # End the server before it forks: gunicorn would restart a worker that fails like this again and again.
    raise SystemExit(f"plumbline: {_error}") from _error

_note_that_it_was_read()

bind = _settings.bind
workers = _settings.workers
worker_class = {"plumbline": "app.worker.PlumblineWorker", "gevent": "app.worker.GreenletWorker"}[
    _settings.worker_class
]
worker_connections = _settings.worker_connections
worker_tmp_dir = "/dev/shm" if _os.access("/dev/shm", _os.W_OK) else None
backlog = _settings.backlog
timeout = _settings.worker_timeout_seconds
graceful_timeout = _settings.graceful_timeout_seconds
keepalive = _settings.keepalive_seconds

# The Python parser is the strict one: it refuses bare line feeds, folded lines and repeated blanks.
http_parser = "python"
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190
control_socket_disable = True
# No header may set SCRIPT_NAME or PATH_INFO. gunicorn's default trusts those of a local proxy.
forwarder_headers = ""
# PLUMBLINE_PROXY_HOPS alone decides which headers of proxies count. gunicorn's default trusts a local proxy.
secure_scheme_headers = {}
preload_app = False

loglevel = _settings.log_level
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {"format": "%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s"},
    },
    "handlers": {
        "errors": {"class": "logging.StreamHandler", "formatter": "plain", "stream": "ext://sys.stderr"},
    },
    "root": {"level": _settings.log_level.upper(), "handlers": ["errors"]},
    "loggers": {
        "gunicorn.error": {"level": _settings.log_level.upper(), "handlers": ["errors"], "propagate": False},
        "gunicorn.access": {"handlers": [], "propagate": False},
    },
}


if _settings.worker_class != "plumbline":
    # Plumbline's worker runs the same check itself.

    def pre_request(worker, req):
        """Refuse requests that violate RFC 9110 or 9112 and that gunicorn's parser accepts."""
        from app.worker.strictness import check

        check(req)


def on_starting(server):
    """Load the models that workers share."""
    _share(server)


def when_ready(server):
    """Claim the run directory, whose name depends on the addresses at which the server now listens."""
    if _settings.worker_class != "plumbline":
        # The kernel ends connections whose client stops reading its reply. Plumbline's worker does it itself.
        for listener in server.LISTENERS:
            if listener.FAMILY != _socket.AF_UNIX:
                milliseconds = int(_settings.body_timeout_seconds * 1000)
                listener.sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_USER_TIMEOUT, milliseconds)
    try:
        server.run_dir = _take_run_dir(server)
    except _run_dirs.RunDirError as error:
        raise SystemExit(f"plumbline: {error}") from error


def _take_run_dir(server):
    listening = [listener.getsockname() for listener in server.LISTENERS]
    # With reuse_port the workers open the listening sockets, so the server has none.
    owner = _run_dirs.Server.of(listening or server.cfg.address, _settings.store)
    return _run_dirs.take_run_dir(_settings.run_dir or _run_dirs.default_run_dir(owner), owner)


def on_reload(server):
    """Update the run directory and the shared models, while the old workers serve."""
    previous = server.run_dir
    try:
        server.run_dir = _take_run_dir(server)
        previous.release()
    except _run_dirs.RunDirError as error:
        server.log.error("%s", error)
    shared = getattr(server, "shared", None)
    if shared is not None and (changed := shared.changed_code(_Path(__file__).parent)):
        server.log.error(
            "%s changed since the server started, and a reload does not load new code while models are "
            "shared: restart the server, or send SIGUSR2",
            ", ".join(changed),
        )
    _share(server)


def _share(server):
    if not _settings.share_models:
        return
    # Imported late: without sharing the parent process needs neither NumPy nor the libraries of models.
    from app.catalog.routing import LoadingPolicy
    from app.catalog.shared import Shared
    from app.catalog.snapshot import read_snapshot
    from models.store import Store

    # A reload executes this file again, so the shared models are kept on the server object.
    server.shared = getattr(server, "shared", None) or Shared()
    store = Store(_settings.store, key=_credentials.read_key(_settings))
    policy = LoadingPolicy(_settings.loading, _settings.model_loading)
    try:
        with _talk.aside():
            server.shared.refresh(
                store,
                read_snapshot(store, _settings.default_model),
                policy,
                _settings.share_trial_seconds,
                lambda: _is_ending(server),
            )
    except KeyboardInterrupt:
        raise SystemExit(1) from None
    except Exception:
        server.log.exception("no model is shared")
        server.shared = Shared()


def _is_ending(server):
    """Return whether a signal to shut down is pending, so that loading more models is a waste."""
    pending = []
    while not server.SIG_QUEUE.empty():
        pending.append(server.SIG_QUEUE.get_nowait())
    for number in pending:
        server.SIG_QUEUE.put(number)
    return not {_signal.SIGTERM, _signal.SIGINT, _signal.SIGQUIT}.isdisjoint(pending)


def post_fork(server, worker):
    """Give the worker the shared models, and the queue of signals that arrive before it can handle them."""
    worker.early_signals = server.SIG_QUEUE
    worker.run_dir = server.run_dir.path
    worker.shared = getattr(server, "shared", None)
    if worker.shared is not None:
        worker.shared.begin_worker()


def post_worker_init(worker):
    """Begin to load models in the worker."""
    # gunicorn's handlers of these signals raise SystemExit in a greenlet, which prints a traceback at every
    # Ctrl-C.
    for number in (_signal.SIGINT, _signal.SIGQUIT):
        _signal.signal(number, worker.handle_exit)
    # A signal to shut down that arrived between the fork and the handlers would be lost, and the server would
    # wait for this worker.
    while not worker.early_signals.empty():
        if worker.early_signals.get_nowait() in (_signal.SIGTERM, _signal.SIGINT, _signal.SIGQUIT):
            worker.alive = False

    output = _talk.take_standard_output()

    def ready():
        # Freeze the loaded objects so that the garbage collector does not scan them again. Requests leave few
        # cycles, so collections may be rare.
        _gc.collect()
        _gc.freeze()
        _gc.set_threshold(10_000, 20, 50)
        if _settings.banner and worker.age == 1:
            from app.banner import banner  # here, because the parent process does without the store

            print(banner(_settings), file=output, flush=True)

    worker.wsgi.start(worker.run_dir, ready, lambda: not worker.alive, worker.shared, output)


def on_exit(server):
    """Remove the run directory, which is kept in memory."""
    server.run_dir.leave()


def worker_abort(worker):
    """Remember that gunicorn ends the worker because it stopped responding.

    The mark of a model that it was loading stays, so that the next worker verifies that model before it loads
    it.
    """
    worker.was_blocked = True


def worker_exit(server, worker):
    """Release the models and the worker's slot."""
    if not getattr(worker, "was_blocked", False):
        _marks.forget(server.run_dir.path, _os.getpid())
    close = getattr(worker.wsgi, "close", None) if hasattr(worker, "wsgi") else None
    if close is not None:
        close()
