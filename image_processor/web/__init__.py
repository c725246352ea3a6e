"""Browsers and programs: pages and REST. Owns Flask."""

from image_processor.web.api import api as api_blueprint
from image_processor.web.api import invalid_option, problem
from image_processor.web.docs import docs as docs_blueprint
from image_processor.web.guard import Guard
from image_processor.web.pages import error_page
from image_processor.web.pages import pages as pages_blueprint
from image_processor.web.schemas import Problem

__all__ = [
    "Guard",
    "Problem",
    "api_blueprint",
    "docs_blueprint",
    "error_page",
    "invalid_option",
    "pages_blueprint",
    "problem",
]
