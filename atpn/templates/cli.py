"""`python -m atpn template COMMAND`."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from tyro.conf import Positional, subcommand

from atpn.data.drawing import write_image
from atpn.templates.anchors import AnchoredNetwork, landmark_network
from atpn.templates.faces import find_face, to_plane
from atpn.templates.parsing import parse_edges, parse_groups, parse_indices, parse_points, read_points
from atpn.templates.scheme import chosen_indices, scheme_template
from atpn.templates.sheet import template_sheet
from atpn.weights import SHIPPED_PROMPTS
from edge_runtime.detector import default_detector
from edge_runtime.files import write_atomically
from edge_runtime.landmarks import WFLW_98, scheme_by_name
from edge_runtime.output_paths import OutputFile
from edge_runtime.template import Template

log = logging.getLogger(__name__)

MAX_FRONTAL_YAW = np.radians(30)
"""Radians. On faces turned further, landmarks of the far side are close together, and warps between them inaccurate."""
EXAMPLE = Template(
    "example",
    np.array([(0.36, 0.31), (0.64, 0.31), (0.5, 0.45), (0.39, 0.62), (0.61, 0.62), (0.5, 0.82)]),
    names=("left_eye", "right_eye", "nose_tip", "left_lip_corner", "right_lip_corner", "chin"),
    groups={"eyes": (0, 1), "mouth": (3, 4)},
    edges=((3, 4),),
)
"""Template of `new` without points."""


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """The file of a template."""

    out: OutputFile
    """JSON file to write."""
    overwrite: bool = False
    """Replace an existing file."""


@dataclass(frozen=True, kw_only=True)
class PointOptions(OutputOptions):
    """Points of a template."""

    points: tuple[str, ...] = ()
    """Points "x,y x,y …": 0 to 1 across the plane (`new`), or pixels of the image (`from-image`); x right, y down."""
    points_file: Path | None = None
    """CSV table with x, y, and optional name in each row, instead of --points."""
    names: tuple[str, ...] = ()
    """Name of each point."""
    edges: tuple[str, ...] = ()
    """Points to connect: "0-1 1-2"."""
    groups: tuple[str, ...] = ()
    """Parts: "outer=0-11 inner=12,14"."""


@dataclass(frozen=True)
class NewConfig(PointOptions):
    """Write a template from points of the mean-face plane; without points, an example to edit."""

    name: Positional[str]
    """Name of the template."""


@dataclass(frozen=True)
class FromSchemeConfig(OutputOptions):
    """Write a template of a landmark scheme's points, or of some of them."""

    scheme: Positional[str]
    """wflw98, ibug68, or cofw29."""
    name: str | None = None
    """Name of the template; default: the file's name."""
    groups: tuple[str, ...] = ()
    """Parts of the scheme: mouth, left_eye …"""
    indices: tuple[str, ...] = ()
    """Landmarks of the scheme: "76-95 16"."""
    weights: Path = SHIPPED_PROMPTS
    """TUFA or ATPN checkpoint with the landmarks' anchors on the plane."""


@dataclass(frozen=True)
class FromImageConfig(PointOptions):
    """Write a template from points marked on an image of a frontal face."""

    image: Positional[Path]
    """Image; the largest of several faces is used."""
    name: str | None = None
    """Name of the template; default: the file's name."""
    weights: Path = SHIPPED_PROMPTS
    """TUFA or ATPN checkpoint with the landmarks' anchors on the plane."""


@dataclass(frozen=True)
class ShowConfig:
    """Draw templates on the mean face, and on images."""

    templates: Positional[tuple[Path, ...]]
    """JSON files of templates, one per row of the drawing."""
    out: OutputFile
    """Image to write."""
    image: tuple[Path, ...] = ()
    """Images of faces, one per column of the drawing."""
    weights: Path = SHIPPED_PROMPTS
    """TUFA or ATPN checkpoint with the landmarks' anchors on the plane. One that takes query points also locates the
    template on the images; others warp it there by the landmarks."""


Config = (
    Annotated[NewConfig, subcommand("new")]
    | Annotated[ShowConfig, subcommand("show")]
    | Annotated[FromSchemeConfig, subcommand("from-scheme")]
    | Annotated[FromImageConfig, subcommand("from-image")]
)


def run(config: NewConfig | ShowConfig | FromSchemeConfig | FromImageConfig) -> None:
    """Run the command of these options; OSError or ValueError for wrong input."""
    commands = {NewConfig: new, ShowConfig: show, FromSchemeConfig: from_scheme, FromImageConfig: from_image}
    commands[type(config)](config)


def new(config: NewConfig) -> None:
    """Write the template."""
    if config.points or config.points_file:
        points, names = _points(config)
        _write(config, _template(config.name, points, names, config))
        return
    if config.names or config.edges or config.groups:
        raise ValueError("--names, --edges, and --groups need points: give --points or --points-file")
    example = EXAMPLE.as_dict() | {"name": config.name}
    _write(config, Template.from_dict(example))
    print("this is an example: edit its points (x, y from 0 to 1, y down), then check it with `template show`")


def from_scheme(config: FromSchemeConfig) -> None:
    """Write the template."""
    scheme = scheme_by_name(config.scheme)
    indices = chosen_indices(scheme, config.groups, parse_indices(config.indices))
    anchors = AnchoredNetwork.read(config.weights).of(scheme)
    _write(config, scheme_template(config.name or config.out.stem, scheme, anchors, indices))


def from_image(config: FromImageConfig) -> None:
    """Write the template."""
    pixels, names = _points(config)
    anchored = AnchoredNetwork.read(config.weights)
    face = find_face(config.image, landmark_network(anchored), default_detector())
    height, width = face.image.shape[:2]
    # `not all` also rejects NaN.
    if not ((pixels >= 0) & (pixels <= (width - 1, height - 1))).all():
        raise ValueError(f"points must lie in {config.image}, {width} x {height} pixels; got {pixels.tolist()}")
    if abs(face.yaw) > MAX_FRONTAL_YAW:
        log.warning(
            "%s has a face turned by %.0f degrees: points will be inaccurate; use a frontal face",
            config.image,
            abs(np.degrees(face.yaw)),
        )
    plane = to_plane(pixels, face, anchored.of(WFLW_98))
    outside = np.flatnonzero(((plane < 0) | (plane > 1)).any(axis=1))
    if len(outside):
        marks = ", ".join(f"{i} at {pixels[i].tolist()}" for i in outside)
        x, y, side = round(face.roi.cx), round(face.roi.cy), round(face.roi.size)
        raise ValueError(
            f"points {marks} are off the face: it is at ({x}, {y}), and the plane extends about {side // 2} pixels to "
            "each side"
        )
    _write(config, _template(config.name or config.out.stem, plane, names, config))


def show(config: ShowConfig) -> None:
    """Draw the templates."""
    if not config.templates:
        raise ValueError("no template: give at least one JSON file")
    templates = [Template.read(path) for path in config.templates]
    anchored = AnchoredNetwork.read(config.weights)
    faces = []
    if config.image:
        model, detector = landmark_network(anchored), default_detector()
        faces = [find_face(path, model, detector) for path in config.image]
    write_image(config.out, template_sheet(templates, anchored, faces))
    print(f"wrote {config.out}")


def _points(config: PointOptions) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the (M, 2) points of an option or a table, and their names."""
    if bool(config.points) == (config.points_file is not None):
        raise ValueError("give the points either with --points or with --points-file")
    if config.points_file is None:
        return parse_points(config.points), config.names
    points, names = read_points(config.points_file)
    return points, config.names or names


def _template(name: str, points: np.ndarray, names: tuple[str, ...], config: PointOptions) -> Template:
    return Template(name, points, names, parse_groups(config.groups), parse_edges(config.edges))


def _write(config: OutputOptions, template: Template) -> None:
    if config.out.exists() and not config.overwrite:
        raise FileExistsError(f"{config.out} exists; give --overwrite to replace it, or another --out")
    write_atomically(config.out, (template.to_json() + "\n").encode())
    print(f"wrote {config.out}: {template.name}, {len(template.points)} points")
