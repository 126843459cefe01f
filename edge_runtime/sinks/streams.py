"""Sinks over UDP: OSC, VMC, and the packets of iFacialMocap."""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import socket
import struct
from collections.abc import Mapping, Sequence

import numpy as np

from edge_runtime.errors import SinkError
from edge_runtime.expressions import EXPRESSIONS
from edge_runtime.face import Face, Pose
from edge_runtime.gaze import gaze_angles, gaze_directions
from edge_runtime.sinks.address import format_address, resolve
from edge_runtime.sinks.results import Sink
from edge_runtime.sources.source import Frame

OscValue = int | float | str
_MAX_PACKET_BYTES = 8192
"""Maximum size of a UDP packet, bytes."""
_MIN_INT, _MAX_INT, _MAX_FLOAT = -(2**31), 2**31 - 1, float(np.finfo(np.float32).max)
"""Ranges of OSC's int32 and float32."""
_TRANSIENT_ERRORS = frozenset(
    getattr(errno, name)
    for name in (
        *("ENETUNREACH", "ENETDOWN", "ENETRESET", "EHOSTUNREACH", "EHOSTDOWN", "EADDRNOTAVAIL", "ENONET"),
        *("EAGAIN", "EWOULDBLOCK", "ENOBUFS", "ENOMEM", "EINTR", "ETIMEDOUT"),
    )
    if hasattr(errno, name)
)
"""Errors of a network that may return, as wireless ones do, and of one that is busy."""
_DIRECTIONS = ("jawLeft", "jawRight", "mouthLeft", "mouthRight")
_log = logging.getLogger(__name__)


def osc_message(address: str, *values: OscValue) -> bytes:
    """Encode an Open Sound Control 1.0 message with int32, float32, and string arguments.

    A number beyond its type's range becomes the range's end.
    """
    tags, data = ",", b""
    for value in values:
        if isinstance(value, str):
            tags, data = tags + "s", data + _osc_string(value)
        elif isinstance(value, int):
            tags, data = tags + "i", data + struct.pack(">i", max(_MIN_INT, min(value, _MAX_INT)))
        else:
            tags, data = tags + "f", data + struct.pack(">f", max(-_MAX_FLOAT, min(value, _MAX_FLOAT)))
    return _osc_string(address) + _osc_string(tags) + data


def osc_bundle(messages: Sequence[bytes]) -> bytes:
    """Encode messages as one bundle to be handled immediately."""
    immediately = struct.pack(">Q", 1)
    return b"#bundle\0" + immediately + b"".join(struct.pack(">i", len(message)) + message for message in messages)


def _osc_string(text: str) -> bytes:
    data = text.encode() + b"\0"
    return data + b"\0" * (-len(data) % 4)


class _UdpSink(Sink):
    """UDP socket of a sink. Packets that the network does not take for the moment are lost."""

    def __init__(self, host: str, port: int) -> None:
        """Resolve the host. SinkError if it is unknown."""
        family, self._target = resolve(host, port, socket.SOCK_DGRAM)
        self._name = format_address(*self._target[:2])
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)  # tracking does not wait for the network
        self._lost = 0
        """Number of packets that were lost so far."""
        self._recovered = False

    def _send(self, packet: bytes) -> None:
        if len(packet) > _MAX_PACKET_BYTES:
            raise SinkError(
                f"a message of {len(packet)} bytes exceeds the UDP limit of {_MAX_PACKET_BYTES}; "
                "use JSON lines or a WebSocket"
            )
        try:
            self._socket.sendto(packet, self._target)
        except ConnectionError:
            pass  # no receiver yet
        except OSError as error:
            if error.errno not in _TRANSIENT_ERRORS:
                raise SinkError(f"cannot send to {self._name}: {error.strerror}") from error
            self._lost += 1
            if self._lost == 1:
                _log.warning("cannot send to %s for the moment: %s; trying again", self._name, error.strerror)
        else:
            if self._lost and not self._recovered:
                _log.warning("sending to %s again after %d lost packets", self._name, self._lost)
                self._recovered = True

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._socket.close()
        if self._lost:
            _log.warning("%d packets to %s were lost", self._lost, self._name)


class OscSink(_UdpSink):
    """OSC over UDP: one message per frame and a bundle per face.

    `/face/frame`: index, seconds, number of faces. Per face: `/face/ID/pose` (pitch, yaw, roll in radians),
    `/face/ID/confidence`, `/face/ID/region` (ROI: x, y, size, roll), `/face/ID/landmarks` (x0, y0, x1, y1 …), with a
    template `/face/ID/points` likewise, and if the model gives them `/face/ID/expressions` (52 coefficients in the
    order of `EXPRESSIONS`) and `/face/ID/gaze` (yaw and pitch of the subject's left and right eye). Units as in `Face`.
    """

    def write(self, frame: Frame, faces: Sequence[Face]) -> None:
        """See `Sink.write`. A missing receiver is not an error."""
        self._send(osc_message("/face/frame", frame.index, frame.timestamp, len(faces)))
        for face in faces:
            at, roi = f"/face/{face.id}", face.roi
            messages = [
                osc_message(f"{at}/pose", *face.pose.angles),
                osc_message(f"{at}/confidence", face.confidence),
                osc_message(f"{at}/region", roi.cx, roi.cy, roi.size, roi.roll),
                osc_message(f"{at}/landmarks", *map(float, face.landmarks.ravel())),
            ]
            if face.points is not None:
                messages.append(osc_message(f"{at}/points", *map(float, face.points.ravel())))
            if face.expressions is not None:
                messages.append(osc_message(f"{at}/expressions", *(face.expressions[name] for name in EXPRESSIONS)))
            if face.gaze is not None:
                messages.append(osc_message(f"{at}/gaze", *map(float, face.gaze.ravel())))
            self._send(osc_bundle(messages))


class VmcSink(_UdpSink):
    """Head rotation and expression of the first face, by the Virtual Motion Capture protocol over UDP.

    Messages: `/VMC/Ext/OK`, `/VMC/Ext/T`, the bone `Head` with its rotation in Unity's frame (position 0), and blend
    shapes in [0, 1]. These are `Blink_L`, `Blink_R` (the character's left and right), and `A`, which every character
    has, if the scheme has lids and lips; or the 52 of perfect sync (`EyeBlinkLeft` …). When the face is gone, and when
    the sink closes, the head and the shapes become neutral.
    """

    def __init__(self, host: str, port: int, hold: bool = False, perfect_sync: bool = False) -> None:
        """Resolve the host. SinkError if it is unknown.

        Without a face the character gets a neutral pose and expression; with `hold`, it keeps the last ones.
        `perfect_sync` needs faces with expressions, and a character that is made for it.
        """
        super().__init__(host, port)
        self._hold, self._perfect_sync = hold, perfect_sync
        self._time = 0.0
        self._moved: list[str] | None = None
        """Names of the blend shapes that were sent; None before the first face."""

    def write(self, frame: Frame, faces: Sequence[Face]) -> None:
        """See `Sink.write`."""
        self._time = frame.timestamp
        if faces:
            shapes = (perfect_sync_shapes if self._perfect_sync else _blend_shapes)(faces[0])
            self._moved = [name for name, _ in shapes]
            self._send_state(True, unity_quaternion(faces[0].pose), shapes)
        elif self._moved is None or self._hold:
            self._send_state(False)
        else:
            self._send_neutral(self._moved)

    def _send_neutral(self, names: Sequence[str]) -> None:
        self._send_state(False, (0.0, 0.0, 0.0, 1.0), [(name, 0.0) for name in names])

    def _send_state(
        self,
        available: bool,
        rotation: tuple[float, float, float, float] | None = None,
        shapes: Sequence[tuple[str, float]] = (),
    ) -> None:
        messages = [osc_message("/VMC/Ext/OK", int(available)), osc_message("/VMC/Ext/T", self._time)]
        if rotation is not None:
            messages.append(osc_message("/VMC/Ext/Bone/Pos", "Head", 0.0, 0.0, 0.0, *rotation))
            messages += [osc_message("/VMC/Ext/Blend/Val", name, value) for name, value in shapes]
            messages.append(osc_message("/VMC/Ext/Blend/Apply"))
        self._send(osc_bundle(messages))

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._moved is not None and not self._hold:
            with contextlib.suppress(SinkError):  # it may be the reason for closing
                self._send_neutral(self._moved)
        super().__exit__(kind, error, trace)


def _blend_shapes(face: Face) -> list[tuple[str, float]]:
    """Return names and values of the blend shapes; the character's left is the image's right."""
    openings = face.openings
    blinks = {"Blink_L": "right_eye", "Blink_R": "left_eye"}
    shapes = [(name, 1.0 - openings[eye]) for name, eye in blinks.items() if eye in openings]
    return shapes + ([("A", openings["mouth"])] if "mouth" in openings else [])


def perfect_sync_shapes(face: Face) -> list[tuple[str, float]]:
    """Return the 52 blend shapes of perfect sync: ARKit's names with a capital. SinkError without expressions."""
    return [(name[0].upper() + name[1:], value) for name, value in _expressions(face).items()]


def _expressions(face: Face) -> Mapping[str, float]:
    if face.expressions is None:
        raise SinkError("cannot send expressions: the model gives none; use one exported with `--heads all`")
    return face.expressions


class FacialMocapSink(_UdpSink):
    """Expression, head, and eyes of the first face, as the app iFacialMocap sends them over UDP (its version 1).

    A packet per frame with a face: ARKit's coefficients in percent, then angles in degrees about x (down), y (to the
    subject's left), and z (the subject's left side up) of the head and of both eyes in it; the head's position is 0.
    Format: https://www.ifacialmocap.com/for-developer/, which shows the eyes' signs and leaves the head's open. When
    the face is gone, and when the sink closes, one packet makes everything neutral.
    """

    def __init__(self, host: str, port: int, hold: bool = False) -> None:
        """Resolve the host. SinkError if it is unknown. With `hold`, the last packet stays without a face."""
        super().__init__(host, port)
        self._hold = hold
        self._moved = False
        """Whether the last packet was of a face."""

    def write(self, frame: Frame, faces: Sequence[Face]) -> None:
        """See `Sink.write`."""
        if faces:
            self._send(facial_mocap_packet(faces[0]).encode())
            self._moved = True
        elif not self._hold:
            self._send_neutral()

    def _send_neutral(self) -> None:
        if self._moved:
            self._moved = False
            self._send(_facial_mocap_packet(dict.fromkeys(EXPRESSIONS, 0.0), [0.0] * 3, [0.0] * 2, [0.0] * 2).encode())

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if not self._hold:
            with contextlib.suppress(SinkError):  # it may be the reason for closing
                self._send_neutral()
        super().__exit__(kind, error, trace)


def facial_mocap_packet(face: Face) -> str:
    """Return a face as a packet of iFacialMocap; see `FacialMocapSink`. SinkError without expressions."""
    expressions = _expressions(face)
    assert face.gaze is not None  # comes with the expressions
    left, right = np.degrees(gaze_angles(gaze_directions(face.gaze) @ face.pose.matrix)).tolist()
    return _facial_mocap_packet(expressions, [math.degrees(angle) for angle in face.pose.angles], left, right)


def _facial_mocap_packet(
    expressions: Mapping[str, float], head: Sequence[float], left: Sequence[float], right: Sequence[float]
) -> str:
    """Format pitch, yaw, and roll of the head, and yaw and pitch of the eyes in it, degrees."""
    shapes = "".join(f"{_facial_mocap_name(name)}-{round(100 * value)}|" for name, value in expressions.items())
    pitch, yaw, roll = head
    eyes = (f"{name}#{-up:.3f},{turn:.3f},0|" for name, (turn, up) in (("rightEye", right), ("leftEye", left)))
    return f"{shapes}=head#{-pitch:.3f},{yaw:.3f},{-roll:.3f},0,0,0|{''.join(eyes)}"


def _facial_mocap_name(name: str) -> str:
    """Return iFacialMocap's name of a coefficient: a side is a letter, a direction stays a word."""
    for side in ("Left", "Right"):
        if name.endswith(side) and name not in _DIRECTIONS:
            return f"{name.removesuffix(side)}_{side[0]}"
    return name


def unity_quaternion(pose: Pose) -> tuple[float, float, float, float]:
    """Convert a pose to an (x, y, z, w) quaternion in Unity's left-handed frame: y up, z out of the character's face.

    Unity rotates about y, x, z in the order of `Pose`; looking up and turning left are negative.
    """
    pitch, yaw, roll = pose.angles
    halves = (-yaw / 2, -pitch / 2, roll / 2)
    (cy, cx, cz), (sy, sx, sz) = (tuple(map(float, f(halves))) for f in (np.cos, np.sin))
    return (
        cy * sx * cz + sy * cx * sz,
        sy * cx * cz - cy * sx * sz,
        cy * cx * sz - sy * sx * cz,
        cy * cx * cz + sy * sx * sz,
    )
