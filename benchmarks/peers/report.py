"""Tables of the comparison, in markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.peers.accuracy import Accuracy
from benchmarks.peers.timing import AROUND, NETWORK, WHOLE, ClipTimes, Ratio, ratio


def report(
    clips: Sequence[ClipTimes],
    ours: Sequence[str],
    peers: Sequence[str],
    accuracy: Sequence[Accuracy],
    skipped: Mapping[str, str],
) -> str:
    """Time ratios, errors where they were measured, and what is missing for which reason."""
    parts = []
    if peers:
        over_network = f"{WHOLE} over their network alone"
        parts += [
            _ratios(clips, ours, peers, NETWORK, "network alone"),
            _ratios(clips, ours, peers, AROUND, AROUND),
            _ratios(clips, ours, peers, WHOLE, over_network, NETWORK),
            f"Our time over theirs: median of {len(clips)} clips (least to greatest), "
            f"{sum(clip.frames for clip in clips)} tracked frames, one thread, interleaved.",
        ]
    if accuracy:
        parts += [
            _errors(accuracy),
            f"{accuracy[0].faces} faces of every other photograph; peers' boxes, in landmark rectangles, were chosen "
            "on the others. Errors over the outer eye corners' distance, of the points that a network has.",
        ]
    parts += [f"Left out: {name}, {reason}." for name, reason in skipped.items()]
    return "\n\n".join(parts)


def _ratios(
    clips: Sequence[ClipTimes],
    ours: Sequence[str],
    peers: Sequence[str],
    stage: str,
    title: str,
    peers_stage: str | None = None,
) -> str:
    rows = [[name, *(_cell(ratio(clips, stage, name, peer, peers_stage)) for peer in peers)] for name in ours]
    return _table([title, *peers], rows)


def _cell(value: Ratio) -> str:
    return f"{value.median:.2f} ({value.low:.2f} to {value.high:.2f})"


def _errors(accuracy: Sequence[Accuracy]) -> str:
    rows = [
        [
            each.name,
            str(each.points),
            f"{each.box_scale:g}",
            f"{each.nme:.2f}",
            f"{each.nme_without_jaw:.2f}",
            f"{each.failure_rate:.1f}",
        ]
        for each in accuracy
    ]
    return _table(["AFW", "points", "box", "NME %", "without the jaw", "above 10 %"], rows)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
