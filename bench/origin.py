"""The image host of the bench: a process of its own on loopback. nginx where there is one, else a small server.

    python bench/origin.py FOLDER [SECONDS] [--small]

Every URL `/<size>/<format>/<number>.<ext>` is answered with the image that its last two digits name. The small server
has the answers ready in memory and can wait before each; whoever compares latencies uses it on both sides.
"""

import argparse
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
        location ~ "^/(?<folder>[^/]+/[^/]+)/[0-9]*(?<name>[0-9][0-9][.][a-z]+)$" {{ alias {pictures}/$folder/$name; }}
    }}
}}
"""


def nginx() -> str | None:
    """Where nginx is, if there is one; it lies where only root's PATH leads."""
    return shutil.which("nginx", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin")))


@cache
def kind() -> str:
    """What answers without latency, with its version."""
    program = nginx()
    if program is None:
        return "small server"
    said = subprocess.run([program, "-v"], capture_output=True, text=True, timeout=10, check=True)
    return said.stderr.strip().rpartition(": ")[2]


@contextmanager
def origin(pictures: Path, latency: float = 0.0, *, small: bool = False) -> Iterator[str]:
    """Run an image host for the folder of all images; gives its base URL.

    Each answer comes after `latency` seconds. The small server is used when it is asked for, when there is a latency,
    and when there is no nginx. The host ends with whoever started it, however that ends.
    """
    command = [sys.executable, __file__, str(pictures), str(latency), *(["--small"] if small else [])]
    # In a session of its own, where no signal to a whole group reaches it: it ends with its standard input.
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip().decode()
        if not port:
            raise RuntimeError("the image host of the bench did not start")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.communicate(timeout=20)  # closes its standard input, which it takes for the end


def main() -> int:
    """Be an image host until standard input ends; prints the port."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=lambda name: Path(name).resolve(), metavar="FOLDER")
    parser.add_argument("latency", type=float, nargs="?", default=0.0, metavar="SECONDS")
    parser.add_argument("--small", action="store_true", help="not nginx, even if there is one")
    given = parser.parse_args()
    program = None if given.small or given.latency else nginx()
    if program is None:
        asyncio.run(_serve(given.pictures, given.latency))
    else:
        with tempfile.TemporaryDirectory(prefix="skulight-bench-") as place:
            _run_nginx(program, Path(place), given.pictures)
    return 0


# ---- nginx ---------------------------------------------------------------------------------------------------------


def _run_nginx(program: str, place: Path, pictures: Path) -> None:
    port = free_port()
    types = " ".join(f"{name} {extension[1:]};" for extension, name in TYPES.items())
    # Started by root, its worker would become somebody who may not read the images.
    user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""
    config = place / "nginx.conf"
    config.write_text(_NGINX.format(place=place, user=user, port=port, types=types, pictures=pictures))
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
    """A port nobody listens on just now."""
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
    """One connection. Clients here ask for one image after the other, never for several at once."""

    def __init__(self, pictures: Path, latency: float) -> None:
        self._pictures = pictures
        self._latency = latency
        self._asked = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._asked += data
        head, end, rest = self._asked.partition(b"\r\n\r\n")
        if not end:
            return
        self._asked = rest
        answer = _answer(self._pictures, *_folder_and_name(head.split(b" ", 2)[1].decode()))
        if self._latency:
            asyncio.get_running_loop().call_later(self._latency, self._transport.write, answer)
        else:
            self._transport.write(answer)


def _folder_and_name(target: str) -> tuple[str, str]:
    folder, _, name = target.lstrip("/").rpartition("/")
    number, dot, extension = name.partition(".")
    return folder, f"{number[-2:]}{dot}{extension}"


@cache
def _answer(pictures: Path, folder: str, name: str) -> bytes:
    path = (pictures / folder / name).resolve()
    if not path.is_relative_to(pictures) or not path.is_file():
        return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    body = path.read_bytes()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {TYPES[path.suffix]}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _serve(pictures: Path, latency: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Host(pictures, latency), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)
    server.close()


if __name__ == "__main__":
    sys.exit(main())
