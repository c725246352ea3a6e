"""The command line: the job without a server, beside one, interrupted and resumed; and the operator's commands."""

import contextlib
import csv
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import openpyxl
import pytest
import requests
from catalogues import ALLOW, NewServer
from click.testing import Result
from flask import Flask
from servers import ROOT, ImageHost, Page, Receiver, wait_for

from app import create_app

HEAD = "S. No.,Product Name,Input Image Urls\n"
PICTURE = (ROOT / "static" / "samples" / "mug-front.jpg").read_bytes()
BAD = f"{HEAD}1.,a,https://a.example/1.jpg\n2.,,ftp://a.example/1.jpg\n"


class Terminal:
    """Runs the `flask` command as a person does, in folders of its own."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self._started: list[subprocess.Popen[str]] = []
        self.output = folder / "output.csv"
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("IMAGE_PROCESSOR_")
        } | {
            "IMAGE_PROCESSOR_INSTANCE_PATH": str(folder / "instance"),
            "IMAGE_PROCESSOR_PROCESSED_IMAGES_PATH": str(folder / "processed_images"),
            "IMAGE_PROCESSOR_ALLOWED_PRIVATE_ADDRESSES": "127.0.0.0/8",
            "PORT": "8000",
            **{f"IMAGE_PROCESSOR_{name}": value for name, value in settings.items()},
        }

    def start(self, *arguments: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "flask", "--app", "app", *arguments],
            cwd=ROOT, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True,
        )  # fmt: skip
        self._started.append(process)
        return process

    def run(self, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        process = self.start(*arguments)
        out, err = process.communicate(stdin, timeout=300)
        return process.returncode, out, err

    def end(self) -> None:
        """End what still runs."""
        for process in self._started:
            process.kill()
            process.communicate()

    def catalogue(self, *rows: list[str]) -> str:
        path = self.folder / "catalogue.csv"
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(
                [HEAD.strip().split(","), *([f"{n}.", f"SKU{n}", ", ".join(row)] for n, row in enumerate(rows, 1))]
            )
        return str(path)


@pytest.fixture
def new_terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Makes terminals in a folder of this test; what they started is ended at the end."""
    with contextlib.ExitStack() as stack:

        def make(**settings: str) -> Terminal:
            made = Terminal(tmp_path, **settings)
            stack.callback(made.end)
            return made

        yield make


@pytest.fixture
def terminal(new_terminal: Callable[..., Terminal]) -> Terminal:
    return new_terminal()


def cells(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


# ---- process -------------------------------------------------------------------------------------------------------


def test_a_catalogue_is_processed_without_a_server(terminal: Terminal, host: ImageHost, receiver: Receiver) -> None:
    host.pages = {"/a.jpg": Page(PICTURE), "/b.jpg": Page(PICTURE)}
    catalogue = terminal.catalogue([host.url("/a.jpg"), host.url("/b.jpg")])

    code, out, err = terminal.run(
        "process", catalogue, "-o", str(terminal.output), "--quality", "40", "--webhook-url", receiver.url
    )

    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 1
    assert out.startswith("2 of 2 images compressed; ")
    request_id = out.split("Job ")[1].split(",")[0]
    base = f"http://127.0.0.1:8000/processed_images/{request_id}"
    assert cells(terminal.output.read_text())[1][3] == f"{base}/1-1.jpg, {base}/1-2.jpg"
    assert len((terminal.folder / "processed_images" / request_id / "1-1.jpg").read_bytes()) < len(PICTURE)
    assert [json.loads(body)["status"] for _, body in receiver.messages] == ["Completed"]


def test_a_shop_export_and_its_workbook_come_back_as_they_were(terminal: Terminal, host: ImageHost) -> None:
    host.pages["/mug.jpg"] = Page(PICTURE)
    table = [["Handle", "Title", "Image Src"], ["mug", "Mug", host.url("/mug.jpg")], ["mug", "", ""]]
    export, replacements = terminal.folder / "export.csv", terminal.folder / "replacements.csv"
    export.write_text("".join(";".join(row) + "\n" for row in table))
    book = openpyxl.Workbook()
    for row in table:
        book.active.append(row)
    book.save(workbook := terminal.folder / "export.xlsx")

    code, out, err = terminal.run(
        "process", str(export), "-o", str(terminal.output), "--replacements", str(replacements)
    )
    assert (code, "1 of 1 image compressed" in out) == (0, True), err
    assert "Warning: The new URLs begin with http://127.0.0.1" in err
    new = re.search(r"http://\S+/processed_images/\S+", terminal.output.read_text())[0]
    assert terminal.output.read_text() == export.read_text().replace(host.url("/mug.jpg"), new)
    assert f"1,Image Src,1,{host.url('/mug.jpg')},{new},\n" in replacements.read_text().replace("\r", "")

    result = terminal.folder / "result.xlsx"
    assert terminal.run("process", str(workbook), "-o", str(result))[0] == 0
    rows = list(openpyxl.load_workbook(result).active.iter_rows(values_only=True))
    assert [row[:2] for row in rows] == [("Handle", "Title"), ("mug", "Mug"), ("mug", None)]
    assert "/processed_images/" in rows[1][2]

    code, _, err = terminal.run("process", str(export), "-o", str(result))
    assert (code, "is not an Excel workbook" in err) == (2, True)


def test_columns_are_chosen_by_name_and_refused_with_those_that_exist(terminal: Terminal, host: ImageHost) -> None:
    host.pages["/mug.jpg"] = Page(PICTURE)
    export = terminal.folder / "export.csv"
    export.write_text(f"Ref,Visual X\nM1,{host.url('/mug.jpg')}\n")

    code, _, err = terminal.run("process", str(export), "-o", str(terminal.output), "--images-column", "Bild")
    assert (code, "The columns are “Ref”, “Visual X”." in err) == (2, True), err
    assert terminal.run("process", str(export), "-o", str(terminal.output), "--images-column", "Visual X")[0] == 0
    assert "/processed_images/" in terminal.output.read_text()


def test_what_fails_is_exit_code_1_and_a_file_to_mend(terminal: Terminal, host: ImageHost) -> None:
    host.pages = {"/a.jpg": Page(PICTURE)}
    catalogue = terminal.catalogue([host.url("/a.jpg")], [host.url("/gone.jpg")])
    errors = terminal.folder / "errors.csv"

    code, out, _ = terminal.run("process", catalogue, "-o", str(terminal.output), "--errors", str(errors))

    assert (code, out.split(";")[0]) == (1, "1 of 2 images compressed, 1 failed")
    assert [row[3] == "" for row in cells(terminal.output.read_text())[1:]] == [False, True]
    assert cells(errors.read_text())[1][2] == host.url("/gone.jpg")


def test_a_catalogue_goes_through_a_pipe(terminal: Terminal, host: ImageHost) -> None:
    host.pages = {"/a.jpg": Page(PICTURE)}

    code, out, err = terminal.run("process", "-", "-o", "-", stdin=f"{HEAD}001,a,{host.url('/a.jpg')}\n")

    assert code == 0
    assert cells(out)[1][:2] == ["001", "a"]
    assert err.startswith("1 of 1 image compressed")


def test_a_person_at_a_terminal_sees_a_bar(terminal: Terminal, host: ImageHost) -> None:
    host.pages = {"/a.jpg": Page(PICTURE)}
    ours, theirs = pty.openpty()
    process = terminal.start(
        "process", terminal.catalogue([host.url("/a.jpg")]), "-o", str(terminal.output), stderr=theirs
    )
    os.close(theirs)
    seen = b""
    try:
        while piece := os.read(ours, 65_536):
            seen += piece
    except OSError:  # how Linux says that the other end of a terminal is closed
        pass
    os.close(ours)
    process.communicate(timeout=120)

    assert process.returncode == 0
    assert "100%" in seen.decode()
    assert "\r" in seen.decode()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_request_can_be_resumed(terminal: Terminal, host: ImageHost, number: signal.Signals) -> None:
    interrupted = threading.Event()
    host.pages = {f"/{place}.jpg": Page(PICTURE, after=interrupted if place >= 10 else None) for place in range(60)}
    catalogue = terminal.catalogue(*([host.url(f"/{place}.jpg")] for place in range(60)))
    process = terminal.start("process", catalogue, "-o", str(terminal.output))
    wait_for(lambda: sum(host.hits.values()) > 20)

    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    interrupted.set()

    assert process.returncode == 128 + number
    assert not terminal.output.exists()
    assert "Traceback" not in err
    resume = err.split("flask --app app ")[1].split()
    assert resume[:2] == ["process", "--resume"]
    code, out, _ = terminal.run(*resume)
    assert (code, out.split(";")[0]) == (0, "60 of 60 images compressed")
    assert len(cells(terminal.output.read_text())) == 61


def test_beside_a_server_the_server_works_and_the_command_watches(
    server: NewServer, host: ImageHost, new_terminal: Callable[..., Terminal]
) -> None:
    host.pages = {"/a.jpg": Page(PICTURE)}
    running = server(**ALLOW)
    running.start()
    terminal = new_terminal()
    wait_for(lambda: "processes the jobs" in running.log())

    code, _, err = terminal.run("process", terminal.catalogue([host.url("/a.jpg")]), "-o", str(terminal.output))

    assert (code, err) == (0, "")
    url = cells(terminal.output.read_text())[1][3]
    assert requests.get(url, timeout=120).ok, "a URL of the server, which has another port than the command"
    request_id = url.split("/")[4]
    assert running.status(request_id)["outcome"] == "succeeded"
    wait_for(lambda: f"job {request_id}: Completed" in running.log())


def test_a_bad_catalogue_is_exit_code_2_with_a_table(terminal: Terminal) -> None:
    code, out, err = terminal.run("process", "-", "-o", str(terminal.output), stdin=BAD)

    assert (code, out) == (2, "")
    title, _, head, *lines = err.splitlines()
    assert title.startswith("1 of 2 rows")
    assert head.split() == ["LINE", "COLUMN", "VALUE", "PROBLEM"]
    assert [line.split()[0] for line in lines] == ["3", "3"]
    assert not list((terminal.folder / "instance" / "uploads").iterdir())


def test_a_setting_that_makes_no_sense_is_a_sentence(tmp_path: Path) -> None:
    code, _, err = Terminal(tmp_path, QUALITY="500").run("requests", "list")

    assert code == 2
    assert "IMAGE_PROCESSOR_QUALITY is '500'" in err
    assert "Traceback" not in err


def test_a_webhook_that_nobody_takes_is_told_with_what_to_do(
    terminal: Terminal, host: ImageHost, receiver: Receiver
) -> None:
    host.pages = {"/a.jpg": Page(PICTURE)}
    receiver.answers = [500]
    catalogue = terminal.catalogue([host.url("/a.jpg")])

    code, _, err = terminal.run("process", catalogue, "-o", str(terminal.output), "--webhook-url", receiver.url)
    assert code == 0
    assert "the receiver responded with 500" in err
    redeliver = err.split("flask --app app ")[1].split()

    assert terminal.run(*redeliver)[0] == 0


# ---- in this process: what never starts the worker -----------------------------------------------------------------


@pytest.fixture
def application(tmp_path: Path) -> Flask:
    return create_app(
        instance_path=tmp_path / "instance",
        processed_images_path=tmp_path / "processed_images",
        public_base_url="http://127.0.0.1:8000",
    )


@pytest.fixture
def run(application: Flask) -> Callable[..., Result]:
    return lambda *arguments, **more: application.test_cli_runner().invoke(args=list(arguments), **more)


@pytest.fixture
def request_id(application: Flask) -> Iterator[str]:
    body = HEAD + "1.,a,https://a.example/1.jpg\n"
    url = "https://erp.example/hook"
    answer = application.test_client().post(f"/upload?webhook_url={url}", data=body, content_type="text/csv")
    return answer.get_json()["request_id"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["process"], "CATALOGUE"),
        (["process", "-"], "-o output.csv"),
        (["process", "nowhere.csv", "-o", "x"], "nowhere.csv"),
        (["process", "-", "-o", "/nowhere/output.csv"], "/nowhere/output.csv"),
        (["process", "-", "-o", "-", "--quality", "96"], "96"),
        (["process", "-", "-o", "-", "--webhook-url", "ftp://a.example/"], "ftp://a.example/"),
        (["process", "--resume", "x", "-o", "-"], "There is no job 'x'"),
        (["requests", "show", "x"], "There is no job 'x'"),
        (["requests", "list", "--status", "Done"], "Done"),
        (["webhook", "redeliver", "x", "y"], "There is no job 'x'"),
        (["prune", "--days", "-1"], "-1"),
    ],
)
def test_what_cannot_be_done_is_a_sentence_and_exit_code_2(
    run: Callable[..., Result], arguments: list[str], word: str
) -> None:
    result = run(*arguments, input=HEAD + "1.,a,https://a.example/1.jpg\n")

    assert result.exit_code == 2
    assert word in result.stderr
    assert result.stdout == ""


def test_a_dry_run_stores_nothing(run: Callable[..., Result], tmp_path: Path) -> None:
    good = run("process", "-", "--dry-run", input=HEAD + "1.,a,https://a.example/1.jpg\n")
    bad = run("process", "-", "--dry-run", input=BAD)

    assert (good.exit_code, good.stdout) == (0, "The catalogue is valid. Rows: 1, images: 1, hosts: 1.\n")
    assert bad.exit_code == 2
    assert "Product Name" in bad.stderr
    assert not list((tmp_path / "instance" / "uploads").iterdir())


def test_more_than_the_limit_is_not_read(tmp_path: Path) -> None:
    small = create_app(instance_path=tmp_path / "i", processed_images_path=tmp_path / "p", max_upload_bytes=1_000)

    result = small.test_cli_runner().invoke(args=["process", "-", "-o", "-"], input="x" * 5_000)

    assert result.exit_code == 2
    assert "at most 1,000" in result.stderr


def test_requests_are_listed_and_shown(run: Callable[..., Result], request_id: str) -> None:
    listed, as_json = run("requests", "list"), run("requests", "list", "--json", "--status", "Pending")
    shown, body = run("requests", "show", request_id), run("requests", "show", request_id, "--json")

    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["JOB", request_id]
    (one,) = json.loads(as_json.stdout)
    assert (one["request_id"], {"webhook", "products", "products_truncated"} & set(one)) == (request_id, set())
    assert "Accepted; the images are processed next." in shown.stdout
    assert json.loads(body.stdout)["counts"]["total"] == 1


def test_the_list_does_not_count_failed_images_as_done(
    run: Callable[..., Result], application: Flask, request_id: str
) -> None:
    application.extensions["services"].worker._pipeline.fail(request_id, "It could not be processed.")

    head, row = run("requests", "list").stdout.splitlines()

    assert row[head.index("IMAGES") :].split("  ")[0] == "0/1, 1 failed"


def test_a_webhook_is_made_due_again(run: Callable[..., Result], application: Flask, request_id: str) -> None:
    with application.app_context():
        application.extensions["services"].worker._pipeline.fail(request_id, "It could not be processed.")
    shown = run("requests", "show", request_id).stdout
    delivery_id = next(word for word in shown.split() if word.startswith("msg_"))

    result = run("webhook", "redeliver", request_id, delivery_id)

    assert (result.exit_code, delivery_id in result.stdout) == (0, True)
    assert run("webhook", "redeliver", request_id, "msg_0").exit_code == 2


def test_prune_removes_old_requests_and_orphans(
    run: Callable[..., Result], application: Flask, request_id: str, tmp_path: Path
) -> None:
    with application.app_context():
        application.extensions["services"].worker._pipeline.fail(request_id, "It could not be processed.")
    orphan = tmp_path / "processed_images" / "00000000-0000-4000-8000-000000000000"
    orphan.mkdir()

    by_setting, young, old = run("prune"), run("prune", "--days", "1"), run("prune", "--days", "0")

    assert "RETENTION_DAYS is 0" in by_setting.stdout
    assert by_setting.stdout.startswith("Deleted jobs: 0, files of jobs that no longer exist: 1.")
    assert young.stdout.startswith("Deleted jobs: 0,")
    assert old.stdout.startswith("Deleted jobs: 1,")
    assert not orphan.exists()
    assert run("requests", "list").stdout.count(request_id) == 0


@pytest.mark.parametrize(
    "command", [["process"], ["prune"], ["requests", "list"], ["requests", "show"], ["webhook", "redeliver"]]
)
def test_help_has_examples(run: Callable[..., Result], command: list[str]) -> None:
    help_text = run(*command, "--help").stdout

    assert f"  flask --app app {' '.join(command)}" in help_text
