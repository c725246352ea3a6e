"""`make demo`: start a server, upload the sample, follow the job, print the result, stop. Leaves no files behind."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).parents[1]
READY = "SKUlight is ready: "
BAR = 30
SECONDS = 300  # for each response, on a machine that is busy with other things


def main() -> int:
    """Run the demonstration; 0 when every image was compressed."""
    with tempfile.TemporaryDirectory(prefix="skulight-demo-") as folder, _server(Path(folder)) as server:
        try:
            return _demonstrate(_address(server))
        finally:
            server.terminate()
            server.communicate()
            print("The server has stopped.")


def _server(folder: Path) -> "subprocess.Popen[str]":
    environment = os.environ | {
        "IMAGE_PROCESSOR_INSTANCE_PATH": str(folder / "instance"),
        "IMAGE_PROCESSOR_PROCESSED_IMAGES_PATH": str(folder / "processed_images"),
        "IMAGE_PROCESSOR_LOG_LEVEL": "WARNING",
        "IMAGE_PROCESSOR_LOG_FORMAT": "text",
    }
    command = [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0"]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)


def _address(server: "subprocess.Popen[str]") -> str:
    """The URL in the last line of the start."""
    lines = []
    for line in server.stderr or ():
        lines.append(line)
        if READY in line:
            return line.partition(READY)[2].strip()
    sys.exit(f"{''.join(lines)}The server did not start; the reason is above.")


def _demonstrate(url: str) -> int:
    print(f"The server runs at {url}. Uploading {url}/sample.csv …")
    sample = requests.get(f"{url}/sample.csv", timeout=SECONDS).content
    response = requests.post(f"{url}/upload", files={"file": ("sample.csv", sample)}, timeout=SECONDS)
    response.raise_for_status()
    status = _finished(response.json()["links"]["self"])
    print("\n\noutput.csv:\n")
    print(requests.get(status["links"]["output_csv"], timeout=SECONDS).text)
    before, after = status["bytes"]["input"], status["bytes"]["output"]
    print(f"{status['message']} {before / 1e6:.2f} MB -> {after / 1e6:.2f} MB")
    return 0 if status["outcome"] == "succeeded" else 1


def _finished(status_url: str) -> Any:
    """The last status of the job; its progress is shown meanwhile."""
    while True:
        status = requests.get(status_url, timeout=SECONDS).json()
        percent = status["progress"]["percent"]
        filled = round(BAR * percent / 100)
        print(f"\r[{'#' * filled}{'.' * (BAR - filled)}] {percent:5.1f}%  {status['message']:<60}", end="", flush=True)
        if status["done"]:
            return status
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
