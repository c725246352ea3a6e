"""The server: one process, many threads. `HOST` and `PORT` say where; beyond loopback only with an API key."""

import ipaddress
import os
import signal
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
    """Refuse to listen beyond loopback without an API key, whether HOST or `gunicorn --bind` set the address."""
    public = [address for address in server.cfg.address if isinstance(address, tuple) and not _is_loopback(address[0])]
    if public and not _environment.get("IMAGE_PROCESSOR_API_KEY"):
        sys.exit(
            f"HOST is {public[0][0]!r}, which other machines can reach, but there is no IMAGE_PROCESSOR_API_KEY: "
            "anybody could use this server. Set a key of at least 16 characters, or leave HOST at 127.0.0.1."
        )


def post_worker_init(worker: Any) -> None:
    """Start processing. A signal to end stops it at once, not after the last HTTP response."""
    jobs = worker.app.callable.extensions["services"].worker
    jobs.start()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, partial(_end, jobs, signal.getsignal(number)))
    worker.log.info("SKUlight is ready: %s", ", ".join(map(str, worker.sockets)))


def _end(jobs: Any, end_serving: Any, number: int, frame: Any) -> None:
    jobs.stop()
    end_serving(number, frame)


def worker_exit(server: Any, worker: Any) -> None:
    """Stop processing."""
    application = getattr(worker, "wsgi", None)  # absent when the start was refused
    if application is not None:
        application.extensions["services"].worker.stop()
