"""The image host of the bench: a separate process on loopback, nginx where it is installed, else a small server.

    python bench/origin.py FOLDER SECONDS [small]

Every URL `/<size>/<format>/<number>.<ext>` returns the image that its last two digits name. The small server has the
responses in memory and can delay them; where latencies are compared it is used on both sides.
"""

import asyncio
import getpass
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

TYPES = {".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
START_SECONDS = 20

_NGINX = """
daemon off; worker_processes 1; pid {place}/pid; error_log {place}/error.log; {user}
events {{ worker_connections 4096; }}
http {{
    access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; types {{ {types} }}
    keepalive_timeout 60s; keepalive_requests 1000000; open_file_cache max=1000; open_file_cache_valid 600s;
    client_body_temp_path {place}/a; proxy_temp_path {place}/b; fastcgi_temp_path {place}/c; uwsgi_temp_path {place}/d;
    scgi_temp_path {place}/e;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location ~ "^/(?<folder>[^/]+/[^/]+)/[0-9]*(?<name>[0-9][0-9][.][a-z]+)$" {{ alias {images}/$folder/$name; }}
    }}
}}
"""


def nginx() -> str | None:
    """The path of nginx, which is often only on root's PATH."""
    return shutil.which("nginx", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin")))


@cache
def kind() -> str:
    """The server that is used without latency, with its version."""
    program = nginx()
    if program is None:
        return "small server"
    done = subprocess.run([program, "-v"], capture_output=True, text=True, timeout=10, check=True)
    return done.stderr.strip().rpartition(": ")[2]


@contextmanager
def origin(images: Path, latency: float = 0.0, *, small: bool = False) -> Iterator[str]:
    """Run an image host for the folder of all images; gives its base URL.

    Each response takes `latency` seconds. The small server is used if `small`, with a latency, and without nginx.
    """
    command = [sys.executable, __file__, str(images), str(latency), *(["small"] if small else [])]
    # In a session of its own, out of reach of signals to a process group: it ends with its standard input.
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip().decode()
        if not port:
            raise RuntimeError("the image host of the bench did not start")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.communicate(timeout=20)  # closes its standard input


def main(folder: str, seconds: str, *small: str) -> None:
    """Serve until standard input ends; prints the port."""
    images, latency = Path(folder).resolve(), float(seconds)
    program = None if small or latency else nginx()
    if program is None:
        asyncio.run(_serve(images, latency))
    else:
        with tempfile.TemporaryDirectory(prefix="skulight-bench-") as place:
            _run_nginx(program, Path(place), images)


# ---- nginx ---------------------------------------------------------------------------------------------------------


def _run_nginx(program: str, place: Path, images: Path) -> None:
    port = free_port()
    types = " ".join(f"{name} {extension[1:]};" for extension, name in TYPES.items())
    # Started by root, its worker would run as a user who may not read the images.
    user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""
    config = place / "nginx.conf"
    config.write_text(_NGINX.format(place=place, user=user, port=port, types=types, images=images))
    process = subprocess.Popen(
        [program, "-p", place, "-c", config, "-e", place / "error.log"], stdin=subprocess.DEVNULL
    )
    try:
        _await_listener(process, port)
        print(port, flush=True)
        sys.stdin.buffer.read()
    finally:
        process.terminate()
        process.wait(10)


def free_port() -> int:
    """A port that is not in use."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_listener(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError("the image host of the bench did not start")


# ---- the small server ----------------------------------------------------------------------------------------------


class _Host(asyncio.Protocol):
    """One connection. The clients of the bench do not pipeline."""

    def __init__(self, images: Path, latency: float) -> None:
        self._images = images
        self._latency = latency
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        self._received = rest
        response = _response(self._images, *_folder_and_name(head.split(b" ", 2)[1].decode()))
        if self._latency:
            asyncio.get_running_loop().call_later(self._latency, self._transport.write, response)
        else:
            self._transport.write(response)


def _folder_and_name(target: str) -> tuple[str, str]:
    folder, _, name = target.lstrip("/").rpartition("/")
    number, dot, extension = name.partition(".")
    return folder, f"{number[-2:]}{dot}{extension}"


@cache
def _response(images: Path, folder: str, name: str) -> bytes:
    path = (images / folder / name).resolve()
    if not path.is_relative_to(images) or not path.is_file():
        return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    body = path.read_bytes()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {TYPES[path.suffix]}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _serve(images: Path, latency: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Host(images, latency), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)
    server.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
