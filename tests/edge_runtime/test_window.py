import numpy as np
import pytest

from edge_runtime import window
from edge_runtime.errors import DisplayError
from edge_runtime.window import Window, check_display

GUI = "  GUI:                           QT5\n"
NO_GUI = "  GUI:                           NONE\n"


def test_window_raises_without_a_display():
    with pytest.raises(DisplayError, match=r"no display.*--headless"):
        check_display({}, "linux", GUI)


@pytest.mark.parametrize(
    ("environment", "platform"),
    [({"DISPLAY": ":0"}, "linux"), ({"WAYLAND_DISPLAY": "wayland-0"}, "linux"), ({}, "win32")],
)
def test_display_and_gui_pass_and_the_headless_wheel_does_not(environment, platform):
    check_display(environment, platform, GUI)
    with pytest.raises(DisplayError, match=r"pip install 'opencv-python<5'.*--headless"):
        check_display(environment, platform, NO_GUI)


@pytest.mark.parametrize(
    ("pressed", "visible", "expected"),
    [
        (-1, 1, ""),
        (ord("m"), 1, "m"),
        (ord("M"), 1, "m"),
        (0x100000 | ord("h"), 1, "h"),
        (32, 1, " "),
        (27, 1, None),
        (-1, 0, None),
    ],
    ids=["none", "m", "caps lock", "num lock", "space", "Esc", "closed"],
)
def test_show_returns_keys(monkeypatch, pressed, visible, expected):
    opened, shown, waited = [], [], []
    monkeypatch.setattr(window, "check_display", lambda: None)
    monkeypatch.setattr(window.cv2, "namedWindow", lambda title, flags: opened.append(title))
    monkeypatch.setattr(window.cv2, "resizeWindow", lambda *size: None)
    monkeypatch.setattr(window.cv2, "imshow", lambda title, image: shown.append(image))
    monkeypatch.setattr(window.cv2, "waitKey", lambda wait_ms: waited.append(wait_ms) or pressed)
    monkeypatch.setattr(window.cv2, "getWindowProperty", lambda title, which: visible)
    monkeypatch.setattr(window.cv2, "destroyAllWindows", opened.clear)
    image = np.zeros((4, 6, 3), np.uint8)
    with Window("title") as open_window:
        assert opened == ["title"]
        assert open_window.show(image, 7) == expected
    assert (shown[0] is image, waited, opened) == (True, [7], [])
