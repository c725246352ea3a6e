"""The worker starts jobs whatever else it has to do."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# A process of its own, because a worker that is stopped ends its process.
CLEANING_UP_FOREVER = """
import sys
import threading
from pathlib import Path

from app import create_app
from image_processor.jobs.image_job import DownloadThreads
from image_processor.jobs.worker import Worker
from image_processor.store import Database, Jobs, db

CATALOGUE = b"S. No.,Product Name,Input Image Urls\\n1.,SKU1,https://a.example/1.jpg\\n"
folder = Path(sys.argv[1])
app = create_app(instance_path=folder / "i", processed_images_path=folder / "p")
services = app.extensions["services"]
accepted = app.test_client().post("/upload", data=CATALOGUE, content_type="text/csv").get_json()
with app.app_context():
    jobs = Jobs(Database(db.engine))


class Pipeline:
    def run(self, job_id):
        print("cleaning up" if begun.wait(300) else "idle", job_id == accepted["request_id"], flush=True)
        threading.Event().wait()


class Deliveries:
    def send_due(self):
        pass


def clean_up():
    begun.set()
    threading.Event().wait()


begun = threading.Event()
nothing = lambda: None
Worker(
    folder / "i" / "worker.lock", jobs, Pipeline(), Deliveries(), services.storage, DownloadThreads(1), services.health,
    warm_up=nothing, clean_up=clean_up, cut_network=nothing, stop_images=nothing,
).start()
threading.Event().wait()
"""


def test_jobs_start_while_old_ones_are_being_deleted(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CLEANING_UP_FOREVER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == "cleaning up True\n"
        finally:
            running.kill()
