"""The server: one process, many threads. `HOST` and `PORT` say where; beyond loopback only with an API key."""

import errno
import ipaddress
import os
import signal
import socket
import sys
from functools import partial
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from gunicorn.glogging import Logger

_environment = {**dotenv_values(".env"), **os.environ}
_host = _environment.get("IMAGE_PROCESSOR_HOST") or _environment.get("HOST") or "127.0.0.1"
_port = _environment.get("IMAGE_PROCESSOR_PORT") or _environment.get("PORT") or "8000"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


wsgi_app = "app:serve()"
bind = f"[{_host}]:{_port}" if ":" in _host else f"{_host}:{_port}"
workers = 1
worker_class = "gthread"
threads = 128  # threads cost little here: 48 clients that send a byte a second leave 80 for the others
graceful_timeout = 8
# By default a worker is killed when its main thread has not reported for 30 s. That ends a process that was suspended
# or migrates a large database, and misses HTTP threads that hang. Monitor /healthz instead.
timeout = 0
control_socket_disable = True  # it would be created in the home folder
accesslog = None
# Headers of a proxy are trusted as IMAGE_PROCESSOR_PROXIES says, not by gunicorn's own rules.
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""

# The `gunicorn` script has its own folder on the path, not this one.
sys.path.insert(0, str(Path(__file__).parent))

from image_processor.logs import formatter  # noqa: E402


class Log(Logger):  # type: ignore[misc]
    """gunicorn's log lines in the format of all others."""

    def setup(self, cfg: Any) -> None:
        """Set the formatter of the handlers."""
        super().setup(cfg)
        log_format = "json" if _environment.get("IMAGE_PROCESSOR_LOG_FORMAT") == "json" else "text"
        for handler in self.error_log.handlers:
            handler.setFormatter(formatter(log_format))


logger_class = Log


def on_starting(server: Any) -> None:
    """Refuse an address that is not safe or not free, whether HOST and PORT or `gunicorn --bind` set it."""
    addresses = [address for address in server.cfg.address if isinstance(address, tuple)]
    _refuse_public([address for address in addresses if not _is_loopback(address[0])])
    # The sockets of systemd, or of the server that this one replaces, listen already.
    if not (os.environ.get("LISTEN_FDS") or server.master_pid):
        for host, port in addresses:
            _refuse_busy(host, port, server.cfg.reuse_port)


def _refuse_public(public: list[tuple[str, int]]) -> None:
    if public and not _environment.get("IMAGE_PROCESSOR_API_KEY"):
        sys.exit(
            f"HOST is {public[0][0]!r}, which other machines can reach, but there is no IMAGE_PROCESSOR_API_KEY: "
            "anybody could use this server. Set a key of at least 16 characters, or leave HOST at 127.0.0.1."
        )


def _refuse_busy(host: str, port: int, reuse_port: bool) -> None:
    """gunicorn would try again for five seconds, each time with two lines in the log."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family, reuse_port=reuse_port).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            sys.exit(
                f"Port {port} of {host} is in use, perhaps by another SKUlight. Stop that program, or choose another "
                f"port: PORT={port + 1} make run"
            )


def post_worker_init(worker: Any) -> None:
    """Start processing. A signal to end stops it at once, not after the last HTTP response."""
    jobs = worker.app.callable.extensions["services"].worker
    jobs.start(next(filter(None, map(_url, worker.sockets)), None))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, partial(_end, jobs, signal.getsignal(number)))
    worker.log.info("SKUlight is ready: %s", ", ".join(map(str, worker.sockets)))


def _url(listener: Any) -> str | None:
    """The base URL of a TCP socket, for this machine; None for a Unix socket."""
    if listener.FAMILY not in (socket.AF_INET, socket.AF_INET6):
        return None
    host, port = listener.getsockname()[:2]
    return str(listener) if _is_loopback(host) else f"http://127.0.0.1:{port}"


def _end(jobs: Any, end_serving: Any, number: int, frame: Any) -> None:
    jobs.stop()
    end_serving(number, frame)


def worker_exit(server: Any, worker: Any) -> None:
    """Stop processing."""
    application = getattr(worker, "wsgi", None)  # absent when the start was refused
    if application is not None:
        application.extensions["services"].worker.stop()
