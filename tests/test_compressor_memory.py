"""Sixteen pictures of 49 megapixels at once, AVIF output among them, in a process of their own that is measured.

Takes about a minute: it is there for the promise that memory is bounded, not for every run of the tests.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

PROGRAM = """
import io, resource, sys, tempfile, threading
from PIL import Image
from image_processor.compressor import CompressOptions, Compressor

side = 7000
ramp = Image.linear_gradient("L").resize((side, side))
picture = Image.merge("RGB", (ramp, ramp.rotate(90), ramp.rotate(180)))
del ramp

def encoded(image, format, **settings):
    with tempfile.TemporaryFile() as file:
        image.save(file, format, **settings)
        file.seek(0)
        return file.read()

plain = encoded(picture, "JPEG", quality=85)
progressive = encoded(picture, "JPEG", quality=85, progressive=True)
webp = encoded(picture, "WEBP", quality=60, method=0)
png = encoded(picture.quantize(64), "PNG", compress_level=1)
picture.putalpha(picture.getchannel("R"))
clear = encoded(picture, "PNG", compress_level=1)
del picture

jobs = [
    (plain, "keep", 2048), (plain, "avif", 0), (progressive, "keep", 0), (webp, "keep", 0),
    (png, "keep", 2048), (clear, "webp", 0), (plain, "webp", 0), (progressive, "avif", 2048),
    (plain, "avif", 0), (clear, "keep", 2048), (webp, "jpeg", 2048), (plain, "keep", 0),
    (clear, "jpeg", 0), (progressive, "png", 2048), (png, "avif", 0), (webp, "avif", 0),
]
peak_before = 0
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # forget the peak of making the pictures
compressor = Compressor()
failed = []

def work(source, format, limit):
    try:
        with tempfile.TemporaryFile() as file:
            compressor.compress(source, file, CompressOptions(format=format, max_dimension=limit))
    except Exception as error:
        failed.append(repr(error))

threads = [threading.Thread(target=work, args=job) for job in jobs]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) // 1024, failed)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak from /proc")
def test_sixteen_pictures_of_49_megapixels_at_once_stay_within_1500_megabytes() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    peak, failed = done.stdout.split(maxsplit=1)
    assert failed.strip() == "[]"
    assert int(peak) < 1_500
