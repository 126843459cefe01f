"""The example of a scheme of one's own runs as the page gives it, and the table is read."""

import re
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest

from atpn.__main__ import main
from atpn.data.readers import own
from atpn.data.store import SampleStore

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "datasets.md").read_text()


def commands(name):
    """The arguments of the page's commands that begin with these words."""
    found = re.findall(rf"^ {{4}}python -m atpn ({name} .*seven_points.*)$", PAGE, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in found]


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = next(code for code in re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S) if "seven_points" in code)
    exec(compile(code, "docs/datasets.md", "exec"), {"__name__": "__main__"})
    return tmp_path


def test_the_example_of_an_own_scheme_is_converted(workspace):
    checks, converts = commands("datasets check"), commands("datasets convert")
    assert len(checks) == len(converts) == 1
    assert main(checks[0]) == 0
    assert main(converts[0]) == 0
    store = SampleStore.read(workspace / "data" / "seven_points" / "all")
    assert (len(store.faces), store.scheme.name, store.scheme.names[4]) == (3, "seven_points", "nose")
    np.testing.assert_allclose(store.scheme.inter_ocular(store.landmarks[0]), 80, atol=0.5)


@pytest.mark.slow
def test_the_example_of_an_own_scheme_is_trained(workspace):
    assert main(commands("datasets convert")[0]) == 0
    (train,) = commands("train landmarks")
    assert main([*train, "--samples", "32", "--workers", "0", "--device", "cpu"]) == 0
    assert main(commands("evaluate")[0]) == 0


def test_the_table_of_the_page_is_read(tmp_path):
    rows = re.search(r"( {4}image;split;.*\n {4}a\.jpg.*\n)", PAGE)[1]
    (tmp_path / "labels.csv").write_text("".join(line.removeprefix("    ") + "\n" for line in rows.splitlines()))
    cv2.imwrite(str(tmp_path / "a.jpg"), np.zeros((100, 100, 3), np.uint8))
    (sample,) = own.read(tmp_path)
    np.testing.assert_allclose(sample.labels.landmarks[0], (31.5, 40))
