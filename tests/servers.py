"""Real servers on loopback for the tests: an image host, a webhook receiver, and SKUlight itself under gunicorn."""

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import requests

ROOT = Path(__file__).parent.parent
T = TypeVar("T")


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(ask: Callable[[], T | None], seconds: float = 300.0, every: float = 0.02) -> T:
    """Ask until the answer is true; fail after `seconds`, which are minutes: no test measures the machine."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := ask():
            return answer
        time.sleep(every)
    raise AssertionError(f"nothing came within {seconds} s")


def is_running(pid: int) -> bool:
    """Whether a process exists and has not ended (a zombie has)."""
    return _proc(pid, "stat").rpartition(b")")[2].split()[:1] not in ([], [b"Z"])


def cpu_time(pid: int) -> int:
    """What a process has used, in clock ticks; 0 when it is gone."""
    fields = _proc(pid, "stat").rpartition(b")")[2].split()
    return int(fields[11]) + int(fields[12]) if fields else 0


def session(leader: int) -> list[int]:
    """The processes of a session, by pid."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [pid for pid in pids if _proc(pid, "stat").rpartition(b")")[2].split()[3:4] == [str(leader).encode()]]


def _proc(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


@dataclass
class Page:
    """What the image host answers for one path, after a `delay` in seconds and once the event `after` is set."""

    body: bytes
    content_type: str = "image/jpeg"
    status: int = 200
    delay: float = 0.0
    after: threading.Event | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class ImageHost:
    """An image host: `pages` by path; `hits` counts what was asked for."""

    port: int = 0
    pages: dict[str, Page] = field(default_factory=dict)
    hits: Counter[str] = field(default_factory=Counter)

    def url(self, path: str) -> str:
        """The address of a path."""
        return f"http://127.0.0.1:{self.port}{path}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news here."""


@contextmanager
def _serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(120)


@contextmanager
def image_host() -> Iterator[ImageHost]:
    """Run an image host."""
    host = ImageHost()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            host.hits[self.path] += 1
            page = host.pages.get(self.path, Page(b"gone", "text/plain", 404))
            time.sleep(page.delay)
            if page.after:
                page.after.wait()
            self.send_response(page.status)
            for name, value in page.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", page.content_type)
            self.send_header("Content-Length", str(len(page.body)))
            self.end_headers()
            self.wfile.write(page.body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with _serving(Handler) as port:
        host.port = port
        yield host


@dataclass
class Receiver:
    """A webhook receiver: keeps what came, answers with the next of `answers`, 204 when there is none left."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    messages: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def webhook_receiver() -> Iterator[Receiver]:
    """Run a webhook receiver."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.messages.append((dict(self.headers), body))
            self.send_response(receiver.answers.pop(0) if receiver.answers else 204)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with _serving(Handler) as port:
        receiver.url = f"http://127.0.0.1:{port}/hook"
        yield receiver


class SkulightServer:
    """SKUlight under gunicorn, in folders of its own."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.instance = folder / "instance"
        self.images = folder / "processed_images"
        self._log = folder / "server.log"
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith("IMAGE_PROCESSOR_")
        } | {
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "IMAGE_PROCESSOR_INSTANCE_PATH": str(self.instance),
            "IMAGE_PROCESSOR_PROCESSED_IMAGES_PATH": str(self.images),
            **{f"IMAGE_PROCESSOR_{name}": value for name, value in settings.items()},
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> None:
        """Start, and wait for the first answer."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", *arguments],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(self._answers)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the server ended at its start:\n{self.log()}"
        try:
            return requests.get(f"{self.url}/healthz", timeout=120).ok
        except requests.ConnectionError:
            return False

    def log(self) -> str:
        """Everything the server has logged."""
        return self._log.read_text(errors="replace")

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Look into the server's database, without disturbing it."""
        with contextlib.closing(sqlite3.connect(f"file:{self.instance}/skulight.db?mode=ro", uri=True)) as database:
            return database.execute(sql).fetchall()

    def worker(self) -> int:
        """The process id of gunicorn's one worker."""
        assert self._process is not None
        master = self._process.pid
        return int(Path(f"/proc/{master}/task/{master}/children").read_text())

    def image_processes(self, pool: str = "") -> list[int]:
        """The processes of this server that decode and encode images, by pid: all, or those of one pool."""
        assert self._process is not None
        lines = {pid: _proc(pid, "cmdline") for pid in session(self._process.pid)}
        ending = f"{pool}\0".encode()
        return [pid for pid, line in lines.items() if b"imaging.pool" in line and line.endswith(ending)]

    def kill_master(self) -> None:
        """kill -9 gunicorn's master only; its worker is orphaned."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(120)

    def kill(self) -> None:
        """kill -9: the master and its worker, which are one process group of our own making."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(120)
        self._process = None

    def stop(self) -> int:
        """SIGTERM, as an operator stops it; give the exit code. Nothing of the server runs afterwards."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            return self._process.wait(120)
        finally:
            self.kill()

    def upload(self, csv: bytes, path: str = "/upload", filename: str = "catalogue.csv", **options: str) -> Any:
        """Upload a catalogue; give the status body of the 202."""
        answer = requests.post(self.url + path, files={"file": (filename, csv, "text/csv")}, data=options, timeout=120)
        assert answer.status_code == 202, answer.text
        return answer.json()

    def status(self, request_id: str) -> Any:
        """The status body of a request."""
        return requests.get(f"{self.url}/status/{request_id}", timeout=120).json()

    def wait_until_done(self, request_id: str, seconds: float = 600.0) -> Any:
        """Poll a request until it is done; give its status body."""

        percents = [0.0]

        def done() -> Any:
            body = self.status(request_id)
            percents.append(body["progress"]["percent"])
            assert percents[-1] >= percents[-2], "progress falls"
            counts = body["counts"]
            parts = ("pending", "processing", "succeeded", "failed", "cancelled")
            assert sum(counts[part] for part in parts) == counts["total"], counts
            return body if body["done"] else None

        return wait_for(done, seconds)
