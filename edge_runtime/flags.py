"""Command line flags from a dataclass, with the standard library only."""

from __future__ import annotations

import argparse
import dataclasses
import types
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, NoReturn, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

from edge_runtime.reading import quote

MAX_MESSAGE = 1000
"""Maximum length of an error message, which repeats what was typed."""


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


def flag(default: Any, help: str, group: str = "") -> Any:
    """Return a dataclass field with a help text, in a group of flags."""
    return dataclasses.field(default=default, metadata={"help": help, "group": group})


Config = TypeVar("Config", bound=_Dataclass)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(quote(message, MAX_MESSAGE))


def parse_flags(config: type[Config], prog: str, description: str, arguments: Sequence[str] | None = None) -> Config:
    """Parse command line flags into a dataclass.

    Each field is a flag `--field-name`: a `bool` that is False by default is a switch, a `Literal` has choices, a
    `tuple[X, ...]` takes one or more values, and an optional field may be omitted. A field without a default is
    positional. Help texts and groups come from the fields' metadata `help` and `group`. `arguments` default to
    `sys.argv`. If argparse or the dataclass (ValueError) rejects a value, the process exits with code 2.
    """
    parser = _Parser(
        prog=prog, description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter, allow_abbrev=False
    )
    hints = get_type_hints(config)
    groups: dict[str, Any] = {"": parser}
    for field in dataclasses.fields(config):
        if field.default is dataclasses.MISSING:
            text = field.metadata.get("help", "")
            parser.add_argument(field.name, type=hints[field.name], metavar=field.name.upper(), help=text)
            continue
        group = field.metadata.get("group", "")
        if group not in groups:
            groups[group] = parser.add_argument_group(group)
        groups[group].add_argument(f"--{field.name.replace('_', '-')}", **_argument(field, hints[field.name]))
    values = vars(parser.parse_args(arguments))
    try:
        return config(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
    except ValueError as error:
        parser.error(str(error))


def _argument(field: dataclasses.Field[Any], hint: Any) -> dict[str, Any]:
    """Return the arguments of `add_argument` for one field."""
    options: dict[str, Any] = {"help": field.metadata.get("help", ""), "default": field.default}
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = [a for a in get_args(hint) if a is not type(None)]
        options["default"] = argparse.SUPPRESS if field.default is None else field.default
    if hint is bool:
        return {**options, "action": "store_true"}
    if get_origin(hint) is tuple:
        hint, options["nargs"] = get_args(hint)[0], "+"
        options["default"] = field.default or argparse.SUPPRESS
    if get_origin(hint) is Literal:
        return {**options, "choices": get_args(hint)}
    return {**options, "type": hint, "metavar": hint.__name__.upper()}
