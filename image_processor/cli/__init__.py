"""The command line."""

from image_processor.cli.commands import Surroundings, register

__all__ = [
    "Surroundings",
    "register",
]
