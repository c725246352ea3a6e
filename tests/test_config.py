"""Settings: nonsense stops the start with a sentence that names the variable; the server's own refusal to be public."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
def test_nonsense_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, word: str) -> None:
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


def test_all_wrong_settings_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_PROCESSOR_QUALITY", "0")
    monkeypatch.setenv("IMAGE_PROCESSOR_MAX_ROWS", "0")

    with pytest.raises(ConfigError, match=r"(?s)QUALITY.*MAX_ROWS|MAX_ROWS.*QUALITY"):
        load_settings()


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_PROCESSOR_QUALITY", "")

    assert load_settings().quality == 50


def started(folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """What a start says that is refused."""
    return subprocess.run(
        [sys.executable, "-m", "gunicorn"],
        cwd=ROOT,
        env={**os.environ, "IMAGE_PROCESSOR_INSTANCE_PATH": str(folder), "PORT": "1", **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_start_is_refused_in_one_sentence_without_a_traceback(tmp_path: Path) -> None:
    refused = started(tmp_path, IMAGE_PROCESSOR_QUALITY="500")

    assert refused.returncode != 0
    assert "IMAGE_PROCESSOR_QUALITY is '500', which makes no sense" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.com"])
def test_binding_beyond_loopback_needs_a_key(tmp_path: Path, host: str) -> None:
    refused = started(tmp_path, HOST=host)

    assert refused.returncode != 0
    assert "IMAGE_PROCESSOR_API_KEY" in refused.stderr
