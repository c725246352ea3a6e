"""Browsers and programs: pages and REST. Owns Flask."""

from image_processor.web.api import invalid_option
from image_processor.web.guard import Guard
from image_processor.web.register import register
from image_processor.web.schemas import Problem

__all__ = ["Guard", "Problem", "invalid_option", "register"]
