import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "android_demo" / "stubs" / "api_level.py"
LEVEL = """declare module android {
	export module some {
		export class Thread extends java.lang.Thread {
			public static class: java.lang.Class<android.some.Thread>;
			public constructor();
			public quit(): boolean;
		}
		export class Editor extends java.lang.Object {
			/** Constructs a new instance of the interface. */
			public constructor(implementation: {
				put(param0: string): void;
			});
			public put(param0: string): android.some.Editor;
		}
		export module Editor {
			export class Part<T> extends java.lang.Object implements android.some.Editor {
				public size(): number;
			}
		}
	}
}
"""


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPT))


def test_types_are_read_with_members_and_parents(script):
    types = script["read_level"](LEVEL)
    assert types["android.some.Thread"].members == {"class", "<init>", "quit"}
    assert types["android.some.Editor"].members == {"put"}
    assert types["android.some.Editor.Part"].parents == ["java.lang.Object", "android.some.Editor"]


@pytest.mark.parametrize(
    ("owner", "member", "expected"),
    [
        ("android.some.Thread", "quit", True),
        ("android.some.Thread", "start", True),  # of java.lang.Thread, which is not judged
        ("android.some.Editor", "put", True),
        ("android.some.Editor", "remove", False),
        ("android.some.Editor.Part", "put", True),
        ("android.some.Missing", "put", False),
        ("kotlin.text.Regex", "find", True),
    ],
)
def test_what_a_level_has(script, owner, member, expected):
    assert script["has"](script["read_level"](LEVEL), owner, member) is expected
