"""Results for other programs while they happen: OSC and VMC over UDP, JSON over WebSocket."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from edge_runtime.errors import SinkError
from edge_runtime.expression import blink, mouth_open
from edge_runtime.face import Face, Pose
from edge_runtime.landmarks import LandmarkScheme
from edge_runtime.sinks import face_to_dict
from edge_runtime.sources import Frame

OscValue = int | float | str
_MAX_PACKET_BYTES = 8192
"""Bytes; receivers on one machine or network take them whole."""


def osc_message(address: str, *values: OscValue) -> bytes:
    """One Open Sound Control 1.0 message: int32, float32 and string arguments."""
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
    """Messages to be taken at once, without delay."""
    immediately = struct.pack(">Q", 1)
    return b"#bundle\0" + immediately + b"".join(struct.pack(">i", len(message)) + message for message in messages)


def _osc_string(text: str) -> bytes:
    data = text.encode() + b"\0"
    return data + b"\0" * (-len(data) % 4)


class OscSink:
    """OSC over UDP, a bundle per face and one message for the frame.

    `/face/frame` index, seconds, number of faces; for each face, `/face/ID/pose` pitch, yaw, roll in radians,
    `/face/ID/confidence`, `/face/ID/region` x, y, size, roll, `/face/ID/landmarks` x0, y0, x1, y1 … and, with a
    template, `/face/ID/points` likewise; pixels as in `Face`.
    """

    def __init__(self, host: str, port: int) -> None:
        """SinkError for a host that nobody knows."""
        self._socket, self._target = _udp(host, port)

    def write(self, frame: Frame, faces: Sequence[Face], overlay: np.ndarray) -> None:
        """See `Sink.write`. That nobody listens is no error."""
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

    def _send(self, packet: bytes) -> None:
        _send(self._socket, self._target, packet)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._socket.close()


class VmcSink:
    """Head, blinks and mouth of the first face for virtual characters, by the Virtual Motion Capture protocol.

    `/VMC/Ext/OK`, `/VMC/Ext/T`, the bone `Head` with its rotation in Unity's frame (its position stays 0: one camera
    does not tell), and, where the landmark scheme has lids and lips, the blend shapes `Blink_L`, `Blink_R` (of the
    character's own left and right) and `A`, each from 0 to 1.
    """

    def __init__(self, host: str, port: int, scheme: LandmarkScheme | None) -> None:
        """SinkError for a host that nobody knows."""
        self._socket, self._target = _udp(host, port)
        self._scheme = scheme

    def write(self, frame: Frame, faces: Sequence[Face], overlay: np.ndarray) -> None:
        """See `Sink.write`."""
        messages = [osc_message("/VMC/Ext/OK", int(bool(faces))), osc_message("/VMC/Ext/T", frame.timestamp)]
        if faces:
            face = faces[0]
            messages.append(osc_message("/VMC/Ext/Bone/Pos", "Head", 0.0, 0.0, 0.0, *unity_quaternion(face.pose)))
            messages += [osc_message("/VMC/Ext/Blend/Val", name, value) for name, value in self._shapes(face)]
            messages.append(osc_message("/VMC/Ext/Blend/Apply"))
        _send(self._socket, self._target, osc_bundle(messages))

    def _shapes(self, face: Face) -> list[tuple[str, float]]:
        if self._scheme is None:
            return []
        found = {
            "Blink_L": blink(face.landmarks, self._scheme, "right_eye"),
            "Blink_R": blink(face.landmarks, self._scheme, "left_eye"),
            "A": mouth_open(face.landmarks, self._scheme),
        }
        return [(name, value) for name, value in found.items() if value is not None]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._socket.close()


def unity_quaternion(pose: Pose) -> tuple[float, float, float, float]:
    """(x, y, z, w) of a head's rotation in Unity's left-handed frame: y up, z out of the character's face.

    Unity turns about y, then x, then z, as `Pose` does; to look up and to turn left are negative there.
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


class WebSocketSink:
    """A WebSocket server that sends every client the newest frame's JSON, the object of a JSON line.

    A client that reads slowly misses frames instead of falling behind. Needs the `websocket` extra.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        """SinkError when the port is taken or the library is not installed. Other machines reach host 0.0.0.0 only."""
        try:
            from websockets.sync.server import serve
        except ImportError as error:
            raise SinkError("websockets is not installed: pip install 'atpn[websocket]'") from error
        self._news = threading.Condition()
        self._text, self._number, self._open = "", 0, True
        try:
            self._server = serve(self._attend, host, port)
        except OSError as error:
            raise SinkError(f"cannot listen on {host}:{port}: {error.strerror}") from error
        self.port = int(self._server.socket.getsockname()[1])
        """The one that it listens on; with port 0, one that was free."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _attend(self, connection: Any) -> None:
        from websockets.exceptions import ConnectionClosed

        seen = 0
        while True:
            with self._news:
                while self._open and self._number == seen:
                    self._news.wait()
                if not self._open:
                    return
                seen, text = self._number, self._text
            try:
                connection.send(text)
            except ConnectionClosed:
                return

    def write(self, frame: Frame, faces: Sequence[Face], overlay: np.ndarray) -> None:
        """See `Sink.write`."""
        record = {"frame": frame.index, "time": round(frame.timestamp, 6), "faces": [face_to_dict(f) for f in faces]}
        text = json.dumps(record, separators=(",", ":"), allow_nan=False)
        with self._news:
            self._text, self._number = text, self._number + 1
            self._news.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        with self._news:
            self._open = False
            self._news.notify_all()
        self._server.shutdown()


def parse_address(text: str) -> tuple[str, int]:
    """HOST:PORT, or a PORT of this machine; ValueError says what is wrong with another text."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"an address is HOST:PORT or PORT, with a port from 1 to 65535, got {text!r}")
    return host or "127.0.0.1", int(port)


def _udp(host: str, port: int) -> tuple[socket.socket, tuple[Any, ...]]:
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    except OSError as error:
        raise SinkError(f"nobody knows the host {host}: {error.strerror}") from error
    return socket.socket(family, kind, protocol), target


def _send(sender: socket.socket, target: tuple[Any, ...], packet: bytes) -> None:
    if len(packet) > _MAX_PACKET_BYTES:
        raise SinkError(f"a message of {len(packet)} bytes is too long for UDP; use JSON lines or a WebSocket")
    try:
        sender.sendto(packet, target)
    except OSError as error:
        # A receiver that is not there yet answers with "connection refused": it may come.
        if not isinstance(error, ConnectionError):
            raise SinkError(f"cannot send to {target[0]}:{target[1]}: {error.strerror}") from error
