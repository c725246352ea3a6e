"""`make demo`: start the server, upload the sample, watch it, print the result, stop. Leaves nothing behind."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).parent.parent
BAR = 30
START_SECONDS = 300  # on a machine that is busy with other things


def main() -> int:
    """Run the demonstration; 0 when every image was compressed."""
    with tempfile.TemporaryDirectory(prefix="skulight-demo-") as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        server = _start(Path(folder), port)
        try:
            return _demonstrate(f"http://127.0.0.1:{port}", server)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)
            print("The server is stopped.")


def _start(folder: Path, port: int) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "IMAGE_PROCESSOR_INSTANCE_PATH": str(folder / "instance"),
        "IMAGE_PROCESSOR_PROCESSED_IMAGES_PATH": str(folder / "processed_images"),
        "IMAGE_PROCESSOR_LOG_LEVEL": "WARNING",
    }
    return subprocess.Popen([sys.executable, "-m", "gunicorn", "--log-level", "warning"], cwd=ROOT, env=environment)


def _demonstrate(url: str, server: subprocess.Popen[bytes]) -> int:
    _await_answer(url, server)
    print(f"The server runs at {url}. Uploading {url}/sample.csv …")
    sample = requests.get(f"{url}/sample.csv", timeout=60).content
    answer = requests.post(f"{url}/upload", files={"file": ("sample.csv", sample)}, timeout=60)
    answer.raise_for_status()
    status = _watch(f"{url}/status/{answer.json()['request_id']}")
    print("\n\noutput.csv:\n")
    print(requests.get(status["links"]["output_csv"], timeout=60).text)
    before, after = status["bytes"]["input"], status["bytes"]["output"]
    print(f"{status['message']} {before / 1e6:.2f} MB -> {after / 1e6:.2f} MB")
    return 0 if status["outcome"] == "succeeded" else 1


def _await_answer(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            sys.exit("The server did not start; what it said stands above.")
        try:
            if requests.get(f"{url}/healthz", timeout=60).ok:
                return
        except requests.RequestException:
            time.sleep(0.1)
    sys.exit(f"The server gave no answer within {START_SECONDS} seconds.")


def _watch(status_url: str) -> Any:
    while True:
        status = requests.get(status_url, timeout=60).json()
        percent = status["progress"]["percent"]
        filled = round(BAR * percent / 100)
        print(f"\r[{'#' * filled}{'.' * (BAR - filled)}] {percent:5.1f}%  {status['message']:<60}", end="", flush=True)
        if status["done"]:
            return status
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
