"""Settings: an invalid one stops the start with a sentence that names it; beyond loopback an API key is required."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app import create_app
from image_processor.config import load_settings
from image_processor.errors import ConfigError

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("QUALITY", "0", "greater than or equal to 1"),
        ("QUALITY", "fine", "integer"),
        ("DOWNLOAD_THREADS", "-3", "greater"),
        ("PUBLIC_BASE_URL", "img.example.com", "http://"),
        ("WEBHOOK_SCHEDULE", "soon", "seconds"),
        ("API_KEY", "short", "16"),
        ("LOG_LEVEL", "loud", "DEBUG"),
    ],
)
def test_an_invalid_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, word: str) -> None:
    monkeypatch.setenv(f"IMAGE_PROCESSOR_{name}", value)

    with pytest.raises(ConfigError) as caught:
        load_settings()

    assert f"IMAGE_PROCESSOR_{name}" in str(caught.value)
    assert word in str(caught.value)


def test_a_key_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_PROCESSOR_API_KEY", "hunter2")

    with pytest.raises(ConfigError) as caught:
        load_settings()

    assert "hunter2" not in str(caught.value)


def test_all_invalid_settings_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_PROCESSOR_QUALITY", "0")
    monkeypatch.setenv("IMAGE_PROCESSOR_MAX_ROWS", "0")

    with pytest.raises(ConfigError, match=r"(?s)QUALITY.*MAX_ROWS|MAX_ROWS.*QUALITY"):
        load_settings()


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_PROCESSOR_QUALITY", "")

    assert load_settings().quality == 50


def started(folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """The output of a start that is refused."""
    return subprocess.run(
        [sys.executable, "-m", "gunicorn"],
        cwd=ROOT,
        env={**os.environ, "IMAGE_PROCESSOR_INSTANCE_PATH": str(folder), "PORT": "1", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_start_is_refused_in_one_sentence_without_a_traceback(tmp_path: Path) -> None:
    refused = started(tmp_path, IMAGE_PROCESSOR_QUALITY="500")

    assert refused.returncode != 0
    assert "IMAGE_PROCESSOR_QUALITY is '500', which is not valid" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.com"])
def test_binding_beyond_loopback_needs_a_key(tmp_path: Path, host: str) -> None:
    refused = started(tmp_path, HOST=host)

    assert refused.returncode != 0
    assert "IMAGE_PROCESSOR_API_KEY" in refused.stderr


@pytest.mark.parametrize("content", [b"", b" \n", b"too short", b"\0" * 64, b"\xff" * 64], ids=range(5))
@pytest.mark.parametrize("name", ["secret_key", "webhook_secret"])
def test_a_secret_file_that_is_empty_or_damaged_stops_the_start(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / "i").mkdir()
    (tmp_path / "i" / name).write_bytes(content)

    with pytest.raises(ConfigError) as refused:
        create_app(instance_path=tmp_path / "i", processed_images_path=tmp_path / "p")

    assert f"IMAGE_PROCESSOR_{name.upper()}" in str(refused.value)
    assert str(tmp_path / "i" / name) in str(refused.value)
    assert (tmp_path / "i" / name).read_bytes() == content, "left as it is"


@pytest.mark.parametrize("secret", [" ", "whsec_", "whsec_c2hvcnQ="])
def test_a_webhook_secret_that_signs_nothing_stops_the_start(tmp_path: Path, secret: str) -> None:
    with pytest.raises(ConfigError, match="IMAGE_PROCESSOR_WEBHOOK_SECRET"):
        create_app(instance_path=tmp_path / "i", processed_images_path=tmp_path / "p", webhook_secret=secret)


BEGINS = """
import resource, sys
from app import create_app

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
sys.stdin.readline()
print(create_app(instance_path=sys.argv[1] + "/i", processed_images_path=sys.argv[1] + "/p").secret_key)
"""


def beginning(folder: Path, largest_file: int = -1) -> "subprocess.Popen[str]":
    """A process that builds the application when a line comes in, and prints its secret key."""
    return subprocess.Popen(
        [sys.executable, "-c", BEGINS, str(folder), str(largest_file)],
        cwd=ROOT, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_a_secret_that_cannot_be_written_whole_is_not_there(tmp_path: Path) -> None:
    process = beginning(tmp_path, largest_file=10)
    try:
        _, error = process.communicate("\n", timeout=120)
    finally:
        process.kill()

    assert "File too large" in error
    assert list((tmp_path / "i").iterdir()) == []
    assert len(str(create_app(instance_path=tmp_path / "i", processed_images_path=tmp_path / "p").secret_key)) > 50


def test_processes_that_start_at_once_have_one_secret(tmp_path: Path) -> None:
    processes = [beginning(tmp_path) for _ in range(4)]
    try:
        secrets = [process.communicate("\n", timeout=120)[0].strip() for process in processes]
    finally:
        for process in processes:
            process.kill()

    assert set(secrets) == {(tmp_path / "i" / "secret_key").read_text()}
    assert {(tmp_path / "i" / name).stat().st_mode & 0o777 for name in ("secret_key", "webhook_secret")} == {0o600}
