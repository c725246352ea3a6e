"""What a monitoring system reads at /metrics."""

from pathlib import Path

import pytest
import requests
from catalogues import ALLOW, NewServer
from prometheus_client.parser import text_string_to_metric_families
from servers import ROOT, ImageHost, Page, Receiver, wait_for

from app import create_app
from image_processor.errors import StoreUnavailable
from image_processor.jobs.metrics import Metrics

HEAD = "S. No.,Product Name,Input Image Urls\n"


def numbers(page: str) -> dict[str, float]:
    """Every sample, by its name with its labels."""
    return {
        sample.name + "".join(f" {value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def test_a_processed_catalogue_shows_in_every_number(server: NewServer, host: ImageHost, receiver: Receiver) -> None:
    photograph = (ROOT / "static" / "samples" / "mug-front.jpg").read_bytes()
    host.pages["/mug.jpg"] = Page(photograph)
    receiver.answers = [500]
    running = server(**ALLOW, WEBHOOK_SCHEDULE="0,0.1")
    running.start()
    rows = f'1.,a,"{host.url("/mug.jpg")}, {host.url("/gone.jpg")}"\n2.,b,{host.url("/mug.jpg")}\n'

    accepted = running.upload((HEAD + rows).encode(), webhook_url=receiver.url)
    done = running.wait_until_done(accepted["request_id"])
    wait_for(lambda: len(receiver.messages) == 2 and running.status(done["request_id"])["webhook"]["attempts"] == 2)
    response = requests.get(f"{running.url}/metrics", timeout=120)
    found = numbers(response.text)

    assert response.headers["Content-Type"].startswith("text/plain; version=")
    assert found["skulight_images_total succeeded"] == 2, "one download fills two slots"
    assert found["skulight_images_total failed"] == found["skulight_image_failures_total http_error"] == 1
    assert found["skulight_images_total kept_original"] == 0
    assert found["skulight_image_bytes_total in"] == len(photograph)
    assert 0 < found["skulight_image_bytes_total out"] < len(photograph)
    assert found["skulight_step_seconds_count download"] == 2
    assert found["skulight_step_seconds_count compress"] == 1
    assert found["skulight_step_seconds_count record"] >= 1
    assert found["skulight_step_seconds_sum compress"] > 0
    assert found["skulight_webhook_attempts_total refused"] == found["skulight_webhook_attempts_total delivered"] == 1
    assert found["skulight_requests_unfinished"] == found["skulight_images_waiting"] == 0
    assert found["process_resident_memory_bytes"] > 0


def test_what_waits_is_counted_and_the_page_needs_the_key(tmp_path: Path) -> None:
    key = "a-key-of-the-tests"
    client = create_app(instance_path=tmp_path / "i", processed_images_path=tmp_path / "p", api_key=key).test_client()
    bearer = {"Authorization": f"Bearer {key}"}
    catalogue = HEAD + '1.,a,"https://a.example/1.jpg, https://a.example/2.jpg"\n'
    client.post("/upload", data=catalogue, content_type="text/csv", headers=bearer)

    found = numbers(client.get("/metrics", headers=bearer).text)

    assert (found["skulight_requests_unfinished"], found["skulight_images_waiting"]) == (1, 2)
    assert client.get("/metrics").status_code == 401


def test_the_page_is_in_openmetrics_format_on_request(tmp_path: Path) -> None:
    client = create_app(instance_path=tmp_path / "i", processed_images_path=tmp_path / "p").test_client()

    response = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})

    assert response.content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert response.text.endswith("# EOF\n")


def test_without_a_database_the_other_numbers_still_come() -> None:
    def away() -> tuple[int, int]:
        raise StoreUnavailable("The database is away.")

    found = numbers(Metrics(away).page("")[0].decode())

    assert "skulight_requests_unfinished" not in found
    assert found["skulight_images_total succeeded"] == 0


@pytest.mark.parametrize(
    ("status", "result"),
    [(200, "delivered"), (204, "delivered"), (302, "refused"), (410, "refused"), (None, "unanswered")],
)
def test_a_webhook_attempt_is_counted_by_what_came_of_it(status: int | None, result: str) -> None:
    metrics = Metrics(lambda: (0, 0))

    metrics.count_webhook(status)

    assert numbers(metrics.page("")[0].decode())[f"skulight_webhook_attempts_total {result}"] == 1
