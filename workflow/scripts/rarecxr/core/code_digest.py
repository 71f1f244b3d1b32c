"""A digest of the code behind a stage, so that changed code re-runs it.

Snakemake notices an edited script by its time stamp alone and an edited module that a
script imports not at all. This digest covers a script and all project modules that it
imports, directly or through others, wherever in the file the import stands.
"""

import ast
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path


def code_digest(script: Path) -> str:
    """Digest of what a script does, with the project modules that it imports.

    Comments, docstrings (those below a setting, too) and layout do not count. Hashed are node
    names and non-empty fields of the syntax tree, which Python 3.9 to 3.13 agree on.

    Args:
        script: the script; modules beside it, or in packages beside it, are the project's.

    Returns:
        64 hexadecimal digits.
    """
    digests = [f"{name} {_module(path)[0]}" for name, path in sorted(_closure(script).items())]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def modules(script: Path) -> set[str]:
    """Names of the project modules that a script imports, directly or through others."""
    return set(_closure(script)) - {"__main__"}


def _closure(script: Path) -> dict[str, Path]:
    root = script.parent
    found = {"__main__": script}
    pending = [script]
    while pending:
        for name in _module(pending.pop())[1]:
            path = _find(root, name)
            if path and name not in found:
                found[name] = path
                pending.append(path)
    return found


def _find(root: Path, name: str) -> Path | None:
    """The file of the project module `name`; None for other packages and for non-modules."""
    place = root.joinpath(*name.split("."))
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.is_file():
            return path
    return None


def _module(path: Path) -> tuple[str, tuple[str, ...]]:
    """Digest of one file's syntax tree, and the names that it may import."""
    stat = path.stat()
    return _read(path, stat.st_mtime_ns, stat.st_size)


@functools.cache
def _read(path: Path, mtime_ns: int, size: int) -> tuple[str, tuple[str, ...]]:
    tree = ast.parse(path.read_bytes(), filename=str(path))
    names = tuple(sorted(set(_imports(tree))))
    digest = hashlib.sha256("\n".join(_written_out(tree)).encode()).hexdigest()
    return digest, names


def _imports(tree: ast.AST) -> Iterator[str]:
    """Every dotted name that an import may load: packages on the way included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            targets = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in targets:
            parts = target.split(".")
            yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def _written_out(node: ast.AST, depth: int = 0) -> Iterator[str]:
    yield f"{depth} {type(node).__name__}"
    for field, value in ast.iter_fields(node):
        for item in value if isinstance(value, list) else [value]:
            if _is_text_alone(item):
                continue
            if isinstance(item, ast.AST):
                yield f"{depth} {field}:"
                yield from _written_out(item, depth + 1)
            elif item is not None:
                yield f"{depth} {field}={item!r}"


def _is_text_alone(node: object) -> bool:
    """Whether this is a statement that is nothing but text: it does nothing."""
    text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return text and isinstance(node.value.value, str)
