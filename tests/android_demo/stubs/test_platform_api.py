import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "android_demo" / "stubs" / "platform_api.py"
API = """// Signature format: 2.0
package android.some {

  @Deprecated public class Box<T extends android.some.Part> extends java.lang.Object implements java.io.Closeable java.util.Map<K, V> {
    ctor public Box(@NonNull String, int...);
    method @NonNull public <R> java.util.Map<R,T> all(@IntRange(from=0, to=255) int, java.util.List<? extends T>) throws java.io.IOException;
    method protected abstract void open();
    field public static final long LIMIT = 5L; // 0x5L
    field @Nullable public String name;
  }

  public static final class Box.Inner {
    method public static void make();
  }

  public enum Colour {
    method public static android.some.Colour valueOf(String);
    enum_constant public static final android.some.Colour RED;
    enum_constant public static final android.some.Colour BLUE;
  }

  public interface Part extends java.lang.Runnable java.io.Closeable {
    method public default int size();
    method public void run();
  }

}

package com.other {

  public class NotAndroid {
  }

}
"""  # noqa: E501


@pytest.fixture
def sources(tmp_path):
    """Java text by file name."""
    listing = tmp_path / "current.txt"
    listing.write_text(API)
    runpy.run_path(str(SCRIPT))["main"]([str(listing), str(tmp_path / "java")])
    return {path.name: path.read_text() for path in (tmp_path / "java").rglob("*.java")}


def test_only_androids_types_are_written(sources):
    assert set(sources) == {"Box.java", "Colour.java", "Part.java"}
    assert all(text.startswith("package android.some;") for text in sources.values())


def test_a_class_keeps_its_parents_and_members(sources):
    lines = sources["Box.java"].splitlines()
    assert (
        "public class Box<T extends android.some.Part> extends java.lang.Object "
        "implements java.io.Closeable, java.util.Map<K, V> {"
    ) in lines
    assert "public Box(String p0, int... p1) {}" in lines
    assert (
        "public native <R> java.util.Map<R,T> all(int p0, java.util.List<? extends T> p1) throws java.io.IOException;"
    ) in lines
    assert "protected abstract void open();" in lines
    assert "public static final long LIMIT = 5L;" in lines
    assert "public String name = null;" in lines


def test_inner_types_lie_within(sources):
    text = sources["Box.java"]
    assert text.index("public static final class Inner {") > text.index("class Box")
    assert text.rstrip().endswith("}\n}")
    assert "public native static void make();" in text


def test_enums_and_interfaces(sources):
    assert sources["Colour.java"].splitlines()[1:] == ["public enum Colour {", "RED, BLUE;", "}"]
    part = sources["Part.java"].splitlines()
    assert part[1] == "public interface Part extends java.lang.Runnable, java.io.Closeable {"
    assert part[2:4] == ["public default int size() {}", "public void run();"]
