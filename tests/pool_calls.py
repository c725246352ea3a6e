"""Functions that tests run in the processes of an image pool."""

import ctypes
import os
import time


def raising(error: Exception) -> None:
    """Raise it."""
    raise error


def reported(pid_file: str, then: str) -> int:
    """Append the number of this process to a file, then evaluate an expression."""
    with open(pid_file, "a") as file:
        file.write(f"{os.getpid()}\n")
    return int(eval(then, {"os": os, "time": time, "ctypes": ctypes}) or 0)
