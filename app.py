"""The application: reads the settings, builds every part once, connects them. No module imports this one."""

import fcntl
import gc
import logging
import os
import secrets
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

import click
from flask import Flask
from flask_openapi import Info, OpenAPI
from sqlalchemy import inspect, text
from sqlalchemy.exc import DatabaseError
from werkzeug.middleware.proxy_fix import ProxyFix

from image_processor.catalogue import CSVLimits, warm_up
from image_processor.cli import register as register_commands
from image_processor.config import Settings, load_settings
from image_processor.download import AllowedAddresses, Downloader, GuardedClient, HostLimits
from image_processor.errors import ConfigError
from image_processor.imaging import Compressor, ImagePool
from image_processor.jobs import (
    SECRET_FORM,
    Actions,
    Deliveries,
    DownloadThreads,
    ImageJob,
    ImageProcessor,
    Inbox,
    Metrics,
    Originals,
    Pipeline,
    Queries,
    Services,
    Thumbnails,
    UploadOptions,
    Uploads,
    Worker,
    new_secret,
    valid_secret,
)
from image_processor.logs import HTTPRequestIds, formatter
from image_processor.store import Database, Health, Jobs, Listings, Outbox, Products, Storage, db, prepare_engine
from image_processor.urls import check_url, normalise
from image_processor.web import Guard, Problem, invalid_option
from image_processor.web import register as register_web

VERSION = "0.1.0"
DO_NOT_TRY_AGAIN = 4  # gunicorn.arbiter.Arbiter.APP_LOAD_ERROR
# An image that takes longer is processed once more, alone, so that slow images do not delay the others.
QUICK_SECONDS = 5.0
DISPLAY_SECONDS = 10.0
MIGRATIONS = Path(__file__).parent / "migrations"

log = logging.getLogger("skulight")


def create_app(**overrides: object) -> Flask:
    """Build the application; `overrides` (names of settings) win over the environment.

    Nothing is processed yet: the server starts `app.extensions["services"].worker`. Raises ConfigError, with a
    sentence, when a setting is not valid.
    """
    try:
        return _create_app(load_settings(**overrides))
    except ConfigError as error:
        if click.get_current_context(silent=True):  # the `flask` command prints it without a traceback
            raise click.UsageError(f"SKUlight does not start. {error}") from error
        raise


def _create_app(settings: Settings) -> Flask:
    _start_log(settings)
    _make_folders(settings)
    app = _new_app(settings)
    _prepare_database(app, settings)
    _build(app, settings)
    register_web(app, _guard(settings))
    register_commands(app)
    return app


def serve() -> Flask:
    """The application for gunicorn; exits with one sentence when a setting is not valid."""
    try:
        return create_app()
    except ConfigError as error:
        log.critical("SKUlight does not start. %s", error)
        sys.exit(DO_NOT_TRY_AGAIN)


# ---- the application -------------------------------------------------------------------------------------------------


def _make_folders(settings: Settings) -> None:
    for name in ("instance_path", "processed_images_path"):
        folder: Path = getattr(settings, name)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise ConfigError(
                f"IMAGE_PROCESSOR_{name.upper()} is {str(folder)!r}, which is not writable ({error.strerror}). "
                "Make the folder writable for this user, or set another one."
            ) from error
    os.umask(0o077)  # new files are private; only `Storage` makes images readable for others
    with suppress(PermissionError):  # the folder of another user
        settings.instance_path.chmod(0o700)


def _new_app(settings: Settings) -> OpenAPI:
    app = OpenAPI(
        __name__,
        info=Info(
            title="SKUlight", version=VERSION, description="Compresses and hosts the images of product catalogues."
        ),
        doc_ui=False,
        validation_error_status=400,
        validation_error_model=Problem,
        validation_error_callback=invalid_option,
    )
    app.openapi_version = "3.1.0"
    if settings.proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=settings.proxies, x_proto=settings.proxies)  # type: ignore[method-assign]
    app.wsgi_app = HTTPRequestIds(app.wsgi_app)  # type: ignore[method-assign]
    instance = settings.instance_path.resolve()
    app.config.update(
        SECRET_KEY=settings.secret_key
        or _kept_secret(instance / "secret_key", partial(secrets.token_urlsafe, 48), _is_key),
        SQLALCHEMY_DATABASE_URI=settings.database_url or f"sqlite:///{instance / 'skulight.db'}",
        # Up to 64 job threads and 32 HTTP threads use it at once, each for a moment. Parameters hold what users
        # sent, which does not belong in the log.
        SQLALCHEMY_ENGINE_OPTIONS={"pool_size": 20, "max_overflow": 100, "hide_parameters": True},
        MAX_CONTENT_LENGTH=settings.max_upload_bytes + 100_000,  # the form around the file
        MAX_FORM_MEMORY_SIZE=100_000,
        BOOTSTRAP_SERVE_LOCAL=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SECURE=(settings.public_base_url or "").startswith("https://"),
        WTF_CSRF_CHECK_DEFAULT=False,  # the forms of the pages check their tokens; API clients send none
    )
    return app


def _kept_secret(path: Path, make: Callable[[], str], valid: Callable[[str], bool]) -> str:
    """The secret in a file that only its owner may read, which the first process makes at the first start."""
    if not path.exists():
        with tempfile.NamedTemporaryFile("w", dir=path.parent) as new, suppress(FileExistsError):
            new.write(make())
            new.flush()
            os.fsync(new.fileno())
            os.link(new.name, path)  # whole, and never over another one
    secret = path.read_text(errors="surrogateescape").strip()
    if not valid(secret):
        raise ConfigError(
            f"The file {str(path)!r} is empty or holds no valid secret. Restore it from a backup, set "
            f"IMAGE_PROCESSOR_{path.name.upper()}, or remove the file: a new secret is then made at the next start."
        )
    return secret


def _is_key(text: str) -> bool:
    return len(text) >= 16 and text.isprintable()


def _start_log(settings: Settings) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(settings.log_format))
    # The `flask` command prints its results; only the server logs every step.
    quiet = click.get_current_context(silent=True) is not None and "log_level" not in settings.model_fields_set
    logging.basicConfig(handlers=[handler], level="WARNING" if quiet else settings.log_level)
    logging.captureWarnings(True)
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)


# ---- the database ----------------------------------------------------------------------------------------------------


def _prepare_database(app: Flask, settings: Settings) -> None:
    db.init_app(app)
    # Alembic takes 0.3 s to import. The `flask` command has imported it; the server needs it only to migrate.
    if "flask_migrate" in sys.modules:
        _prepare_migrations(app)
    with app.app_context(), (settings.instance_path / "migrate.lock").open("w") as lock:
        prepare_engine(db.engine)
        fcntl.lockf(lock, fcntl.LOCK_EX)  # of several processes that start at once, one migrates
        try:
            _migrate(app)
        except DatabaseError as error:
            raise ConfigError(
                f"The database cannot be read ({error.orig}). It was not changed. Restore it from a backup, or move it "
                "away to start with an empty one; IMAGE_PROCESSOR_INSTANCE_PATH and _DATABASE_URL say where it is."
            ) from error


def _migrate(app: Flask) -> None:
    """Bring the schema up to date. Raises ConfigError for one that a newer version made."""
    version, newest = _schema_version(), _newest_migration()
    if version is not None and version > newest:
        raise ConfigError(
            f"The database was made by a newer version of SKUlight (schema {version}, this one knows {newest}). "
            "Start that version, or use another IMAGE_PROCESSOR_INSTANCE_PATH."
        )
    if version != newest:
        _prepare_migrations(app).upgrade()


def _prepare_migrations(app: Flask) -> ModuleType:
    import flask_migrate

    flask_migrate.Migrate(app, db, directory=str(MIGRATIONS), render_as_batch=True)
    return flask_migrate


def _schema_version() -> str | None:
    """The migration the database is at; None for a new database."""
    with db.engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.scalar(text("SELECT version_num FROM alembic_version"))


def _newest_migration() -> str:
    """Migrations are numbered: `0001_first_tables.py`."""
    return max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


# ---- the services ----------------------------------------------------------------------------------------------------


def _build(app: Flask, settings: Settings) -> None:
    """Build everything once, and keep what the pages, the API and the command line use."""
    with app.app_context():
        database = Database(db.engine)
    jobs, products, listings, outbox = Jobs(database), Products(database), Listings(database), Outbox(database)
    storage = Storage(settings.processed_images_path, settings.instance_path / "uploads")
    health = Health((storage.images, settings.instance_path), database.check)
    csv_limits = CSVLimits(settings.max_upload_bytes, settings.max_rows, settings.max_urls_per_row, settings.max_images)
    client = _client(settings)
    metrics = Metrics(listings.queue)
    downloader, limits = Downloader(client), HostLimits(settings.per_host_connections, settings.download_threads)
    compressor = Compressor(settings.jpeg_optimize, settings.jpeg_progressive, settings.max_pixels)
    pool, display_pool = _image_pools(settings)
    threads = DownloadThreads(settings.download_threads)
    image_job = partial(
        ImageJob,
        jobs=jobs,
        products=products,
        processor=ImageProcessor(storage, downloader, limits, compressor, pool, metrics),
        threads=threads,
        limits=limits,
        metrics=metrics,
        max_attempts=settings.max_attempts,
    )
    webhook_secrets = _webhook_secrets(settings)
    actions = Actions(jobs, outbox, storage)
    deliveries = Deliveries(jobs, outbox, client, webhook_secrets, settings.schedule_seconds(), metrics, health)
    worker = Worker(
        settings.instance_path / "worker.lock",
        jobs,
        Pipeline(jobs, products, storage, image_job, csv_limits),
        deliveries,
        storage,
        threads,
        health,
        warm_up=_warm_up,
        clean_up=partial(_clean_up, actions, settings.retention_days),
        cut_network=client.cut,
        stop_images=pool.stop,
    )
    defaults = UploadOptions(settings.quality, settings.max_dimension)
    queries = Queries(jobs, products, listings, outbox, storage, health, csv_limits)
    app.extensions["services"] = Services(
        settings=settings,
        uploads=Uploads(jobs, storage, csv_limits, defaults, health, worker.submit),
        queries=queries,
        actions=actions,
        originals=Originals(queries, storage, downloader, display_pool),
        thumbnails=Thumbnails(storage, compressor, display_pool),
        inbox=Inbox(outbox, webhook_secrets),
        storage=storage,
        health=health,
        metrics=metrics,
        worker=worker,
    )


def _guard(settings: Settings) -> Guard:
    own = _own_names(settings.public_base_url) if settings.public_base_url else ()
    return Guard(
        public_base_url=settings.public_base_url,
        trusted_hosts=(*own, *settings.trusted_hosts.split(",")),
        api_key=settings.api_key,
        uploads_per_minute=settings.rate_limit,
    )


def _own_names(base_url: str) -> tuple[str, ...]:
    """The host of a public base URL, with its port and without: proxies send either."""
    if complaint := check_url(base_url):
        raise ConfigError(f"IMAGE_PROCESSOR_PUBLIC_BASE_URL is {base_url!r}. {complaint}")
    own = urlsplit(normalise(base_url))
    return own.netloc, own.hostname or ""


def _client(settings: Settings) -> GuardedClient:
    contact = f"; {settings.contact}" if settings.contact else ""
    return GuardedClient(
        user_agent=f"SKUlight/{VERSION} (product image compressor{contact})",
        allowed=AllowedAddresses.parse(settings.allowed_private_addresses),
        connect_timeout=settings.connect_timeout,
        total_timeout=settings.download_timeout,
        max_bytes=settings.max_download_bytes,
        pool_size=settings.download_threads,
    )


def _image_pools(settings: Settings) -> tuple[ImagePool, ImagePool]:
    """The processes for the images of jobs, and one for images that a page shows, which must not wait for them."""
    new_pool = partial(ImagePool, memory_bytes=settings.image_memory_bytes)
    alone = new_pool(1, seconds=settings.image_timeout, name="retries")
    quick = min(QUICK_SECONDS, settings.image_timeout)
    workers = settings.compress_threads or len(os.sched_getaffinity(0))
    return new_pool(workers, seconds=quick, alone=alone), new_pool(1, seconds=DISPLAY_SECONDS, name="display")


def _webhook_secrets(settings: Settings) -> tuple[str, ...]:
    given = settings.webhook_secret or _kept_secret(settings.instance_path / "webhook_secret", new_secret, _are_secrets)
    if not _are_secrets(given):
        raise ConfigError(
            f"IMAGE_PROCESSOR_WEBHOOK_SECRET is not valid: it must be {SECRET_FORM} (or two of them, with a space)."
        )
    return tuple(given.split())


def _are_secrets(text: str) -> bool:
    return bool(text.split()) and all(valid_secret(secret) for secret in text.split())


def _warm_up() -> None:
    """Load the libraries that the first upload needs, so that it does not wait for them."""
    warm_up()
    # To look through all that is loaded now, again and again, took the garbage collector 3% of the time.
    gc.collect()
    gc.freeze()


def _clean_up(actions: Actions, retention_days: int) -> None:
    """Delete jobs that are too old, and files that belong to no job."""
    if retention_days:
        actions.prune(retention_days)
    actions.remove_orphans()
