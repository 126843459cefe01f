"""Strategies that damage a valid file: bytes, text, and JSON. All results are small changes of their seed."""

from __future__ import annotations

import io
import json
import re
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Mutate = Callable[[bytes], st.SearchStrategy[bytes]]
"""Takes a valid content and returns a strategy of damaged ones."""

EDGE_BYTES = 64
"""Number of bytes at either end of a file that are changed more often: headers and indices are there."""
DEEP = 100_000
"""Depth of nested brackets that overflows the stack of a recursive parser."""
MAX_REPEATED = 2**20
"""Maximum length of a line that is repeated often, characters: a file may be one long line."""
EXTREME_NUMBERS = (
    "0", "-1", "1", "0.5", "1e-310", "1e38", "-1e38", "1e308", "1e400", "-1e400", "NaN", "Infinity", "2147483647",
    "2147483648", "-2147483649", "4294967296", "60000", "9007199254740993", "9223372036854775808",
    "1" * 400, "1" * 5000,
)  # fmt: skip
EXTREME_VALUES = (
    *EXTREME_NUMBERS, "null", "true", "false", '""', '" "', '"\\u0000"', '"\\ud800"', '"../../x"', "[]", "{}", "[[]]",
    "[null]", "[1]", '["a", "b"]', '{"a": 1}', '"' + "x" * 100_000 + '"', "[" * DEEP, "[" * DEEP + "]" * DEEP,
    '{"a":' * DEEP + "1" + "}" * DEEP,
)  # fmt: skip
"""JSON of values of other types, sizes, and depths."""
EXTREME_INTEGERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_MARK = "\x01{}\x01"


def of_bytes(content: bytes) -> st.SearchStrategy[bytes]:
    """Return contents with one to three changes of bytes, mostly one."""

    @st.composite
    def damaged(draw: st.DrawFn) -> bytes:
        changed = content
        for _ in range(draw(st.sampled_from((1, 1, 1, 2, 3)))):
            changed = draw(st.sampled_from(_BYTE_CHANGES))(draw, changed)
        return changed

    return damaged()


def of_text(content: bytes) -> st.SearchStrategy[bytes]:
    """Return texts with changed numbers, words, and lines, besides changed bytes."""
    text = content.decode("utf-8", "replace")

    @st.composite
    def damaged(draw: st.DrawFn) -> bytes:
        changed = text
        for _ in range(draw(st.integers(1, 3))):
            changed = draw(st.sampled_from(_TEXT_CHANGES))(draw, changed)
        return changed.encode("utf-8", "surrogatepass")

    return st.one_of(damaged(), damaged(), of_bytes(content))


def of_json(content: bytes) -> st.SearchStrategy[bytes]:
    """Return JSON with changed values, types, keys, and depths, besides changed text."""

    @st.composite
    def damaged(draw: st.DrawFn) -> bytes:
        changed = json.loads(content)
        marks: dict[str, str] = {}
        for _ in range(draw(st.integers(1, 3))):
            changed = _change_json(draw, changed, marks)
        text = json.dumps(changed)
        for mark, raw in marks.items():
            text = text.replace(json.dumps(mark), raw)
        return text.encode()

    return st.one_of(damaged(), damaged(), damaged(), of_text(content))


def of_zip(of_member: Mutate) -> Mutate:
    """Return a mutation that damages one member of a zip archive, and packs a valid archive again."""

    def mutate(content: bytes) -> st.SearchStrategy[bytes]:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}

        def packed(name: str, changed: bytes) -> bytes:
            stream = io.BytesIO()
            with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
                for each, member in members.items():
                    archive.writestr(each, changed if each == name else member)
            return stream.getvalue()

        return st.sampled_from(sorted(members)).flatmap(
            lambda name: of_member(members[name]).map(lambda changed: packed(name, changed))
        )

    return mutate


def of_tar(of_member: dict[str, Mutate]) -> Mutate:
    """Return a mutation that damages, drops, repeats, or moves a member of a tar archive, and packs it again.

    `of_member` maps suffixes to the mutation of such members.
    """

    def mutate(content: bytes) -> st.SearchStrategy[bytes]:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            members = [(each.name, archive.extractfile(each).read()) for each in archive]  # type: ignore[union-attr]

        @st.composite
        def damaged(draw: st.DrawFn) -> bytes:
            changed = list(members)
            index = draw(st.integers(0, len(members) - 1))
            name, member = changed[index]
            kind = draw(st.sampled_from(("content", "content", "content", "drop", "repeat", "move", "rename")))
            if kind == "content":
                suffix = next((suffix for suffix in of_member if name.endswith(suffix)), None)
                changed[index] = name, draw((of_bytes if suffix is None else of_member[suffix])(member))
            elif kind == "drop":
                del changed[index]
            elif kind == "repeat":
                changed.insert(index, changed[index])
            elif kind == "move":
                changed.insert(draw(st.integers(0, len(members) - 1)), changed.pop(index))
            else:
                changed[index] = draw(st.sampled_from(("x", "../x.json", "/x.jpg", "x" * 300, "ä.json"))), member
            return _tar(changed)

        return damaged()

    return mutate


def _tar(members: list[tuple[str, bytes]]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, member in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(member)
            archive.addfile(entry, io.BytesIO(member))
    return stream.getvalue()


def _place(draw: st.DrawFn, length: int) -> int:
    """Return a position in a content; its ends are more likely."""
    last = max(length - 1, 0)
    anywhere = st.integers(0, last)
    begin, end = st.integers(0, min(EDGE_BYTES, last)), st.integers(max(0, last - EDGE_BYTES), last)
    return draw(st.one_of(anywhere, anywhere, begin, end))


def _set(draw: st.DrawFn, content: bytes) -> bytes:
    at, value = _place(draw, len(content)), draw(st.integers(0, 255))
    return content[:at] + bytes([value]) + content[at + 1 :]


def _flip(draw: st.DrawFn, content: bytes) -> bytes:
    at, bit = _place(draw, len(content)), draw(st.integers(0, 7))
    return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :] if content else content


def _set_integer(draw: st.DrawFn, content: bytes) -> bytes:
    at, value = _place(draw, len(content)), draw(st.sampled_from(EXTREME_INTEGERS))
    size, order = draw(st.sampled_from((2, 4, 8))), draw(st.sampled_from(("little", "big")))
    return content[:at] + (value % 256**size).to_bytes(size, order) + content[at + size :]


def _insert(draw: st.DrawFn, content: bytes) -> bytes:
    at = _place(draw, len(content))
    return content[:at] + draw(st.binary(min_size=1, max_size=32)) + content[at:]


def _delete(draw: st.DrawFn, content: bytes) -> bytes:
    at, size = _place(draw, len(content)), draw(st.sampled_from((1, 2, 4, 16, 512, 4096)))
    return content[:at] + content[at + size :]


def _truncate(draw: st.DrawFn, content: bytes) -> bytes:
    at = _place(draw, len(content))
    # Archives and media have blocks.
    return content[: draw(st.sampled_from((at, at, at // 512 * 512)))]


def _zero(draw: st.DrawFn, content: bytes) -> bytes:
    at, size = _place(draw, len(content)), draw(st.sampled_from((4, 16, 512, 4096)))
    return content[:at] + bytes(len(content[at : at + size])) + content[at + size :]


def _repeat(draw: st.DrawFn, content: bytes) -> bytes:
    at, size = _place(draw, len(content)), draw(st.sampled_from((1, 16, 512, 4096)))
    return content[: at + size] + content[at:]


_BYTE_CHANGES = (_set, _flip, _flip, _set_integer, _insert, _delete, _truncate, _zero, _repeat)


def _change_number(draw: st.DrawFn, text: str) -> str:
    numbers = list(_NUMBER.finditer(text))
    if not numbers:
        return text
    found = draw(st.sampled_from(numbers))
    return text[: found.start()] + draw(st.sampled_from(EXTREME_NUMBERS)) + text[found.end() :]


def _change_word(draw: st.DrawFn, text: str) -> str:
    words = list(re.finditer(r"\w+|[^\w\s]", text))
    if not words:
        return text
    found = draw(st.sampled_from(words))
    other = draw(st.sampled_from(("", "x", found[0] * 2, "[" * DEEP, "<a>" * 1000, "ä", "\0", "x" * 10_000, "&a;")))
    return text[: found.start()] + other + text[found.end() :]


def _change_lines(draw: st.DrawFn, text: str) -> str:
    lines = text.splitlines(keepends=True) or [""]
    at = draw(st.integers(0, len(lines) - 1))
    kind = draw(st.sampled_from(("drop", "repeat", "cut", "often")))
    if kind == "cut":
        return "".join(lines[:at])
    times = {"drop": 0, "repeat": 2, "often": min(300, MAX_REPEATED // max(len(lines[at]), 1))}[kind]
    return "".join(lines[:at] + [lines[at]] * times + lines[at + 1 :])


_TEXT_CHANGES = (_change_number, _change_number, _change_word, _change_lines)


def _change_json(draw: st.DrawFn, document: Any, marks: dict[str, str]) -> Any:
    """Return a document with one value changed. Marks stand for raw text, which `json.dumps` cannot write."""
    places: list[tuple[Any, Any]] = []
    waiting = [document]
    while waiting:
        each = waiting.pop()
        keys = (
            list(each) if isinstance(each, dict) else list(range(min(len(each), 20))) if isinstance(each, list) else []
        )
        places += [(each, key) for key in keys]
        waiting += [each[key] for key in keys]
    mark = _MARK.format(len(marks))
    raw = draw(st.sampled_from(EXTREME_VALUES))
    if not places or draw(st.integers(0, 19)) == 0:
        marks[mark] = raw
        return mark
    holder, key = draw(st.sampled_from(places))
    kind = draw(st.sampled_from(("value", "value", "value", "drop", "add", "swap")))
    if kind == "value":
        holder[key] = mark
        marks[mark] = raw
    elif kind == "drop":
        del holder[key]
    elif kind == "add":
        marks[mark] = raw
        if isinstance(holder, dict):
            holder[draw(st.sampled_from(("", "x", "name", "x" * 1000)))] = mark
        else:
            holder.insert(key, mark)
    else:
        other, name = draw(st.sampled_from(places))
        holder[key] = json.loads(json.dumps(other[name])) if name in other or isinstance(other, list) else None
    return document
