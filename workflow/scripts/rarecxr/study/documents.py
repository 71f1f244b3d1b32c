"""The files that are made from the model: the commented reference configuration and the schema."""

import textwrap
from collections.abc import Iterator
from typing import Any, get_args

import yaml
from pydantic.fields import FieldInfo

from rarecxr.study.check import takes
from rarecxr.study.configuration.study import Configuration
from rarecxr.study.configuration.training import Arm
from rarecxr.study.schema import json_schema
from rarecxr.study.values import DEFAULT, Section, Varying

_WIDTH = 100

_HEAD = """\
# The demo study, and the reference: every setting with its meaning, range and default.
# Another study's file names only what differs (config/chexpert.yaml, config/cxr-real.yaml):
#     snakemake --cores all --configfile config/chexpert.yaml
# YAML reads 1e-3 as text: write 1.0e-3 or 0.001.
# Made by `python workflow/scripts/write_config.py` from the model in rarecxr/study/configuration.
"""

_SCHEMA_HEAD = """\
# What a configuration may say; unknown keys are refused. config/config.yaml is easier to read.
# Made by `python workflow/scripts/write_config.py` from the model in rarecxr/study/configuration.
"""

# Written by name although one value would do: what a study's file adds to it keeps the default.
_BY_NAME = ("uncertain",)


def reference() -> str:
    """The text of config/config.yaml."""
    schema = json_schema()
    lines = []
    for name, field in Configuration.model_fields.items():
        lines += ["", *_setting(schema, name, field, getattr(Configuration(), name), 0)]
    return _HEAD + "\n".join(lines) + "\n"


def schema_text() -> str:
    """The text of config/schema.yaml."""
    return _SCHEMA_HEAD + yaml.dump(
        json_schema(), Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=_WIDTH
    )


class _Dumper(yaml.SafeDumper):
    """Lists of plain values in a line."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_sequence(self, tag, sequence, flow_style=None):
        plain = all(not isinstance(item, dict | list) for item in sequence)
        return super().represent_sequence(tag, sequence, flow_style=plain)


_Dumper.add_representer(
    list, lambda dumper, data: dumper.represent_sequence("tag:yaml.org,2002:seq", data)
)


def _setting(schema: dict, name: str, field: FieldInfo, value: Any, depth: int) -> Iterator[str]:
    """One setting with its comment, and everything below it."""
    kind = _section_of(field)
    about = field.description or (kind.__doc__ if kind else "") or ""
    node = _node(schema, field, name)
    described = _paragraphs(about)
    if kind is not None and value is None:
        described.append("null, or any of:")
    yield from _comment(described, depth)
    if kind is None and depth:
        yield from _comment([_sentence(takes(schema, node))], depth)
    if kind is not None and value is None:
        yield from _listed_keys(schema, kind, depth)
    entry = _entry_of(field)
    if entry:
        for one in entry:
            if len(entry) > 1:
                yield from _comment([f"{one.__doc__.strip()}"], depth)
            yield from _listed_keys(schema, one, depth)
    indent = "  " * depth
    if isinstance(value, Section):
        yield f"{indent}{name}:"
        for below, part in type(value).model_fields.items():
            yield from _setting(schema, below, part, getattr(value, below), depth + 1)
    else:
        yield from _written(name, _plain(name, value), depth)


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, Varying):
        if value.named or name in _BY_NAME or value.default is None:
            default = {} if value.default is None else {DEFAULT: value.default}
            return _plain("", default | value.named)
        return _plain("", value.default)
    if isinstance(value, Section):
        return _plain("", value.model_dump(mode="json", exclude_defaults=isinstance(value, Arm)))
    if isinstance(value, dict):
        return {key: _plain("", inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain("", inner) for inner in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _written(name: str, value: Any, depth: int) -> Iterator[str]:
    """A key and its value: in one line where that is short enough."""
    indent = "  " * depth
    line = f"{indent}{name}: {_flow(value)}"
    if len(line) <= _WIDTH and not (isinstance(value, dict) and len(value) > 3):
        yield line
    elif isinstance(value, dict):
        yield f"{indent}{name}:"
        for key, inner in value.items():
            yield from _written(key, inner, depth + 1)
    else:
        yield f"{indent}{name}:"
        yield from (f"{indent}  - {_flow(item)}" for item in value)


def _flow(value: Any) -> str:
    text = yaml.safe_dump(
        value, default_flow_style=True, width=10_000, allow_unicode=True, sort_keys=False
    )
    return text.strip().removesuffix("...").strip()


def _paragraphs(text: str) -> list[str]:
    return [" ".join(part.split()) for part in text.strip().split("\n\n") if part.strip()]


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _comment(paragraphs: list[str], depth: int) -> Iterator[str]:
    """What a setting means and takes: the parts of it follow one another."""
    begin = "  " * depth + "# "
    text = " ".join(paragraphs)
    for line in textwrap.wrap(text, _WIDTH - len(begin), break_on_hyphens=False):
        yield begin + line


def _listed_keys(schema: dict, kind: type[Section], depth: int) -> Iterator[str]:
    """The keys of a section that the reference does not show, one comment for each."""
    begin = "  " * depth + "#   "
    names = [name for name in kind.model_fields if name != "kind"]
    wide = max(map(len, names))
    for name in names:
        field = kind.model_fields[name]
        part = schema["$defs"][kind.__name__]["properties"][name]
        about = " ".join(_paragraphs(field.description or ""))
        text = f"{about} {_sentence(takes(schema, part))}"
        if not field.is_required():
            text += f" Default: {_flow(_plain(name, field.get_default()))}."
        lines = textwrap.wrap(text, _WIDTH - len(begin) - wide - 2, break_on_hyphens=False)
        yield f"{begin}{name:{wide}}  {lines[0]}"
        yield from (f"{begin}{'':{wide}}  {line}" for line in lines[1:])


def _node(schema: dict, field: FieldInfo, name: str) -> dict:
    for part in (schema, *schema["$defs"].values()):
        inner = part.get("properties", {}).get(name)
        if inner and inner.get("description", None) == (field.description or None):
            return inner
    return schema["properties"].get(name, {})


def _section_of(field: FieldInfo) -> type[Section] | None:
    """The section that a field holds, optional or not."""
    for kind in (field.annotation, *get_args(field.annotation)):
        if isinstance(kind, type) and issubclass(kind, Section):
            return kind
    return None


def _entry_of(field: FieldInfo) -> list[type[Section]]:
    """The sections that a field holds by name."""
    if getattr(field.annotation, "__origin__", None) is not dict:
        return []
    found, pending = [], [get_args(field.annotation)[1]]
    while pending:
        kind = pending.pop(0)
        if isinstance(kind, type) and issubclass(kind, Section):
            found.append(kind)
        else:
            pending += [part for part in get_args(kind) if not isinstance(part, str)]
    return found
