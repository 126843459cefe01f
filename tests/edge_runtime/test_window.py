import pytest

from edge_runtime.errors import DisplayError
from edge_runtime.window import check_display

GUI = "  GUI:                           QT5\n"
NO_GUI = "  GUI:                           NONE\n"


def test_no_display_is_said_before_opencv_ends_the_process():
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
