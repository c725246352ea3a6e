"""How Alembic reaches the database: through the application that runs the migration."""

from typing import Any

from alembic import context
from flask import current_app

database = current_app.extensions["migrate"].db


def _skip_empty(_context: Any, _revision: Any, directives: list[Any]) -> None:
    """Write no migration when the models did not change."""
    if getattr(context.config.cmd_opts, "autogenerate", False) and directives[0].upgrade_ops.is_empty():
        directives[:] = []


def _plain_types(kind: str, thing: Any, _autogen: Any) -> Any:
    """Migrations outlive the code: a type of ours stands in them as the plain type it is stored as."""
    return "sa.DateTime()" if kind == "type" and type(thing).__name__ == "UTCDateTime" else False


with database.engine.execution_options(writes=True).connect() as connection:
    if connection.dialect.name == "sqlite":
        # A batch migration copies a table and drops the old one; with foreign keys on, the drop would delete what
        # belongs to its rows. The connection is thrown away afterwards.
        connection.connection.driver_connection.execute("PRAGMA foreign_keys=OFF")
    context.configure(
        connection=connection,
        target_metadata=database.metadata,
        transactional_ddl=True,  # SQLite can, too: a process killed midway leaves the old schema, not half of the new
        render_item=_plain_types,
        process_revision_directives=_skip_empty,
        **current_app.extensions["migrate"].configure_args,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.invalidate()
