"""`python -m atpn template COMMAND`."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
from tyro.conf import Positional, subcommand

from atpn.templates.anchors import AnchoredNetwork, landmark_network
from atpn.templates.faces import find_face, onto_plane
from atpn.templates.parsing import parse_edges, parse_groups, parse_indices, parse_points, read_points
from atpn.templates.pictures import template_sheet
from atpn.templates.scheme import chosen_indices, scheme_template
from atpn.weights import SHIPPED_PROMPTS
from edge_runtime.detector import default_detector
from edge_runtime.files import write_atomically
from edge_runtime.landmarks import WFLW_98, scheme_by_name
from edge_runtime.template import Template

log = logging.getLogger(__name__)

FRONTAL = np.radians(30)
"""Radians. On faces turned further, landmarks of the far side crowd together and carry marks between them badly."""
EXAMPLE = Template(
    "example",
    np.array([(0.36, 0.31), (0.64, 0.31), (0.5, 0.45), (0.39, 0.62), (0.61, 0.62), (0.5, 0.82)]),
    names=("left_eye", "right_eye", "nose_tip", "left_lip_corner", "right_lip_corner", "chin"),
    groups={"eyes": (0, 1), "mouth": (3, 4)},
    edges=((3, 4),),
)
"""What `new` writes when it is given no points."""


@dataclass(frozen=True)
class NewConfig:
    """Write a template from points of the mean-face plane; without points, an example to edit."""

    name: Positional[str]
    """What the template is called."""
    out: Path
    """JSON file to write."""
    points: tuple[str, ...] = ()
    """Points "x,y x,y …", 0 to 1 across the plane, x right and y down."""
    points_file: Path | None = None
    """CSV table with x, y and perhaps a name in each row, instead."""
    names: tuple[str, ...] = ()
    """What each point is called."""
    edges: tuple[str, ...] = ()
    """Points to join with a line: "0-1 1-2"."""
    groups: tuple[str, ...] = ()
    """Parts: "outer=0-11 inner=12,14"."""
    overwrite: bool = False
    """Replace a file that is there."""


@dataclass(frozen=True)
class FromSchemeConfig:
    """Write a template of a landmark scheme's points, or of some of them."""

    scheme: Positional[str]
    """wflw98, ibug68 or cofw29."""
    out: Path
    """JSON file to write."""
    name: str | None = None
    """What the template is called; the file's name if not given."""
    groups: tuple[str, ...] = ()
    """Parts of the scheme: mouth, left_eye …"""
    indices: tuple[str, ...] = ()
    """Landmarks of the scheme: "76-95 16"."""
    weights: Path = SHIPPED_PROMPTS
    """TUFA or ATPN checkpoint that knows where the landmarks lie on the plane."""
    overwrite: bool = False
    """Replace a file that is there."""


@dataclass(frozen=True)
class FromImageConfig:
    """Write a template from points marked on a photograph of a face seen from the front."""

    image: Positional[Path]
    """Photograph; of several faces the largest is taken."""
    out: Path
    """JSON file to write."""
    points: tuple[str, ...] = ()
    """Points "x,y x,y …" in pixels of the photograph."""
    points_file: Path | None = None
    """CSV table with x, y and perhaps a name in each row, instead."""
    name: str | None = None
    """What the template is called; the file's name if not given."""
    names: tuple[str, ...] = ()
    """What each point is called."""
    edges: tuple[str, ...] = ()
    """Points to join with a line: "0-1 1-2"."""
    groups: tuple[str, ...] = ()
    """Parts: "outer=0-11 inner=12,14"."""
    weights: Path = SHIPPED_PROMPTS
    """TUFA or ATPN checkpoint that knows where the landmarks lie on the plane."""
    overwrite: bool = False
    """Replace a file that is there."""


@dataclass(frozen=True)
class ShowConfig:
    """Draw templates on the mean face, and on photographs."""

    templates: Positional[tuple[Path, ...]]
    """JSON files of templates, a row of the picture each."""
    out: Path
    """Picture to write."""
    image: tuple[Path, ...] = ()
    """Photographs of faces, a column of the picture each."""
    weights: Path = SHIPPED_PROMPTS
    """TUFA or ATPN checkpoint that knows where the landmarks lie on the plane; one that finds any points also finds
    the template's on the photographs, else they are carried there by the landmarks."""


Config = (
    Annotated[NewConfig, subcommand("new")]
    | Annotated[ShowConfig, subcommand("show")]
    | Annotated[FromSchemeConfig, subcommand("from-scheme")]
    | Annotated[FromImageConfig, subcommand("from-image")]
)


def run(config: NewConfig | ShowConfig | FromSchemeConfig | FromImageConfig) -> None:
    """Do what the command says; OSError or ValueError say what is wrong with what was given."""
    match config:
        case NewConfig():
            new(config)
        case ShowConfig():
            show(config)
        case FromSchemeConfig():
            from_scheme(config)
        case FromImageConfig():
            from_image(config)


def new(config: NewConfig) -> None:
    """Write the template."""
    if config.points or config.points_file:
        points, names = _points(config)
        _write(config, _template(config.name, points, names, config))
        return
    if config.names or config.edges or config.groups:
        raise ValueError("--names, --edges and --groups are of points: give these with --points or --points-file")
    example = EXAMPLE.as_dict() | {"name": config.name}
    _write(config, Template.from_dict(example))
    print("it is an example: edit its points (x, y from 0 to 1, y down), then look at it with `template show`")


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
    # Written so that NaN is refused, too.
    if not ((pixels >= 0) & (pixels <= (width - 1, height - 1))).all():
        raise ValueError(f"points must lie in {config.image}, {width} x {height} pixels; got {pixels.tolist()}")
    if abs(face.yaw) > FRONTAL:
        log.warning(
            "%s shows a face turned by %.0f degrees: points will be placed roughly; take one seen from the front",
            config.image,
            abs(np.degrees(face.yaw)),
        )
    plane = onto_plane(pixels, face, anchored.of(WFLW_98))
    outside = np.flatnonzero(((plane < 0) | (plane > 1)).any(axis=1))
    if len(outside):
        marks = ", ".join(f"{i} at {pixels[i].tolist()}" for i in outside)
        x, y, side = round(face.roi.cx), round(face.roi.cy), round(face.roi.size)
        raise ValueError(
            f"points {marks} lie off the face: it was found around ({x}, {y}), and the plane reaches about {side // 2} "
            "pixels to each side of there"
        )
    _write(config, _template(config.name or config.out.stem, plane, names, config))


def show(config: ShowConfig) -> None:
    """Write the picture."""
    if not config.templates:
        raise ValueError("give at least one template's JSON file")
    templates = [Template.read(path) for path in config.templates]
    anchored = AnchoredNetwork.read(config.weights)
    faces = []
    if config.image:
        model, detector = landmark_network(anchored), default_detector()
        faces = [find_face(path, model, detector) for path in config.image]
    try:
        _, encoded = cv2.imencode(config.out.suffix, template_sheet(templates, anchored, faces))
    except cv2.error:
        raise ValueError(f"{config.out} must end as pictures do: .png or .jpg") from None
    write_atomically(config.out, encoded.tobytes())
    print(f"wrote {config.out}")


def _points(config: NewConfig | FromImageConfig) -> tuple[np.ndarray, tuple[str, ...]]:
    """The (M, 2) points of an option or a table, and what they are called."""
    if bool(config.points) == (config.points_file is not None):
        raise ValueError("give the points either with --points or with --points-file")
    if config.points_file is None:
        return parse_points(config.points), config.names
    points, names = read_points(config.points_file)
    return points, config.names or names


def _template(name: str, points: np.ndarray, names: tuple[str, ...], config: NewConfig | FromImageConfig) -> Template:
    return Template(name, points, names, parse_groups(config.groups), parse_edges(config.edges))


def _write(config: NewConfig | FromSchemeConfig | FromImageConfig, template: Template) -> None:
    if config.out.exists() and not config.overwrite:
        raise FileExistsError(f"{config.out} exists: give --overwrite to replace it, or another --out")
    write_atomically(config.out, (template.to_json() + "\n").encode())
    print(f"wrote {config.out}: {template.name}, {len(template.points)} points")
