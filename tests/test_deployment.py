"""The papers for deployment, as far as they can be checked without a container engine and without being systemd."""

import fnmatch
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
import yaml
from catalogues import NewServer
from servers import ROOT, wait_for

from image_processor.config import PREFIX, Settings

DOCKERFILE = (ROOT / "Dockerfile").read_text()
UNIT = ROOT / "docs" / "deploy" / "skulight.service"
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
VARIABLES = {PREFIX + name.upper() for name in Settings.model_fields}


def instructions() -> list[list[str]]:
    """The instructions of the Dockerfile: the word and its arguments."""
    joined = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.M).replace("\\\n", " ")
    return [line.split() for line in joined.splitlines() if line.strip()]


def test_every_setting_in_the_papers_exists() -> None:
    for text in (DOCKERFILE, UNIT.read_text(), (ROOT / "compose.yaml").read_text()):
        named = set(re.findall(rf"{PREFIX}[A-Z_]+", text))
        assert named
        assert named <= VARIABLES


def test_the_image_holds_everything_that_runs_and_runs_as_nobody() -> None:
    words = instructions()
    copied = [
        source for word, *rest in words if word == "COPY" and "--from=packages" not in rest for source in rest[:-1]
    ]

    assert all((ROOT / source).exists() for source in copied)
    assert {"app.py", "gunicorn.conf.py", "image_processor", "migrations", "static", "templates"} <= set(copied)
    assert [rest for word, *rest in words if word == "USER"] == [["skulight"]]
    assert {"HEALTHCHECK", "VOLUME", "EXPOSE", "CMD"} <= {word for word, *_ in words}
    volumes = next(" ".join(rest) for word, *rest in words if word == "VOLUME")
    for folder in re.findall(r"PATH=(/data/\w+)", DOCKERFILE):
        assert f'"{folder}"' in volumes


def test_the_image_is_built_from_a_base_with_a_digest_and_packages_with_hashes() -> None:
    bases = [rest[0] for word, *rest in instructions() if word == "FROM"]
    stages = {rest[2] for word, *rest in instructions() if word == "FROM" and rest[1:2] == ["AS"]}
    installs = [" ".join(rest) for word, *rest in instructions() if word == "RUN" and "pip install" in " ".join(rest)]

    assert bases
    assert all(base in stages or re.search(r"@sha256:[0-9a-f]{64}$", base) for base in bases)
    assert installs
    assert all("--require-hashes -r requirements-container.txt" in install for install in installs)


def test_the_packages_of_the_image_are_those_of_requirements_txt_and_each_has_a_hash() -> None:
    def pinned(text: str) -> set[str]:
        return {line.rstrip("\\ ") for line in text.splitlines() if re.match(r"\w", line)}

    lock = (ROOT / "requirements-container.txt").read_text()

    assert pinned(lock) == pinned((ROOT / "requirements.txt").read_text())
    assert len(re.findall(r"^\w.* \\\n    --hash=sha256:[0-9a-f]{64}( \\)?$", lock, re.M)) == len(pinned(lock))
    assert "://" not in lock and "--index" not in lock and "--find-links" not in lock


def test_the_context_of_the_image_has_what_is_copied_and_no_secret() -> None:
    patterns = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    allowed = [pattern[1:].rstrip("/") for pattern in patterns if pattern.startswith("!")]

    assert patterns[0] == "*"
    for word, *rest in instructions():
        if word == "COPY" and "--from=packages" not in rest:
            assert all(source in allowed for source in rest[:-1])
    for secret in (".env", "instance", "processed_images", ".git", ".venv"):
        assert not any(fnmatch.fnmatch(secret, pattern) for pattern in allowed)


def test_the_health_check_of_the_image_tells_a_server_that_answers(server: NewServer) -> None:
    command = re.search(r'CMD \["python", "-c", "(.*)"\]', DOCKERFILE)
    assert command is not None
    code = command[1].replace('\\"', '"')
    running = server(API_KEY="a-key-of-the-tests")
    running.start()
    environment = os.environ | {"PORT": str(running.port)}

    well = subprocess.run([sys.executable, "-c", code], env=environment, check=False)
    running.stop()
    ill = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)

    assert (well.returncode, ill.returncode != 0) == (0, True)


def test_compose_keeps_data_in_volumes_and_asks_for_a_key() -> None:
    service = COMPOSE["services"]["skulight"]

    assert {volume.split(":")[0] for volume in service["volumes"]} == set(COMPOSE["volumes"])
    assert {volume.split(":")[1] for volume in service["volumes"]} == set(re.findall(r"PATH=(/data/\w+)", DOCKERFILE))
    assert service["environment"]["IMAGE_PROCESSOR_API_KEY"].startswith("${IMAGE_PROCESSOR_API_KEY:?")
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["read_only"] is True
    assert int(service["stop_grace_period"].rstrip("s")) > 8, "gunicorn's graceful_timeout"


def test_the_systemd_unit_is_valid(tmp_path: Path) -> None:
    if not (analyze := shutil.which("systemd-analyze")):
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "skulight.service"
    unit.write_text(UNIT.read_text().replace("/opt/skulight/.venv/bin/gunicorn", "/bin/true"))

    checked = subprocess.run([analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False)

    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_a_port_that_is_in_use_is_one_sentence_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused = subprocess.run(
            [sys.executable, "-m", "gunicorn"], cwd=ROOT, env=os.environ | {"HOST": "127.0.0.1", "PORT": str(port)},
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    [sentence] = [line for line in refused.stderr.splitlines() if "Starting gunicorn" not in line]
    assert refused.returncode == 1
    assert sentence.startswith(f"Port {port} of 127.0.0.1 is in use")
    assert sentence.endswith(f"PORT={port + 1} make run")


def test_a_socket_that_systemd_opened_is_not_in_use(tmp_path: Path) -> None:
    as_systemd = ["sh", "-c", 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@" 3<&0', "sh", sys.executable, "-m", "gunicorn"]
    with socket.create_server(("127.0.0.1", 0)) as opened:
        port = opened.getsockname()[1]
        environment = os.environ | {"HOST": "127.0.0.1", "PORT": str(port)}
        environment |= {PREFIX + f"{name}_PATH": str(tmp_path / name) for name in ("INSTANCE", "PROCESSED_IMAGES")}
        running = subprocess.Popen(as_systemd, cwd=ROOT, env=environment, stdin=opened, stderr=subprocess.DEVNULL)
    try:
        assert requests.get(f"http://127.0.0.1:{port}/healthz", timeout=300).ok
    finally:
        running.terminate()
        running.wait(120)


def test_a_server_that_was_frozen_longer_than_gunicorn_waits_by_default_is_not_killed(server: NewServer) -> None:
    running = server()
    running.start()
    worker = running.worker()
    try:
        os.kill(worker, signal.SIGSTOP)
        thaw = time.monotonic() + 34  # gunicorn's default is 30 s, and it looks once a second
        while time.monotonic() < thaw:
            assert "TIMEOUT" not in running.log()
            time.sleep(0.1)
    finally:
        os.kill(worker, signal.SIGCONT)

    assert requests.get(f"{running.url}/healthz", timeout=120).ok
    assert running.worker() == worker


PYTHON_WARNS = """
import logging, warnings
from pathlib import Path
from app import create_app
create_app(instance_path=Path("i"), processed_images_path=Path("p"), log_format="json")
warnings.warn("a library\\nwarns")
"""


def test_a_warning_of_a_library_is_a_line_of_the_json_log(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PYTHON_WARNS],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120,
        check=True,
    )  # fmt: skip

    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["level"] for line in lines if "a library" in line["message"]] == ["WARNING"]


def test_the_log_of_the_server_is_json_throughout_when_it_is_set(server: NewServer) -> None:
    running = server(LOG_FORMAT="json")
    running.start()
    wait_for(lambda: "processes the jobs" in running.log())
    running.stop()

    lines = running.log().splitlines()
    assert len(lines) > 3
    assert all(line.startswith('{"time": "') for line in lines), lines
