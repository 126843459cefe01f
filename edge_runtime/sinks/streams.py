"""Network sinks: OSC and VMC over UDP, JSON over WebSocket."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from edge_runtime.errors import SinkError
from edge_runtime.face import Face, Pose
from edge_runtime.sinks.results import Sink, frame_to_json
from edge_runtime.sources.source import Frame

OscValue = int | float | str
_MAX_PACKET_BYTES = 8192
"""Maximum size of a UDP packet, bytes."""


def osc_message(address: str, *values: OscValue) -> bytes:
    """Encode an Open Sound Control 1.0 message with int32, float32, and string arguments."""
    tags, data = ",", b""
    for value in values:
        if isinstance(value, str):
            tags, data = tags + "s", data + _osc_string(value)
        elif isinstance(value, int):
            tags, data = tags + "i", data + struct.pack(">i", value)
        else:
            tags, data = tags + "f", data + struct.pack(">f", value)
    return _osc_string(address) + _osc_string(tags) + data


def osc_bundle(messages: Sequence[bytes]) -> bytes:
    """Encode messages as one bundle to be handled immediately."""
    immediately = struct.pack(">Q", 1)
    return b"#bundle\0" + immediately + b"".join(struct.pack(">i", len(message)) + message for message in messages)


def _osc_string(text: str) -> bytes:
    data = text.encode() + b"\0"
    return data + b"\0" * (-len(data) % 4)


class _UdpSink(Sink):
    """UDP socket of a sink."""

    _target: tuple[Any, ...]

    def __init__(self, host: str, port: int) -> None:
        """Resolve the host. SinkError if it is unknown."""
        try:
            family, kind, protocol, _, self._target = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        except OSError as error:
            raise SinkError(
                f"cannot resolve host {host!r}: {error.strerror}; check the name or give an IP address"
            ) from error
        self._socket = socket.socket(family, kind, protocol)

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
            raise SinkError(f"cannot send to {self._target[0]}:{self._target[1]}: {error.strerror}") from error

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._socket.close()


class OscSink(_UdpSink):
    """OSC over UDP: one message per frame and a bundle per face.

    `/face/frame`: index, seconds, number of faces. Per face: `/face/ID/pose` (pitch, yaw, roll in radians),
    `/face/ID/confidence`, `/face/ID/region` (ROI: x, y, size, roll), `/face/ID/landmarks` (x0, y0, x1, y1 …), and with
    a template `/face/ID/points` likewise. Units as in `Face`.
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
            self._send(osc_bundle(messages))


class VmcSink(_UdpSink):
    """Head rotation, blinks, and mouth opening of the first face, by the Virtual Motion Capture protocol over UDP.

    Messages: `/VMC/Ext/OK`, `/VMC/Ext/T`, the bone `Head` with its rotation in Unity's frame (position 0), and the
    blend shapes `Blink_L`, `Blink_R` (the character's left and right), and `A` in [0, 1], if the scheme has lids and
    lips. When the face is gone, and when the sink closes, the head and the shapes become neutral.
    """

    def __init__(self, host: str, port: int, hold: bool = False) -> None:
        """Resolve the host. SinkError if it is unknown.

        Without a face the character gets a neutral pose and expression; with `hold`, it keeps the last ones.
        """
        super().__init__(host, port)
        self._hold = hold
        self._time = 0.0
        self._moved: list[str] | None = None
        """Names of the blend shapes that were sent; None before the first face."""

    def write(self, frame: Frame, faces: Sequence[Face]) -> None:
        """See `Sink.write`."""
        self._time = frame.timestamp
        if faces:
            shapes = _blend_shapes(faces[0])
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


class WebSocketSink(Sink):
    """WebSocket server that sends the newest frame to every client, as JSON (see `sinks.frame_to_json`).

    Slow clients miss frames. Requires the `websocket` extra.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        """Start the server; 0.0.0.0 accepts other machines. SinkError if the port or the library is unavailable."""
        try:
            from websockets.sync.server import serve
        except ImportError as error:
            raise SinkError("websockets is not installed: pip install 'atpn[websocket]'") from error
        self._condition = threading.Condition()
        self._text, self._number, self._open = "", 0, True
        try:
            self._server = serve(self._serve_client, host, port)
        except OSError as error:
            raise SinkError(f"cannot listen on {host}:{port}: {error.strerror}") from error
        self.port = int(self._server.socket.getsockname()[1])
        """Port of the server; a free one if 0 was given."""
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # closed before it began
            self._server.serve_forever()

    def _serve_client(self, connection: Any) -> None:
        from websockets.exceptions import ConnectionClosed

        sent = 0
        while True:
            with self._condition:
                while self._open and self._number == sent:
                    self._condition.wait()
                if not self._open:
                    return
                sent, text = self._number, self._text
            try:
                connection.send(text)
            except ConnectionClosed:
                return

    def write(self, frame: Frame, faces: Sequence[Face]) -> None:
        """See `Sink.write`."""
        text = frame_to_json(frame, faces)
        with self._condition:
            self._text, self._number = text, self._number + 1
            self._condition.notify_all()

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        with self._condition:
            self._open = False
            self._condition.notify_all()
        self._server.shutdown()


def parse_address(text: str) -> tuple[str, int]:
    """Parse HOST:PORT, or PORT for this machine. ValueError if the text is neither."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"expected HOST:PORT or PORT, with a port from 1 to 65535, got {text!r}")
    return host or "127.0.0.1", int(port)
