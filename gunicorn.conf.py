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
threads = 128  # threads are cheap here: 48 clients that send a byte a second leave 80 for the others
graceful_timeout = 8
# By default a worker is killed when its main thread has not reported for 30 s. That hits a process that was only
# frozen, or that migrates a large database, and misses request threads that hang. Monitor /healthz instead.
timeout = 0
control_socket_disable = True  # it would lie in the home folder
accesslog = None
# What a proxy in front says is believed by IMAGE_PROCESSOR_PROXIES only, not by gunicorn's own ideas.
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""

# The `gunicorn` script knows its own folder, not yet this one.
sys.path.insert(0, str(Path(__file__).parent))

from image_processor.logs import formatter  # noqa: E402


class Log(Logger):  # type: ignore[misc]
    """gunicorn's own lines in the form of all others."""

    def setup(self, cfg: Any) -> None:
        """Set the handlers up, as text unless JSON is asked for."""
        super().setup(cfg)
        as_json = _environment.get("IMAGE_PROCESSOR_LOG_FORMAT") == "json"
        for handler in self.error_log.handlers:
            handler.setFormatter(formatter("json" if as_json else "text"))


logger_class = Log


def on_starting(server: Any) -> None:
    """Refuse to be reachable for others without a key, wherever the address came from."""
    public = [address for address in server.cfg.address if isinstance(address, tuple) and not _is_loopback(address[0])]
    if public and not _environment.get("IMAGE_PROCESSOR_API_KEY"):
        sys.exit(
            f"HOST is {public[0][0]!r}, which other machines can reach, but there is no IMAGE_PROCESSOR_API_KEY: "
            "anybody could use this server. Set a key of at least 16 characters, or leave HOST at 127.0.0.1."
        )


def post_worker_init(worker: Any) -> None:
    """The process is up: begin to work. A signal to end reaches the work at once, not after the last HTTP answer."""
    work = worker.app.callable.extensions["worker"]
    work.start()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, partial(_end, work, signal.getsignal(number)))


def _end(work: Any, end_serving: Any, number: int, frame: Any) -> None:
    work.stop()
    end_serving(number, frame)


def worker_exit(server: Any, worker: Any) -> None:
    """The process ends: begin nothing more."""
    application = getattr(worker, "wsgi", None)  # absent when the start was refused
    if application is not None:
        application.extensions["worker"].stop()
