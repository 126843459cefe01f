from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from edge_runtime.flags import parse_flags


@dataclass(frozen=True)
class Config:
    """Every kind of field."""

    name: str = "a"
    count: int = 1
    share: float = field(default=0.5, metadata={"help": "how much of it"})
    target: Path | None = None
    most: int | None = None
    quiet: bool = False
    kind: Literal["x", "y"] = "x"
    sizes: tuple[int, ...] = (1, 2)

    def __post_init__(self):
        if self.count < 1:
            raise ValueError(f"--count must be 1 or more, got {self.count}")


def parse(*arguments: str) -> Config:
    return parse_flags(Config, "prog", "What it does.", arguments)


def test_defaults_are_the_dataclasss():
    assert parse() == Config()


def test_every_kind_of_flag():
    given = parse(
        *("--name", "b", "--count", "2", "--share", "0.1", "--target", "p/q", "--most", "9", "--quiet", "--kind", "y"),
        *("--sizes", "3", "4", "5"),
    )
    assert given == Config("b", 2, 0.1, Path("p/q"), 9, True, "y", (3, 4, 5))


def test_a_field_without_a_default_is_positional(capsys):
    @dataclass(frozen=True)
    class Positional:
        first: int
        share: float = 0.5

    assert parse_flags(Positional, "prog", "", ["3", "--share", "1"]) == Positional(3, 1.0)
    with pytest.raises(SystemExit, match="2"):
        parse_flags(Positional, "prog", "", [])
    assert "the following arguments are required: FIRST" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--count", "many"], "invalid int value: 'many'"),
        (["--kind", "z"], "invalid choice: 'z'"),
        (["--color", "red"], "unrecognized arguments"),
        (["--cou", "3"], "unrecognized arguments"),
        (["--sizes"], "expected at least one argument"),
        (["--sizes", "1", "x"], "invalid int value: 'x'"),
        (["--count", "0"], "--count must be 1 or more, got 0"),
    ],
)
def test_wrong_flags_end_with_code_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as exit_info:
        parse(*arguments)
    assert exit_info.value.code == 2
    assert message in capsys.readouterr().err


def test_what_was_typed_is_quoted_in_bounded_length(capsys):
    with pytest.raises(SystemExit):
        parse("--kind", "x" * 100_000)
    assert len(capsys.readouterr().err) < 3000


def test_help_comes_from_the_fields(capsys):
    with pytest.raises(SystemExit) as exit_info:
        parse("--help")
    assert exit_info.value.code == 0
    assert "how much of it (default: 0.5)" in capsys.readouterr().out
