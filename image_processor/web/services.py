"""The services of the application that handles the current request."""

from typing import cast

from flask import current_app

from image_processor.jobs import Services


def services() -> Services:
    """What `app.py` built."""
    return cast(Services, current_app.extensions["services"])
