"""Reports beside exported files."""

from __future__ import annotations

import json

from export.report import Report


def test_entries_of_earlier_runs_keep_what_they_were_evaluated_with(tmp_path, capsys):
    for name, held_out in (("a.tflite", "old"), ("b.tflite", "new"), ("gone.tflite", "new")):
        (tmp_path / name).touch()
        report = Report("report", [["file"], [name]], "", {"weights_sha256": "w", "held_out": {"sha256": held_out}})
        report.write(tmp_path, {name: {"sha256": "1"}})
    (tmp_path / "gone.tflite").unlink()
    report.write(tmp_path, {"b.tflite": {"sha256": "2"}})
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["held_out"] == {"sha256": "new"}
    assert {name: (e["sha256"], e["held_out"]["sha256"]) for name, e in written["files"].items()} == {
        "a.tflite": ("1", "old"),
        "b.tflite": ("2", "new"),
    }
