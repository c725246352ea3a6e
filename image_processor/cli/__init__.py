"""The command line."""

from image_processor.cli.commands import register

__all__ = ["register"]
