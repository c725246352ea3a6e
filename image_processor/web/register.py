"""Registers the API, the pages and their error handlers."""

import logging

from flask import request
from flask.typing import ResponseReturnValue
from flask_bootstrap import Bootstrap5
from flask_openapi.openapi import OpenAPI
from flask_wtf import CSRFProtect
from werkzeug.exceptions import HTTPException, InternalServerError

from image_processor.errors import RequestError, StoreUnavailable, Unavailable
from image_processor.jobs import RETRY_SECONDS
from image_processor.web.api import api, problem
from image_processor.web.docs import docs
from image_processor.web.guard import Guard
from image_processor.web.pages import error_page, pages

log = logging.getLogger(__name__)


def register(app: OpenAPI, guard: Guard) -> None:
    """Give the application its API and pages, behind the guard."""
    guard.init_app(app)
    Bootstrap5(app)
    CSRFProtect(app)
    app.register_api(api)
    app.register_blueprint(pages)
    app.register_blueprint(docs)
    app.register_error_handler(RequestError, _handle_error)
    app.register_error_handler(HTTPException, _handle_error)
    app.register_error_handler(StoreUnavailable, _handle_pause)
    app.register_error_handler(Exception, _handle_defect)


def _handle_error(error: RequestError | HTTPException) -> ResponseReturnValue:
    """As a page for a browser on the URL of a page, else as problem details."""
    wants_page = request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"
    is_api = request.blueprint == "api" or request.path.startswith("/api/")
    return error_page(error) if wants_page and not is_api else problem(error)


def _handle_pause(error: StoreUnavailable) -> ResponseReturnValue:
    return _handle_error(Unavailable(str(error), retry_after=RETRY_SECONDS))


def _handle_defect(error: Exception) -> ResponseReturnValue:
    log.exception("%s %s failed", request.method, request.path, exc_info=error)
    return _handle_error(InternalServerError("An internal error occurred in SKUlight; the log has the details."))
