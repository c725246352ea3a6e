"""Every regular expression of the program takes time in proportion to its text, whatever the text."""

import ast
import importlib
import os
import pkgutil
import re
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from re import _constants as code  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest

import image_processor

# A pattern that looks at each pair of characters takes minutes for this many, a linear one some milliseconds.
REPETITIONS = 100_000
SECONDS = 900
METHODS = ("match", "fullmatch", "search", "sub", "split", "findall", "finditer")
OUTSIDE = ("\n", "\x01", "")  # what no pattern, or only some, match
EXAMPLES = {
    code.CATEGORY_DIGIT: "0", code.CATEGORY_NOT_DIGIT: "x", code.CATEGORY_SPACE: " ", code.CATEGORY_NOT_SPACE: "x",
    code.CATEGORY_WORD: "w", code.CATEGORY_NOT_WORD: "-",
}  # fmt: skip


def patterns() -> dict[str, tuple[re.Pattern[Any], set[str]]]:
    """Every pattern of the package by a name, with the methods it is used with.

    Those in the variables of modules, and those that a call of `re` has as a text.
    """
    found: dict[str, tuple[re.Pattern[Any], set[str]]] = {}
    for info in pkgutil.walk_packages(image_processor.__path__, "image_processor."):
        if info.ispkg:  # it only shows what its modules have
            continue
        module = importlib.import_module(info.name)
        tree = ast.parse(Path(str(module.__file__)).read_text())
        uses = [(node.value.id, node.attr) for node in ast.walk(tree) if _is_use(node)]
        others = {method for owner, method in uses if owner != "re" and owner not in vars(module)}
        for name, value in vars(module).items():
            methods = {method for owner, method in uses if owner == name} or others or {"match"}
            found |= {f"{info.name}.{name}.{at}": (pattern, methods) for at, pattern in enumerate(_inside(value))}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _is_use(node.func) and node.func.value.id == "re":
                text = ast.literal_eval(node.args[0])
                found[f"{info.name}: {text!r}"] = (re.compile(text), {node.func.attr})
    return found


def _is_use(node: ast.AST) -> bool:
    """Whether `node` is a method of a pattern that a variable (or the module `re`) has."""
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.attr in METHODS


def _inside(value: object) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from _inside(part)
    elif isinstance(value, dict):
        yield from _inside([*value.keys(), *value.values()])


def attacks(pattern: re.Pattern[Any]) -> Iterator[str]:
    """Texts that repeat a piece of what the pattern matches, and then do not match."""
    tree = parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG)
    pieces = list(dict.fromkeys(piece for piece in _pieces(tree) if piece))
    singles = list(dict.fromkeys(character for piece in pieces for character in piece))
    for start in dict.fromkeys(("", *_beginnings(tree))):
        for piece in dict.fromkeys((*pieces, *singles)):
            for end in OUTSIDE:
                yield start + piece * (REPETITIONS // len(piece)) + end


def _example(tree: Any) -> str:
    """A text that the parsed pattern matches, more or less."""
    return "".join(_example_of(name, value) for name, value in tree)


def _example_of(name: Any, value: Any) -> str:
    if name is code.LITERAL:
        return chr(value)
    if name in (code.ANY, code.NOT_LITERAL):
        return "x"
    if name is code.IN:
        return _member(value)
    if name is code.BRANCH:
        return _example(value[1][0])
    if name is code.SUBPATTERN:
        return _example(value[3])
    if name is code.ATOMIC_GROUP:
        return _example(value)
    if name in (code.MAX_REPEAT, code.MIN_REPEAT, code.POSSESSIVE_REPEAT):
        return _example(value[2]) * max(1, min(value[0], 20))
    return ""


def _member(members: Any) -> str:
    if members[0][0] is code.NEGATE:
        return next(chr(at) for at in range(97, 65_536) if not _is_member(chr(at), members[1:]))
    name, value = members[0]
    if name is code.CATEGORY:
        return EXAMPLES[value]
    return chr(value[0] if name is code.RANGE else value)


def _is_member(character: str, members: Any) -> bool:
    return any(
        (name is code.LITERAL and ord(character) == value)
        or (name is code.RANGE and value[0] <= ord(character) <= value[1])
        or (name is code.CATEGORY and EXAMPLES[value] == character)
        for name, value in members
    )


def _pieces(tree: Any) -> Iterator[str]:
    """What the pattern and each of its parts match, and each member of its sets of characters."""
    yield _example(tree)
    for name, value in tree:
        yield _example_of(name, value)
        if name is code.IN:
            yield from (_member([member]) for member in value if member[0] is not code.NEGATE)
        for inner in _parts(name, value):
            yield from _pieces(inner)


def _parts(name: Any, value: Any) -> list[Any]:
    if name is code.BRANCH:
        return list(value[1])
    if name in (code.MAX_REPEAT, code.MIN_REPEAT, code.POSSESSIVE_REPEAT):
        return [value[2]]
    if name is code.SUBPATTERN:
        return [value[3]]
    if name is code.ATOMIC_GROUP:
        return [value]
    return [value[1]] if name in (code.ASSERT, code.ASSERT_NOT) else []


def _beginnings(tree: Any) -> Iterator[str]:
    """What matches up to each repetition of the pattern."""
    for at, (name, value) in enumerate(tree):
        if name in (code.MAX_REPEAT, code.MIN_REPEAT, code.POSSESSIVE_REPEAT):
            yield _example(tree[:at])
        for inner in _parts(name, value):
            yield from (_example(tree[:at]) + start for start in _beginnings(inner))


def test_every_pattern_of_the_program_is_linear_on_repeated_pieces_of_its_own_language() -> None:
    run = [sys.executable, __file__]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    try:
        done = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired as error:
        output = error.stdout.decode() if isinstance(error.stdout, bytes) else error.stdout
        pytest.fail(f"This pattern takes for ever: {(output or '').splitlines()[-1:]}")
    assert done.returncode == 0, done.stderr
    assert "imaging.formats._MARKUP.0" in done.stdout and "urls._BOUNDARY.0" in done.stdout
    assert "jobs.queries: " in done.stdout  # one that is written where it is used


def test_the_attacks_would_find_a_pattern_that_takes_for_ever() -> None:
    exponential = re.compile(r"(?:\s*<!--.*?-->)*\s*<html")
    assert any(text.startswith(" <!--x--> <!--x-->") for text in attacks(exponential))
    assert any(text.startswith("aaaa") for text in attacks(re.compile(r"(a+)+$")))


def main() -> None:
    """Try every pattern with every attack, and say which is being tried."""
    for name, (pattern, methods) in patterns().items():
        sys.stdout.write(f"{name}\n")
        sys.stdout.flush()
        for text in attacks(pattern):
            subject = text if isinstance(pattern.pattern, str) else text.encode("latin-1", "replace")
            for method in methods:
                result = getattr(pattern, method)(*(subject[:0], subject) if method == "sub" else (subject,))
                if method == "finditer":
                    deque(result, maxlen=0)


if __name__ == "__main__":
    main()
