"""What settings are made of: sections, and the types of values that several of them share."""

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar, Generic, Literal, Self, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    model_validator,
)
from pydantic_core import PydanticCustomError, core_schema

Value = TypeVar("Value")
Part = TypeVar("Part", bound="Section")


class NoEffect:
    """Marks a setting that changes speed, memory or convenience and never a result.

    It makes nothing stale and is no part of what a resume file belongs to.
    """


NO_EFFECT = NoEffect()

DEFAULT = "default"
# A finding's name as its data set writes it: something is left of it in paths, and no wildcards.
FINDING_PATTERN = r"^[^{}\x00-\x1f]*[A-Za-z0-9][^{}\x00-\x1f]*$"


class Section(BaseModel):
    """A group of settings: typed, without unknown keys, unchangeable, the same for the same values.

    Nothing is converted but whole numbers to numbers: text, true and 1 are three things. What
    is wrong between keys that are each right by themselves is said by `contradictions`.
    """

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Key and what is wrong with it, for keys that do not fit each other."""
        return iter(())

    @model_validator(mode="after")
    def _consistent(self):
        found = [list(pair) for pair in self.contradictions()]
        if found:
            text = "; ".join(f"{key}: {what}" for key, what in found)
            # Braces would be taken for places of values.
            raise PydanticCustomError(
                "contradiction", text.replace("{", "{{").replace("}", "}}"), {"found": found}
            )
        return self

    @classmethod
    def of(cls, *parts: Mapping[str, Any] | SimpleNamespace) -> Self:
        """A section from plain values, as `plain`, `with_effect` and `without_effect` give them.

        Args:
            parts: values by key, as params of a rule have them; together all that has no default.

        Raises:
            pydantic.ValidationError: a key is unknown, or a value is not one that the key takes.
        """
        values: dict[str, Any] = {}
        for part in parts:
            values |= vars(part) if isinstance(part, SimpleNamespace) else part
        return cls.model_validate(values)

    def part(self, kind: type[Part]) -> Part:
        """The settings that a section has from `kind`, one of its bases."""
        return kind.of({name: value for name, value in self if name in kind.model_fields})

    def plain(self) -> dict[str, Any]:
        """All settings as plain values, keys sorted: for params of rules, JSON and checkpoints."""
        return _sorted(self.model_dump(mode="json"))

    def given(self) -> dict[str, Any]:
        """The settings that differ from their defaults, as `plain` has them."""
        return _sorted(self.model_dump(mode="json", exclude_defaults=True))

    def with_effect(self) -> dict[str, Any]:
        """The settings that can change a result, as `plain` has them."""
        return self._split()[0]

    def without_effect(self) -> dict[str, Any]:
        """The other settings, as `plain` has them."""
        return self._split()[1]

    def _split(self) -> tuple[dict[str, Any], dict[str, Any]]:
        plain, fields = self.plain(), type(self).model_fields
        marked = {
            name
            for name, field in fields.items()
            if any(isinstance(mark, NoEffect) for mark in field.metadata)
        }
        return (
            {name: value for name, value in plain.items() if name not in marked},
            {name: value for name, value in plain.items() if name in marked},
        )


class Varying(Generic[Value]):
    """One value for all, or values by name and a `default` for those that are not named.

    Attributes:
        default: the value of what is not named; None where every one has to be.
        named: values by name.
    """

    # Names that there can be; none where the data set brings them.
    KEYS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, default: Value | None, named: Mapping[str, Value] | None = None):
        self.default = default
        self.named = dict(named or {})

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.plain() == other.plain()

    def __hash__(self) -> int:
        return hash((self.default, tuple(sorted(self.named.items()))))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.plain()!r})"

    def get(self, name: str) -> Value | None:
        """The value of one name; None where neither it nor a default is given."""
        return self.named.get(name, self.default)

    def values(self) -> list[Value]:
        """Every value that occurs, the default included."""
        return [*([] if self.default is None else [self.default]), *self.named.values()]

    def plain(self) -> Any:
        """As it is written in a configuration, the shortest way."""
        return self.mapping() if self.named or self.default is None else self.default

    def mapping(self) -> dict[str, Value]:
        """Values by name, with `default` if there is one."""
        default = {} if self.default is None else {DEFAULT: self.default}
        return default | dict(sorted(self.named.items()))

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        (item,) = get_args(source)
        one = handler.generate_schema(item)
        names = (
            core_schema.literal_schema([DEFAULT, *cls.KEYS])
            if cls.KEYS
            else core_schema.str_schema(pattern=FINDING_PATTERN)
        )
        several = core_schema.dict_schema(names, handler.generate_schema(item))
        either = core_schema.tagged_union_schema(
            {"one": one, "several": several},
            lambda value: "several" if isinstance(value, Mapping) else "one",
        )
        return core_schema.no_info_before_validator_function(
            lambda value: value.plain() if isinstance(value, cls) else value,
            core_schema.no_info_after_validator_function(cls._of, either),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value: value.plain()
            ),
        )

    @classmethod
    def _of(cls, value: Any) -> "Varying[Value]":
        if not isinstance(value, Mapping):
            return cls(value)
        return cls(
            value.get(DEFAULT), {name: one for name, one in value.items() if name != DEFAULT}
        )


class ByFinding(Varying[Value]):
    """One value for all findings, or values by finding: `{default: 1.0, Fracture: 2.0}`.

    Which findings there are is the data set's: `Configuration` compares the names with the study's.
    """


class ByResolution(Varying[Value]):
    """One value for all resolutions, or values by resolution: `{default: 16, 256px: 8}`."""

    KEYS = tuple(f"{2**power}px" for power in range(2, 10))

    def at(self, resolution: int) -> Value | None:
        """The value at `resolution`, in pixels; None where neither it nor a default is given."""
        return self.get(f"{resolution}px")

    def unfit(self, resolutions: list[int]) -> Iterator[str]:
        """What is wrong with it for networks that are trained at these resolutions."""
        known = ", ".join(f"{resolution}px" for resolution in resolutions)
        for name in self.named:
            if int(name.removesuffix("px")) not in resolutions:
                yield f"names {name}, and the networks are trained at {known}"
        missing = [f"{r}px" for r in resolutions if self.at(r) is None]
        if missing:
            yield f"has no value for {', '.join(missing)}; add {missing[0]} or {DEFAULT}"


def _distinct(values: Any) -> Any:
    """A list without repetitions."""
    if isinstance(values, list | tuple):
        for place, value in enumerate(values):
            if value in values[:place]:
                raise PydanticCustomError("distinct", "has {value} twice", {"value": value})
    return values


DISTINCT = BeforeValidator(_distinct)


def _own_path(path: str) -> str:
    """A path of the user's: ~ and variables replaced, in its shortest form."""
    found = os.path.expandvars(os.path.expanduser(path))
    unknown = re.search(r"\$(\w+|\{\w+\})", found)
    if unknown:
        raise PydanticCustomError(
            "path", "names the variable {name}, which is not set", {"name": unknown[0]}
        )
    if re.search(r"[{}\x00-\x1f]", found):
        raise PydanticCustomError("path", "holds braces or control characters")
    # Two ways to write one folder are one setting. A double slash at the front is one, too.
    return re.sub("^//", "/", os.path.normpath(found))


# pydantic's `$` matches at the very end alone, not before a line end as Python's does.
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
ArmName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$", max_length=60)]
Text = Annotated[str, Field(min_length=1)]
Finding = Annotated[str, Field(pattern=FINDING_PATTERN, max_length=100)]
Seed = Annotated[int, Field(ge=0, le=4_294_967_295)]
Threads = Annotated[int, Field(ge=1, le=256)]
UserPath = Annotated[str, Field(min_length=1), AfterValidator(_own_path)]
# Below a folder that is named elsewhere. Braces would be wildcards.
FileName = Annotated[str, Field(pattern=r"^[^/{}\x00-\x1f][^{}\x00-\x1f]*$")]
PixelMemory = Annotated[int, Field(ge=0, le=10_000_000), NO_EFFECT]
ResumeInterval = Annotated[float, Field(ge=0, le=86_400), NO_EFFECT]
Share = Annotated[float, Field(ge=0, le=1)]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "fp32", "bf16"]
FeatureSpace = Literal["classifier", "imagenet", "pixels", "random"]


def near(name: str, known: Iterable[str], what: str) -> str:
    """That there is no `what` of this name, and which one was probably meant."""
    known = list(known)
    close = difflib.get_close_matches(str(name), known, n=1)
    if not close:
        folded = {_folded(other): other for other in known}
        close = [folded[_folded(str(name))]] if _folded(str(name)) in folded else []
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
    return f"no such {what}; {hint}"


def _folded(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


def _sorted(value: Any) -> Any:
    """Plain values with all keys sorted: Snakemake compares params by their text."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    return value
