"""The machine's clock is set a day back or forward between two starts, and while the server runs."""

import shutil
import subprocess
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
import requests
from catalogues import ALLOW, NewServer, catalogue, hosted
from servers import ImageHost, Receiver, SkulightServer, wait_for

DAY = 86_400
COMPILER = shutil.which("cc")

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(COMPILER is None, reason="needs a C compiler (cc) for the clock that can be set"),
]


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets the wall clock of servers that are started afterwards, also while they run; the monotonic one goes on."""
    library, file = tmp_path / "clock.so", tmp_path / "clock"
    source = Path(__file__).with_name("clock_shim.c")
    subprocess.run([str(COMPILER), "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    file.write_text("0")
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("CLOCK_OFFSET_FILE", str(file))

    def set_clock(seconds: int) -> None:
        fresh = tmp_path / "clock.new"
        fresh.write_text(str(seconds))
        fresh.replace(file)

    return set_clock


def running_clock(running: SkulightServer) -> float:
    """What the server takes for the present, by the Date of its answers."""
    return parsedate_to_datetime(requests.get(f"{running.url}/healthz", timeout=120).headers["Date"]).timestamp()


@pytest.mark.parametrize("step", [-DAY, DAY])
def test_work_and_webhooks_go_on_when_the_clock_is_set_while_they_run(
    server: NewServer, host: ImageHost, receiver: Receiver, clock: Callable[[int], None], step: int
) -> None:
    urls = hosted(host, 60, delay=0.1)
    receiver.answers = [500, 500]
    running = server(**ALLOW, PER_HOST_CONNECTIONS="2", WEBHOOK_SCHEDULE="0,1,1,1")
    running.start()
    accepted = running.upload(catalogue(urls), webhook_url=receiver.url)
    clock(step)
    assert abs(running_clock(running) - time.time() - step) < 60, "the server's clock was not set"

    status = running.wait_until_done(accepted["request_id"])
    wait_for(lambda: len(receiver.messages) >= 2)
    clock(0)
    wait_for(lambda: len(receiver.messages) == 3)

    assert status["outcome"] == "succeeded"
    assert set(host.hits.values()) == {1}
    link = f"{running.url}/api/v1/requests/{accepted['request_id']}/webhook-deliveries"
    delivered = wait_for(lambda: requests.get(link, timeout=120).json()["deliveries"][0]["state"] == "delivered")
    assert delivered
    assert len(receiver.messages) == 3, "no storm"
