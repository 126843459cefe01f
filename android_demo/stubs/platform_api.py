"""Write Android's published API as Java declarations, to compile an app without the Android SDK.

    python platform_api.py current.txt FOLDER

`current.txt` is AOSP's API list in its signature format 2.0. Nullability and bodies are omitted: the Kotlin compiler
reads only declarations.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

ANNOTATION = re.compile(r"@(?!interface\b)[\w.]+(\((?:[^()\"]|\"[^\"]*\"|\([^()]*\))*\))?\s*")
TYPE = re.compile(
    r"^(?P<modifiers>(?:[a-z]+ )*)(?P<kind>class|interface|@interface|enum) (?P<name>[\w.]+)(?P<rest>.*) \{$"
)
MEMBER = re.compile(r"^(?P<kind>ctor|method|field|enum_constant) (?P<text>.*);$")
CONSTANT = re.compile(r"^(?P<declared>.*?) = (?P<value>.*)$")
DROPPED = re.compile(r"\b(abstract|synchronized|native|deprecated|default|transient|volatile) ")
ZERO = {"boolean": "false", "char": "(char) 0", "byte": "(byte) 0", "short": "(short) 0", "long": "0L", "float": "0f"}


@dataclass
class Declared:
    """A class, interface, annotation, or enum with its members."""

    header: str
    kind: str
    members: list[str] = field(default_factory=list)
    constants: list[str] = field(default_factory=list)
    inner: dict[str, Declared] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Return the Java source lines."""
        enum = [", ".join(self.constants) + ";"] if self.kind == "enum" else []
        inner = [line for declared in self.inner.values() for line in declared.lines()]
        return [self.header + " {", *enum, *self.members, *inner, "}"]


def read_api(text: str) -> dict[str, dict[str, Declared]]:
    """Return the top-level types by name, by package."""
    packages: dict[str, dict[str, Declared]] = {}
    types: dict[str, Declared] = {}
    current: Declared | None = None
    for raw in text.splitlines()[1:]:
        line = ANNOTATION.sub("", raw.split(" // ")[0]).strip()
        if line.startswith("package "):
            types = packages.setdefault(line.split()[1], {})
        elif found := TYPE.match(line):
            *outer, name = found["name"].split(".")
            within = types
            for each in outer:
                within = within.setdefault(each, Declared(f"public class {each}", "class")).inner
            declared = Declared(_header(found, name), found["kind"])
            if name in within:  # its inner types came first
                declared.inner = within[name].inner
            within[name] = current = declared
        elif (found := MEMBER.match(line)) and current is not None:
            if found["kind"] == "enum_constant":
                current.constants.append(found["text"].split()[-1])
            elif member := _member(found["kind"], found["text"], current.kind):
                current.members.append(member)
    return packages


def _header(found: re.Match[str], name: str) -> str:
    kind, rest = found["kind"], found["rest"]
    modifiers = DROPPED.sub("", found["modifiers"]) if kind == "enum" else found["modifiers"].replace("deprecated ", "")
    if kind == "enum":
        modifiers = modifiers.replace("final ", "")
    parameters, *words = re.split(r" (?![^<]*>)", rest)  # at blanks, but not those within <>
    listed, joined = False, parameters
    for word in words:
        keyword = word in ("extends", "implements")
        joined += (", " if listed and not keyword else " ") + word
        listed = not keyword
    return f"{modifiers}{kind} {name}{joined}"


def _member(kind: str, text: str, of: str) -> str | None:
    if kind == "ctor":
        modifiers, _, signature = text.partition("(")
        *words, name = modifiers.split(" ")
        return f"{' '.join(words)} {name.rpartition('.')[2]}({_parameters(signature)} {{}}"
    if kind == "field":
        declared, value = text, None
        if found := CONSTANT.match(text):
            declared, value = found["declared"], found["value"]
        return f"{DROPPED.sub('', declared)} = {_value(declared, value)};"
    if of == "enum" and re.search(r"\b(valueOf|values)\(", text):
        return None
    head, _, signature = text.partition("(")
    if of in ("interface", "@interface"):
        body = " {}" if re.search(r"\b(default|static) ", head) else ";"
        return f"{head.replace('abstract ', '')}({_parameters(signature)}{body}"
    if re.search(r"\babstract ", head):
        return f"{head}({_parameters(signature)};"
    # Native: declared without a body.
    declared = re.sub(r"\b(public|protected) ", r"\1 native ", DROPPED.sub("", head), count=1)
    return f"{declared}({_parameters(signature)};"


def _parameters(signature: str) -> str:
    """Add names to the parameters of `int, T...) throws X`."""
    inside, _, thrown = signature.rpartition(")")
    depth, types, start = 0, [], 0
    for i, letter in enumerate(inside):
        depth += (letter == "<") - (letter == ">")
        if letter == "," and depth == 0:
            types.append(inside[start:i])
            start = i + 1
    types += [inside[start:]] if inside.strip() else []
    named = ", ".join(f"{each.strip()} p{i}" for i, each in enumerate(types))
    return f"{named}){thrown}"


def _value(declared: str, value: str | None) -> str:
    kind = declared.split(" ")[-2]
    if value is None or "/" in value or value in ("NaN",):
        return ZERO.get(kind, "0" if kind == "int" else "null")
    if kind == "char":
        return f"(char) {value}"
    return f"({kind}) {value}" if kind in ("byte", "short") else value


def main(arguments: list[str]) -> None:
    """Write one file per top-level type."""
    source, folder = map(Path, arguments)
    for package, types in read_api(source.read_text()).items():
        if not package.startswith(("android", "org.json", "org.xmlpull")):
            continue
        directory = folder / package.replace(".", "/")
        directory.mkdir(parents=True, exist_ok=True)
        for name, declared in types.items():
            lines = [f"package {package};", *declared.lines()]
            (directory / f"{name}.java").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
