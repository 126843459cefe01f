"""The report's tables, charts and pages."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import cv2
import pytest

from benchmarks.__main__ import main
from benchmarks.report import charts, read_results
from benchmarks.results import Curve, Metric, Results
from benchmarks.tables import as_lines, as_text, tables

METRICS = [
    Metric("time", "a.tflite", "network", 2.0, "ms", 0.03),
    Metric("time", "a.tflite", "pose", 0.5, "ms"),
    Metric("time", "b|<i>.onnx", "network", 1.0, "ms"),
    Metric("errors", "a.tflite", "NME", None, "%"),
    Metric("errors", "a.tflite", "AUC", 0.5, "", lower_is_better=False),
]


@pytest.fixture
def folder(tmp_path):
    curves = [Curve("CED", "a", "NME", "faces", [0.0, 1.0], [0.0, 2.0]), Curve("empty", "a", "x", "y", [], [])]
    curves += [Curve("dots", "a", "ms", "%", [1], [2], ["a"])]
    Results("latency", METRICS, curves, ["time"], ["Energy & power: not reported."]).write(tmp_path / "latency.json")
    Results("another", [Metric("t", "r", "c", 1.0, "s")]).write(tmp_path / "a.json")
    (tmp_path / "export.json").write_text('{"format": "something else"}')
    return tmp_path


@pytest.mark.parametrize(
    ("value", "unit", "std_error", "text"),
    [
        (1.23456, "ms", 0.0, "1.235"),
        (1.23456, "ms", 0.0321, "1.235 ± 0.032"),
        (123.4, "ms", 12.0, "123 ± 12"),
        (5.4321, "%", 0.0001, "5.43"),
        (98.0, "", 0.0, "98"),
        (0.461, "", 0.0, "0.461"),
        (1723.6, "KiB", 0.0, "1724"),
        (None, "%", 0.0, "-"),
    ],
)
def test_as_text_shows_significant_digits(value, unit, std_error, text):
    assert as_text(Metric("t", "r", "c", value, unit, std_error)) == text


def test_tables_keep_order_and_name_units_once():
    time, errors = tables(Results("latency", METRICS))
    assert time.header == ["", "network, ms", "pose, ms"]
    assert time.rows == [["a.tflite", "2.000 ± 0.030", "0.500"], ["b|<i>.onnx", "1.000", ""]]
    assert errors.header == ["", "NME, %", "AUC"]
    mixed = tables(Results("x", [Metric("t", "a", "size", 1, "KiB"), Metric("t", "b", "size", 2.5, "MiB")]))[0]
    assert (mixed.header, [row[1] for row in mixed.rows]) == (["", "size"], ["1 KiB", "2.5 MiB"])


def test_terminal_tables_are_aligned_and_transposed_when_wide():
    time, errors = tables(Results("latency", METRICS))
    assert as_lines(time)[1:] == [
        "                network, ms  pose, ms",
        "  a.tflite    2.000 ± 0.030     0.500",
        "  b|<i>.onnx          1.000",
    ]
    assert as_lines(errors) == ["errors", "          a.tflite", "  NME, %         -", "  AUC        0.500"]


def test_stacked_tables_are_bars_and_one_value_is_a_dot(folder):
    bars, ced, dots = charts(read_results(folder)[0])
    assert bars.rows == {"a.tflite": {"network": 2.0, "pose": 0.5}, "b|<i>.onnx": {"network": 1.0}}
    assert (ced.title, ced.lines[0].dots, ced.lines[0].name) == ("CED", False, "a")
    assert (dots.lines[0].dots, dots.lines[0].name, dots.lines[0].labels) == (True, "", ["a"])


def test_a_chart_of_zeros_has_axes():
    (chart,) = charts(Results("detector", METRICS, [Curve("recall", "a", "px", "%", [0.0], [0.0])]))
    assert chart.x_max > 0
    assert chart.y_max > 0


def test_report_writes_both_pages_and_charts(folder, capsys):
    assert main(["report", "--results", str(folder)]) == 0
    markdown, page = (folder / "report.md").read_text(), (folder / "report.html").read_text()
    assert markdown.index("## Latency") < markdown.index("## Another")
    assert "| b\\|<i>.onnx | 1.000 |  |" in markdown
    assert "![latency](report_latency.png)" in markdown
    assert cv2.imread(str(folder / "report_latency.png")).shape == (2 * 480, 2 * 640, 3)
    assert "b|&lt;i&gt;.onnx" in page
    assert "Energy &amp; power" in page
    assert not re.search(r'(src|href)="(?!data:)', page), "the page is one file"
    assert str(folder / "report.html") in capsys.readouterr().out


def test_html_tags_are_balanced(folder):
    class Balance(HTMLParser):
        def __init__(self):
            super().__init__()
            self.open = []

        def handle_starttag(self, tag, attributes):
            if tag not in ("meta", "img"):
                self.open.append(tag)

        def handle_endtag(self, tag):
            assert self.open.pop() == tag

    main(["report", "--results", str(folder)])
    balance = Balance()
    balance.feed((folder / "report.html").read_text())
    assert balance.open == []


def test_report_names_another_machine_in_its_section(folder):
    Results("pi", [Metric("t", "r", "c", 1.0, "s")], machine={"processor": "Raspberry Pi 5"}).write(folder / "pi.json")
    main(["report", "--results", str(folder)])
    text = (folder / "report.md").read_text()
    assert text.index("## Pi") < text.index("Raspberry Pi 5")


def test_report_rejects_a_folder_without_results(tmp_path, capsys):
    assert main(["report", "--results", str(tmp_path)]) == 1
    assert "python -m benchmarks latency" in capsys.readouterr().err
