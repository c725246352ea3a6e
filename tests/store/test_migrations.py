"""The schema: an installation of any age is brought up to date at its next start, with what it holds."""

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from flask_migrate import Migrate, upgrade

from app import MIGRATIONS, create_app
from image_processor.store.database import prepare_engine
from image_processor.store.models import db

OLD_REQUEST = "5ba9aab8-b23c-4152-9290-1da736f716cf"
PAST = "2026-01-02 03:04:05.000000"
VERSIONS = sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def installation(folder: Path) -> Flask:
    return create_app(instance_path=folder / "instance", processed_images_path=folder / "images")


def make_old_database(folder: Path, version: str) -> Path:
    """A database at an earlier version of the schema."""
    path = folder / "instance" / "skulight.db"
    path.parent.mkdir()
    app = Flask("old")
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{path}"
    db.init_app(app)
    Migrate(app, db, directory=str(MIGRATIONS), render_as_batch=True)
    with app.app_context():
        prepare_engine(db.engine)
        upgrade(revision=version)
        db.engine.dispose()
    return path


def put_request(path: Path) -> None:
    """One finished request with one product and a due webhook, by whatever columns the tables have and demand."""
    connection = sqlite3.connect(path)
    for table, known in (
        ("requests", {"id": OLD_REQUEST, "status": "Completed", "row_count": 1, "table_options": "{}"}),
        ("products", {"id": 1, "request_id": OLD_REQUEST, "row": 1, "status": "Completed"}),
        ("webhook_deliveries", {"id": "msg_1", "request_id": OLD_REQUEST, "url": "https://a.example/", "due_at": PAST}),
    ):
        columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
        values = {
            name: known.get(name, PAST if kind == "DATETIME" else "[]" if kind == "JSON" else 0)
            for _, name, kind, required, *_ in columns
            if required or name in known
        }
        marks = ",".join("?" * len(values))
        connection.execute(f"INSERT INTO {table} ({','.join(values)}) VALUES ({marks})", tuple(values.values()))
    connection.commit()
    connection.close()


def test_the_migrations_make_the_tables_of_the_models(tmp_path: Path) -> None:
    with installation(tmp_path).app_context(), db.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), db.metadata) == []
        db.engine.dispose()


@pytest.mark.parametrize("version", VERSIONS[:-1])
def test_an_older_database_is_brought_up_to_date_with_all_that_is_in_it(tmp_path: Path, version: str) -> None:
    path = make_old_database(tmp_path, version)
    put_request(path)

    client = installation(tmp_path).test_client()
    status = client.get(f"/api/v1/requests/{OLD_REQUEST}").get_json()

    assert (status["status"], status["row_count"], len(status["products"])) == ("Completed", 1, 1)
    rows = sqlite3.connect(path).execute("SELECT version_num FROM alembic_version").fetchall()
    assert rows == [(VERSIONS[-1],)]
