"""The REST API. The classes in `schemas` check its requests and are the OpenAPI document, too."""

from image_processor.web.api import results, server, uploads, webhooks  # noqa: F401 - registers the routes
from image_processor.web.api.blueprint import api, invalid_option, problem

__all__ = ["api", "invalid_option", "problem"]
