"""Check that compiled classes use only members of an Android API level, by name, without constants and overloads.

    python api_level.py android-platform-26.d.ts FOLDER

The first file is the level's API as TypeScript declarations; FOLDER holds the classes, read by `javap`. Exits with 1
and a line per missing member.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

OPENED = re.compile(
    r"^(?:export |declare )*(?P<abstract>abstract )?(?P<kind>module|class|interface) (?P<name>[\w.]+)(?P<rest>.*)\{$"
)
MEMBER = re.compile(r"^(?:public |protected |static |abstract )*(?P<name>\w+)(?:<[^(]*>)?[(:]")
CLASS = re.compile(r"^(?:[a-z]+ )*(?:class|interface) (?P<name>[\w.$]+)(?:<.*>)?(?: extends (?P<parent>[\w.$]+))?.*\{$")
USED = re.compile(r"// (?:Interface)?(?:Method|Field) (?:(?P<owner>[\w/$]+)\.)?\"?(?P<name>[\w$<>]+)\"?:")
DECLARED = re.compile(r"^  \S.*?(?P<name>[\w$]+)(?:\(.*|;)$")


@dataclass
class Type:
    """A class or an interface."""

    parents: list[str] = field(default_factory=list)
    members: set[str] = field(default_factory=set)


def read_level(text: str) -> dict[str, Type]:
    """Return the types by dotted name; inner types are Outer.Inner."""
    types: dict[str, Type] = {}
    scope: list[tuple[str, str]] = []
    for raw in text.splitlines():
        line = raw.strip()
        if found := OPENED.match(line):
            scope.append((found["kind"], found["name"]))
            if found["kind"] != "module":
                parents = re.findall(r"(?:extends|implements|,) ?([a-z][\w.]*)", re.sub(r"<[^{]*?>", "", found["rest"]))
                types.setdefault(".".join(name for _, name in scope), Type()).parents += parents
        elif line.startswith("}"):
            scope.pop() if scope else None
        elif line.endswith("{"):  # members of an interface's instance
            scope.append(("other", ""))
        elif scope and scope[-1][0] in ("class", "interface") and (found := MEMBER.match(line)):
            name = "<init>" if found["name"] == "constructor" else found["name"]
            types[".".join(name for _, name in scope)].members.add(name)
    return types


def read_classes(folder: Path) -> tuple[dict[str, Type], list[tuple[str, str, str]]]:
    """Return the folder's own types, and their uses as (class, owner, member)."""
    own: dict[str, Type] = {}
    uses: list[tuple[str, str, str]] = []
    files = sorted(map(str, folder.rglob("*.class")))
    listing = subprocess.run(["javap", "-c", "-p", *files], capture_output=True, text=True, check=True).stdout
    here = ""
    for line in listing.splitlines():
        if found := CLASS.match(line):
            here = found["name"].replace("$", ".")
            own[here] = Type([(found["parent"] or "java.lang.Object").replace("$", ".")])
        elif found := USED.search(line):
            owner = (found["owner"] or here).replace("/", ".").replace("$", ".")
            uses.append((here, owner, found["name"]))
        elif here and (found := DECLARED.match(line)):
            own[here].members.add(found["name"])
    return own, uses


def has(types: dict[str, Type], owner: str, member: str) -> bool:
    """Return whether a type or a parent has a member; True for types of other libraries."""
    known = types.get(owner)
    if known is None:
        return not owner.startswith("android.")
    if member in known.members or (member == "<init>" and owner.startswith("atpn.")):
        return True
    return member != "<init>" and any(
        has(types, parent, member) for parent in known.parents if parent != "java.lang.Object"
    )


def main(arguments: list[str]) -> int:
    """Run the check and return the exit code."""
    level, folder = map(Path, arguments)
    types = read_level(level.read_text())
    own, uses = read_classes(folder)
    types |= own
    lacking = sorted({use for use in uses if not has(types, use[1], use[2])})
    for here, owner, member in lacking:
        print(f"{here} uses {owner}.{member}, which {level.stem} lacks", file=sys.stderr)
    android = {use[1:] for use in uses if use[1].startswith("android.")}
    print(f"{len(android)} Android members used, {len(lacking)} not in {level.stem}")
    return 1 if lacking or not android else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
