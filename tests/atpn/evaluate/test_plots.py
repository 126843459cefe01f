import cv2
import numpy as np

from atpn.evaluate.plots import COLORS, Chart, Line, _ticks, draw_chart, write_charts


def test_a_line_is_where_its_numbers_are():
    chart = Chart("rising", "x", "y", [Line("", [0, 10], [0, 5]), Line("", [5, 5], [0, 5])], x_max=10, y_max=5)
    image = draw_chart(chart)
    rows, columns = np.nonzero((image == COLORS[1]).all(axis=2))
    left, right = 72, 640 - 20
    assert abs(np.median(columns) - (left + right) / 2) <= 1
    assert rows.min() <= 42
    rows, columns = np.nonzero((image == COLORS[0]).all(axis=2))
    assert np.corrcoef(rows, columns)[0, 1] < -0.99


def test_negative_values_need_only_a_lower_end():
    chart = Chart("below", "x", "y", [Line("", [0, 1], [-10, -10])], y_min=-20, y_max=0)
    rows, _ = np.nonzero((draw_chart(chart) == COLORS[0]).all(axis=2))
    assert abs(np.median(rows) - (40 + 480 - 56) / 2) <= 1


def test_ticks_are_round():
    assert _ticks(15.0) == [0, 2.5, 5, 7.5, 10, 12.5, 15]
    assert _ticks(0.9) == [0, 0.2, 0.4, 0.6, 0.8]
    assert _ticks(13.0, -12.0) == [-10, -5, 0, 5, 10]


def test_charts_fill_rows(tmp_path):
    write_charts(tmp_path / "four.png", [Chart("", "", "", [Line("name", [0, 1], [0, 1], dots=True)])] * 4)
    assert cv2.imread(str(tmp_path / "four.png")).shape == (960, 1920, 3)


def test_a_label_stands_above_and_right_of_its_point():
    def chart(labels):
        return draw_chart(Chart("", "x", "y", [Line("", [1, 1], [1, 1], labels=labels)], x_max=2, y_max=2))

    rows, columns = np.nonzero((chart(["8"]) != chart([])).any(axis=2))
    x, y = 72 + (640 - 20 - 72) / 2, 40 + (480 - 56 - 40) / 2
    assert x < columns.min() < columns.max() < x + 20
    assert y - 20 < rows.min() < rows.max() < y
