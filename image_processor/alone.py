"""Compressing a suspect: an image that was being compressed when the process died is worked in a child process.

If the picture really is deadly, it takes the child and not the server. Deaths of the child are evidence about the
picture; deaths of the server from outside are not. Run as a program (`python -m image_processor.alone`) this module is
the child: a JSON line and the source on standard input, a JSON line as the answer.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from image_processor.compressor import CompressedPicture, CompressOptions, Compressor
from image_processor.errors import Crashed, ImageError

TRIES = 3
SECONDS = 120


class AloneCompressor:
    """Compresses like `Compressor`, in a child process. `settings` are the arguments of `Compressor`."""

    def __init__(self, **settings: Any) -> None:
        self._settings = settings

    def compress(self, source: bytes, file: BinaryIO, options: CompressOptions) -> CompressedPicture:
        """What `Compressor.compress` does. Raises Crashed when the child dies three times, or never ends."""
        order = {"settings": self._settings, "options": asdict(options), "path": str(file.name)}
        for _ in range(TRIES):
            answer = _ask_child(json.dumps(order).encode() + b"\n" + source)
            if answer is not None:
                return _picture(answer)
        raise Crashed


def _ask_child(order: bytes) -> dict[str, Any] | None:
    package = Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(package.parent), os.environ.get("PYTHONPATH", "")])}
    try:
        child = subprocess.run(
            [sys.executable, "-m", "image_processor.alone"],
            input=order,
            stdout=subprocess.PIPE,
            env=environment,
            timeout=SECONDS,
            check=True,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return None
    answer: dict[str, Any] = json.loads(child.stdout)
    return answer


def _picture(answer: dict[str, Any]) -> CompressedPicture:
    if "code" not in answer:
        return CompressedPicture(**answer)
    kinds = {kind.code: kind for kind in ImageError.__subclasses__()}
    raise kinds[answer["code"]](answer["detail"], permanent=True)


def main() -> None:
    """Be the child."""
    order = json.loads(sys.stdin.buffer.readline())
    source = sys.stdin.buffer.read()
    with open(order["path"], "r+b") as file:
        try:
            picture = Compressor(**order["settings"]).compress(source, file, CompressOptions(**order["options"]))
        except ImageError as error:
            answer = {"code": error.code, "detail": error.detail}
        else:
            answer = asdict(picture)
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
