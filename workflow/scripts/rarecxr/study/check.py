"""The check of a study's configuration, before any job starts."""

import difflib
import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from rarecxr.study.configuration.study import Configuration, disagreements
from rarecxr.study.schema import json_schema
from rarecxr.study.values import FINDING_PATTERN, near

# What a key is called today, by its section (or a part of it) and what it was called once.
RENAMED = {
    "gan.lr": "learning_rate",
    "gan.minibatch": "batch_size",
    "gan.resident_gib": "pixel_memory_mib",
    "gan.resume_s": "resume_interval_s",
    "gan.watch": "evaluation",
    "bank.batch": "batch_size",
    "classifier.batch": "batch_size",
    "classifier.memory_limit_mb": "pixel_memory_mib",
    "features.batch": "batch_size",
    "features.memory_limit_mb": "pixel_memory_mib",
}

# What the place of a mistake holds to say which alternative of values by name was looked at.
_TAGS = ("one", "several", "list", "ratio")

_KINDS = {
    "object": "a section",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}

_PATTERNS = {
    r"^[^\r\n]+$": "in one line",
    FINDING_PATTERN: "with a letter or digit, without braces",
    "^[a-z][a-z0-9_]*$": "lower-case letters, digits and _, a letter first",
    "^[A-Za-z0-9_]+$": "letters, digits and _",
    "^[A-Za-z0-9][A-Za-z0-9_-]*$": "letters, digits, - and _, a letter or digit first",
    r"^[^/{}\x00-\x1f][^{}\x00-\x1f]*$": "a path below the root, without braces",
}


def check(config: Mapping[str, Any]) -> Configuration:
    """The configuration as typed sections.

    Raises:
        ValueError: it cannot be run as it stands. One line for each mistake, all of them: the key,
            what it got and what it takes.
    """
    try:
        configuration = Configuration.model_validate(dict(config))
        errors = []
    except ValidationError as error:
        configuration, errors = None, error.errors()
    lines = list(_explained(config, errors))
    fitting = disagreements(_right_by_themselves(config, errors))
    lines += [f"{key}: {what}" for key, what in fitting]
    if lines:
        lines = list(dict.fromkeys(lines))
        raise ValueError("the configuration cannot be used\n  " + "\n  ".join(lines))
    return configuration


def _right_by_themselves(config: Mapping[str, Any], errors: list[dict]) -> dict[str, Any]:
    """The sections without a mistake, as objects."""
    wrong = {error["loc"][0] for error in errors if error["loc"]}
    return {
        name: TypeAdapter(field.rebuild_annotation()).validate_python(config[name], strict=True)
        if name in config
        else field.get_default(call_default_factory=True)
        for name, field in Configuration.model_fields.items()
        if name not in wrong
    }


def _explained(config: Mapping[str, Any], errors: list[dict]) -> Iterator[str]:
    schema = json_schema()
    unknown = [error["loc"][:-1] for error in errors if error["loc"][-1:] == ("[key]",)]
    for error in errors:
        # Of a name that does not exist the value is no matter.
        if error["loc"] not in unknown:
            yield from _explain(config, schema, error)


def _explain(config: Mapping[str, Any], schema: dict, error: dict) -> Iterator[str]:
    """One line for each thing that is wrong."""
    kind, place, got = error["type"], list(error["loc"]), error["input"]
    of_key = bool(place) and place[-1] == "[key]"
    if of_key:
        place.pop()
    path, node = _walk(schema, place[:-1] if of_key else place)
    key = dotted(path)
    if kind == "contradiction":
        for below, what in error["ctx"]["found"]:
            yield f"{dotted(path)}.{below}: {what}" if path else f"{below}: {what}"
    elif of_key:
        names = _alternatives(schema, node, "propertyNames")
        known = [name for part in names for name in part.get("enum", ())]
        if known:
            yield f"{key}.{got}: {near(got, [*known[1:], known[0]], _named_by(known))}"
        else:
            patterns = _alternatives(schema, node, "patternProperties")
            wanted = [_PATTERNS.get(pattern, pattern) for part in patterns for pattern in part]
            bounds = [f"at most {part['maxLength']} characters" for part in names]
            yield f"{key}: got the name {shown(got)}; takes {', '.join([*wanted, *bounds])}"
    elif kind == "extra_forbidden":
        # The name is the last part of the place even where that looks like an alternative's tag.
        section, name = _walk(schema, place[:-1])[0], place[-1]
        path = [*section, name]
        key = dotted(path)
        if (new := RENAMED.get(key)) is not None:
            yield f"{key}: no such key any more; it is called {new}"
        else:
            node = _resolved(schema, _walk(schema, section)[1])
            kinds = node.get("discriminator", {}).get("mapping", {})
            if place[-2:-1] and place[-2] in kinds:
                node = {"$ref": kinds[place[-2]]}
            known = [key for part in _alternatives(schema, node, "properties") for key in part]
            yield f"{key}: {near(name, known, 'key')}"
    elif kind == "invalid_key":
        section = dotted(path[:-1]) if path[:-1] else "the configuration"
        got = shown(place[-1])
        yield f"{section}: got the key {got}; keys are text, named in config/schema.yaml"
    elif kind == "missing":
        yield f"{key}: missing; takes {_takes(schema, node)}"
    elif kind in ("union_tag_not_found", "union_tag_invalid") and isinstance(got, Mapping):
        name = error["ctx"]["discriminator"].strip("'")
        parts = [part[name] for part in _alternatives(schema, node, "properties")]
        known = _listed([part.get("const") for part in parts])
        found = f"got {shown(got[name])}" if name in got else "missing"
        yield f"{dotted([*path, name])}: {found}; takes one of {known}"
    elif kind in ("distinct", "path"):
        yield f"{key}: got {shown(got)}, which {error['msg']}; takes {_takes(schema, node)}"
    else:
        value = _value(config, path, got)
        yield f"{key}: got {shown(value)}; takes {_takes(schema, node, value)}"


def _value(config: Any, path: list, got: Any) -> Any:
    """What the configuration has at a place; `got`, what the check looked at last, if nothing."""
    for part in path:
        try:
            config = config[part]
        except (KeyError, IndexError, TypeError):
            return got
    return config


def _walk(schema: dict, place: list) -> tuple[list, dict]:
    """The keys of a place and its part of the schema, without the tags of alternatives."""
    path, node = [], schema
    for part in place:
        below = _below(schema, node, part)
        if below is not None:
            path.append(part)
            node = below
        elif not _has_alternatives(schema, node):
            # A key that does not exist.
            path.append(part)
            node = {}
    return path, node


def _below(schema: dict, node: dict, part: Any) -> dict | None:
    if isinstance(part, int):
        for items in _alternatives(schema, node, "items"):
            return items
        return None
    for properties in _alternatives(schema, node, "properties"):
        if part in properties:
            return properties[part]
    patterns = _alternatives(schema, node, "patternProperties")
    more = _alternatives(schema, node, "additionalProperties")
    for inner in [*(one for part in patterns for one in part.values()), *more]:
        if isinstance(inner, dict) and not (_has_alternatives(schema, node) and part in _TAGS):
            return inner
    return None


def _alternatives(schema: dict, node: dict, key: str) -> list:
    """What the parts of a node that are alternatives to each other say under `key`."""
    node = _resolved(schema, node)
    parts = [*node.get("anyOf", ()), *node.get("oneOf", ())]
    found = [node[key]] if key in node else []
    return found + [value for part in parts for value in _alternatives(schema, part, key)]


def _has_alternatives(schema: dict, node: dict) -> bool:
    node = _resolved(schema, node)
    return "anyOf" in node or "oneOf" in node


def _resolved(schema: dict, node: dict) -> dict:
    while "$ref" in node:
        about = {key: value for key, value in node.items() if key != "$ref"}
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]] | about
    return node


def takes(schema: dict, node: dict) -> str:
    """What a key takes, in words without its description, from its part of the schema."""
    node = _resolved(schema, node)
    if node.get("pattern") == FINDING_PATTERN:
        return "a finding's name"
    if "enum" in node:
        return f"one of {_listed(node['enum'])}"
    if "const" in node:
        return _bare(node["const"])
    parts = [*node.get("anyOf", ()), *node.get("oneOf", ())]
    if parts:
        return _either(list(dict.fromkeys(takes(schema, part) for part in parts)))
    kind = _KINDS.get(node.get("type", ""), "a value")
    names, patterns = node.get("propertyNames", {}), node.get("patternProperties", {})
    if names or patterns:
        known = names.get("enum", ())
        inner = [node.get("additionalProperties"), *patterns.values()]
        each = [takes(schema, part) for part in inner if isinstance(part, dict)]
        named = "finding" if FINDING_PATTERN in patterns else "name"
        kind = f"values by {_named_by(known) if known else named}"
        return f"{kind}, each {each[0]}" if each else kind
    low, high = node.get("minimum"), node.get("maximum")
    above, below = node.get("exclusiveMinimum"), node.get("exclusiveMaximum")
    if low is not None and high is not None:
        kind += f" from {_number(low)} to {_number(high)}"
    else:
        words = {"at least": low, "above": above, "at most": high, "below": below}
        bounds = [f"{word} {_number(value)}" for word, value in words.items() if value is not None]
        kind = " ".join([kind, " and ".join(bounds)]).strip()
    bounds = []
    if node.get("minItems") or node.get("minLength"):
        bounds.append("not empty")
    if "maxLength" in node:
        bounds.append(f"at most {node['maxLength']} characters")
    if "pattern" in node:
        bounds.append(_PATTERNS.get(node["pattern"], f"written as {node['pattern']}"))
    if node.get("uniqueItems"):
        bounds.append("without repetition")
    if "items" in node:
        bounds.append(f"each {takes(schema, node['items'])}")
    return ", ".join([kind, *bounds])


def _either(parts: list[str]) -> str:
    """Alternatives in words: the same thing for all and by name is said once."""
    for one, several in itertools.permutations(parts, 2):
        if several.endswith(f", each {one}"):
            short = several.removesuffix(f", each {one}").replace("values", "such values")
            parts = [short if part == several else part for part in parts]
    return ", or ".join(parts)


def _named_by(names: list[str]) -> str:
    return "resolution" if "4px" in names else "rule" if "train_gan" in names else "finding"


def _listed(values: list) -> str:
    if len(values) <= 20:
        return ", ".join(map(_bare, values))
    return f"{', '.join(map(_bare, values[:3]))} and {len(values) - 3} more in config/schema.yaml"


def _bare(value: Any) -> str:
    return value if isinstance(value, str) and value else shown(value)


def _takes(schema: dict, node: dict, got: Any = None) -> str:
    about = _resolved(schema, node).get("description", "")
    first = about.split("\n\n")[0].split(". ")[0].rstrip(".")
    text = takes(schema, node)
    if isinstance(got, str) and " number" in text and _reads_as_number(got):
        hint = "text; write it without quotes, with a point (1.0e-3), and not nested in --config"
        return f"{text} ({first}); this is {hint}" if first else f"{text}; this is {hint}"
    close = isinstance(got, str) and difflib.get_close_matches(
        got, [name for name in _resolved(schema, node).get("enum", ()) if isinstance(name, str)], 1
    )
    hint = f"; did you mean {close[0]}?" if close else ""
    return (f"{text} ({first})" if first else text) + hint


def dotted(path: list) -> str:
    """A place in the configuration as one reads it: dataset.fractions[1]."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "the configuration"


def shown(value: Any) -> str:
    """A value as it is written in YAML, short, and text in quotes."""
    try:
        text = yaml.safe_dump(
            value, default_flow_style=True, width=1000, allow_unicode=True, sort_keys=False
        )
    except yaml.YAMLError:
        text = repr(value)
    text = text.strip().removesuffix("...").strip()
    if isinstance(value, str) and not value.isprintable():
        text = json.dumps(value, ensure_ascii=False)
    elif isinstance(value, str) and text == value:
        text = f"'{value}'"
    return text if len(text) <= 80 else text[:77] + "..."


def _reads_as_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) and value >= 10_000 else f"{value:g}"
