"""The JSON schema of a configuration, made from the model."""

import functools
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from rarecxr.study.configuration.study import Configuration
from rarecxr.study.values import Section, Varying


class _Schema(GenerateJsonSchema):
    """Pydantic's schema with defaults as they are written, and lists that say `each once`."""

    def encode_default(self, dft: Any) -> Any:
        return super().encode_default(dft.plain() if isinstance(dft, Varying | Section) else dft)

    def function_before_schema(self, schema):
        made = super().function_before_schema(schema)
        if getattr(schema["function"]["function"], "__name__", "") == "_distinct":
            made["uniqueItems"] = True
        return made


@functools.cache
def json_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12): types, bounds, defaults, descriptions."""
    schema = Configuration.model_json_schema(schema_generator=_Schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | _untitled(schema)


def _untitled(node: Any) -> Any:
    """Without the titles that pydantic makes of the names."""
    if isinstance(node, dict):
        return {
            key: _untitled(value)
            for key, value in node.items()
            if not (key == "title" and isinstance(value, str))
        }
    if isinstance(node, list):
        return [_untitled(item) for item in node]
    return node
