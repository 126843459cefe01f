import cv2
import numpy as np

from atpn.evaluate.plots import COLORS, Bars, Chart, Line, write_charts


def pixels(tmp_path, chart, color):
    """Rows and columns of a chart's pixels of a color."""
    write_charts(tmp_path / "chart.png", [chart])
    return np.nonzero((cv2.imread(str(tmp_path / "chart.png")) == color).all(axis=2))


def test_a_line_is_where_its_numbers_are(tmp_path):
    chart = Chart("rising", "x", "y", [Line("", [0, 10], [0, 5]), Line("", [5, 5], [0, 5])], x_max=10, y_max=5)
    rows, columns = pixels(tmp_path, chart, COLORS[0])
    assert np.corrcoef(rows, columns)[0, 1] < -0.99
    middle = (columns.min() + columns.max()) / 2
    rows, columns = pixels(tmp_path, chart, COLORS[1])
    assert abs(np.median(columns) - middle) <= 2


def test_negative_values_need_only_a_lower_end(tmp_path):
    rows, _ = pixels(tmp_path, Chart("", "x", "y", [Line("", [0, 1], [-5, -5])], y_min=-20, y_max=0), COLORS[0])
    lower, _ = pixels(tmp_path, Chart("", "x", "y", [Line("", [0, 1], [-15, -15])], y_min=-20, y_max=0), COLORS[0])
    assert np.median(lower) - np.median(rows) > 150


def test_a_guide_takes_no_color_from_the_results(tmp_path):
    lines = [Line("", [0, 1], [0, 1], guide=True), Line("", [0, 1], [0.5, 0.5])]
    rows, _ = pixels(tmp_path, Chart("", "x", "y", lines), COLORS[0])
    assert len(rows) > 100


def test_a_row_of_bars_is_made_of_its_parts(tmp_path):
    bars = Bars("", "ms", {"one": {"crop": 1.0, "network": 3.0}})
    _, first = pixels(tmp_path, bars, COLORS[0])
    _, second = pixels(tmp_path, bars, COLORS[1])
    assert np.median(second) > np.median(first)
    assert len(second) > 2 * len(first)


def test_charts_fill_rows(tmp_path):
    write_charts(tmp_path / "four.png", [Chart("", "", "", [Line("name", [0, 1], [0, 1], dots=True)])] * 4)
    assert cv2.imread(str(tmp_path / "four.png")).shape == (960, 1920, 3)
