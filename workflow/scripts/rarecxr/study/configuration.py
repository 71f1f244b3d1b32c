"""The check of a study's configuration, before any job starts."""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

_KINDS = {
    "object": "a section",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}


def check(config: Mapping[str, Any], schema: str | Path) -> None:
    """Refuse a configuration that cannot be run as it stands.

    Args:
        config: the whole configuration.
        schema: path of the JSON schema (draft 2020-12, written as YAML).

    Raises:
        ValueError: one line for each mistake: the key, what it got and what it takes.
    """
    rules = yaml.safe_load(Path(schema).read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(rules)
    errors = sorted(validator.iter_errors(config), key=lambda error: list(map(str, error.path)))
    lines = [line for error in errors for line in _explain(error)] or list(_contradictions(config))
    if lines:
        raise ValueError("the configuration cannot be used\n  " + "\n  ".join(lines))


def _explain(error: jsonschema.ValidationError) -> Iterator[str]:
    key = _dotted(error.absolute_path)
    # Alternatives (a number or a list, say): what the nearest of them complains about.
    if error.context and not error.schema.get("description"):
        yield from _explain(jsonschema.exceptions.best_match(error.context))
        return
    if error.validator in ("additionalProperties", "unevaluatedProperties"):
        known = error.schema.get("properties", {})
        for name in sorted(set(error.instance) - set(known), key=str):
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"
            yield f"{_dotted([*error.absolute_path, name])}: no such key{hint}"
    elif error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        for name in missing:
            about = error.schema.get("properties", {}).get(name, {})
            yield f"{_dotted([*error.absolute_path, name])}: missing; takes {_takes(about)}"
    elif error.validator == "propertyNames":
        yield f"{key}: {error.message}"
    else:
        yield f"{key}: got {_shown(error.instance)}; takes {_takes(error.schema)}"


def _takes(schema: Mapping[str, Any]) -> str:
    """What a key takes, in words, from its part of the schema."""
    if "enum" in schema:
        kind = "one of " + ", ".join(_shown(value) for value in schema["enum"])
    elif "const" in schema:
        kind = _shown(schema["const"])
    elif "oneOf" in schema or "anyOf" in schema:
        kind = " or ".join(_takes(part) for part in schema.get("oneOf", schema.get("anyOf")))
    else:
        types = schema.get("type", "a value")
        types = [types] if isinstance(types, str) else types
        kind = " or ".join(_KINDS.get(name, name) for name in types)
    bounds = [
        f"{word} {schema[name]}"
        for name, word in (
            ("minimum", "at least"),
            ("exclusiveMinimum", "above"),
            ("maximum", "at most"),
            ("exclusiveMaximum", "below"),
            ("minItems", "items at least"),
            ("pattern", "written as"),
        )
        if name in schema
    ]
    text = ", ".join([kind, *bounds])
    about = schema.get("description")
    return f"{text} ({about})" if about else text


def _contradictions(config: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong between keys that are each right by themselves."""
    dataset, gan = config["dataset"], config["gan"]
    findings = dataset["findings"]
    for key in ("target_findings", "planned_findings"):
        for i, finding in enumerate(dataset[key]):
            if finding not in findings:
                yield (
                    f"dataset.{key}[{i}]: got {_shown(finding)};"
                    f" takes one of dataset.findings: {', '.join(findings)}"
                )
    for finding in set(dataset["uncertain"]) - {"default", *findings}:
        yield (
            f"dataset.uncertain.{finding}: no such finding;"
            f" takes default or one of {', '.join(findings)}"
        )
    for finding in set(dataset["thin"]) - set(findings):
        yield (
            f"dataset.thin.{finding}: no such finding;"
            f" takes one of dataset.findings: {', '.join(findings)}"
        )
    if dataset["test_percent"] + dataset["validation_percent"] >= 100:
        yield (
            "dataset.test_percent: together with dataset.validation_percent"
            f" got {dataset['test_percent'] + dataset['validation_percent']};"
            " takes less than 100, so that patients are left for training"
        )
    if dataset["resolution"] < gan["resolution"]:
        yield (
            f"dataset.resolution: got {dataset['resolution']};"
            f" takes a power of two not below gan.resolution ({gan['resolution']})"
        )
    for name, recipe in config["recipes"].items():
        for kind in recipe:
            if kind not in config["filters"]:
                yield (
                    f"recipes.{name}: got the filter {_shown(kind)};"
                    f" takes names from filters: {', '.join(config['filters'])}"
                )
    recipes = [*config["recipes"], "conditional"]
    for name, arm in config["arms"].items():
        recipe = arm.get("recipe")
        if recipe is not None and recipe not in recipes:
            yield (
                f"arms.{name}.recipe: got {_shown(recipe)};"
                f" takes one of recipes: {', '.join(recipes)}"
            )
        transforms = arm.get("transforms")
        if transforms is not None and transforms not in config["transforms"]:
            yield (
                f"arms.{name}.transforms: got {_shown(transforms)};"
                f" takes one of transforms: {', '.join(config['transforms'])}"
            )
        for key in ("negatives", "pretrain"):
            if arm.get(key) and recipe is None:
                yield f"arms.{name}.{key}: got true without a recipe; name the arm's recipe too"
    yield from _bank_contradictions(config)
    for i, name in enumerate(config["classifier"]["arms"]):
        if name not in config["arms"]:
            yield (
                f"classifier.arms[{i}]: got {_shown(name)};"
                f" takes one of arms: {', '.join(config['arms'])}"
            )


def _bank_contradictions(config: Mapping[str, Any]) -> Iterator[str]:
    bank = config["bank"]
    if isinstance(bank["ratio"], list) and bank["number"] is not None:
        yield (
            f"bank.number: got {_shown(bank['number'])} beside a list of ratios;"
            " takes null, so that each ratio says how many images it means"
        )


def _dotted(path) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "the configuration"


def _shown(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=1000).strip()
    text = text.removesuffix("...").strip()
    if isinstance(value, str) and text == value:
        text = f"'{value}'"
    return text if len(text) <= 80 else text[:77] + "..."
