import dataclasses
import errno
import math
import os
import socket
import struct

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from edge_runtime import ROI, Face, Pose, TrackState
from edge_runtime.errors import SinkError
from edge_runtime.expression import openings
from edge_runtime.expressions import EXPRESSIONS
from edge_runtime.landmarks import COFW_29, IBUG_68, WFLW_98, convert
from edge_runtime.sinks import streams
from edge_runtime.sinks.address import parse_address
from edge_runtime.sinks.streams import (
    FacialMocapSink,
    OscSink,
    VmcSink,
    facial_mocap_packet,
    osc_bundle,
    osc_message,
    unity_quaternion,
)
from edge_runtime.sources.source import Frame


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


FRAME = Frame(np.zeros((4, 4, 3), np.uint8), 1.5, 7)


def face(landmarks=None, angles=(0.1, -0.2, 0.3)):
    points = np.arange(196.0).reshape(98, 2) if landmarks is None else landmarks
    ray = np.array([0.0, 0.0, 1.0])
    pose = Pose.from_angles(*angles)
    return Face(
        3, TrackState.TRACKED, points, np.full(98, 1.5), pose, 0.75, ROI(10, 20, 30, 0.5), ray, 7, scheme=WFLW_98
    )


def parse(packet):
    """OSC 1.0 by its specification: {address: arguments} of a message or of all in a bundle."""
    if packet.startswith(b"#bundle\0"):
        found, at = {}, 16
        while at < len(packet):
            (length,) = struct.unpack_from(">i", packet, at)
            found |= parse(packet[at + 4 : at + 4 + length])
            at += 4 + length
        return found

    def string(at):
        end = packet.index(b"\0", at)
        return packet[at:end].decode(), (end // 4 + 1) * 4

    address, at = string(0)
    tags, at = string(at)
    values = []
    for tag in tags[1:]:
        if tag == "s":
            value, at = string(at)
        else:
            (value,) = struct.unpack_from({"i": ">i", "f": ">f"}[tag], packet, at)
            at += 4
        values.append(value)
    assert at == len(packet)
    return {address + (f":{values[0]}" if values and isinstance(values[0], str) else ""): values}


@pytest.fixture
def receiver():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(60)
        yield receiver


def test_messages_follow_the_specification():
    # The two examples of the specification, byte for byte.
    assert osc_message("/oscillator/4/frequency", 440.0).hex() == (
        "2f6f7363696c6c61746f722f342f6672657175656e637900" + "2c660000" + "43dc0000"
    )
    assert osc_message("/foo", 1000, -1, "hello", 1.234, 5.678).hex() == (
        "2f666f6f00000000" + "2c69697366660000" + "000003e8" + "ffffffff" + "68656c6c6f000000" + "3f9df3b6" + "40b5b22d"
    )
    assert parse(osc_bundle([osc_message("/a", 1), osc_message("/b", 2.0)])) == {"/a": [1], "/b": [2.0]}


def test_osc_message_clamps_numbers_beyond_its_types():
    sent = parse(osc_bundle([osc_message("/a", 2**40, -(2**40), 1e308, -1e308)]))["/a"]
    assert sent == [2**31 - 1, -(2**31), float(np.finfo(np.float32).max), float(np.finfo(np.float32).min)]


def test_osc_sends_the_frame_and_each_face(receiver):
    with OscSink(*receiver.getsockname()) as sink:
        sink.write(FRAME, [face()])
    assert parse(receiver.recv(9000)) == {"/face/frame": [7, 1.5, 1]}
    messages = parse(receiver.recv(9000))
    assert messages["/face/3/pose"] == pytest.approx([0.1, -0.2, 0.3], abs=1e-6)
    assert messages["/face/3/confidence"] == [0.75]
    assert messages["/face/3/region"] == [10, 20, 30, 0.5]
    assert messages["/face/3/landmarks"] == list(range(196))


def test_osc_sends_a_templates_points(receiver):
    points = np.array([[1.0, 2.0], [3.0, 4.0]])
    with OscSink(*receiver.getsockname()) as sink:
        sink.write(FRAME, [dataclasses.replace(face(), points=points)])
    receiver.recv(4096)
    assert parse(receiver.recv(4096))["/face/3/points"] == [1, 2, 3, 4]


def test_osc_sink_accepts_a_missing_receiver():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        address = probe.getsockname()
    with OscSink(*address) as sink:
        for _ in range(5):
            sink.write(FRAME, [face()])


def drawn(open_eyes, open_mouth):
    """Return 98 points with eyes and mouth of width 30 and 40, opened by these fractions of their widths."""
    points = np.random.default_rng(0).uniform(0, 200, (98, 2))
    for first, width, gap in ((60, 30, open_eyes), (68, 30, open_eyes), (88, 40, open_mouth)):
        pairs = 3
        points[first], points[first + 4] = (0, 0), (width, 0)
        for k in range(1, pairs + 1):
            points[first + k] = (k * width / 4, -gap * width / 2)
            points[first + 8 - k] = (k * width / 4, gap * width / 2)
    return points


@pytest.mark.parametrize(
    ("eyes", "mouth", "shut", "wide"), [(0.05, 0.0, 1, 0), (0.4, 0.8, 0, 1), (0.185, 0.3, 0.5, 0.5)]
)
def test_expression_from_gaps(eyes, mouth, shut, wide):
    points = drawn(eyes, mouth)
    found = openings(points, WFLW_98)
    assert found == pytest.approx({"left_eye": 1 - shut, "right_eye": 1 - shut, "mouth": wide}, abs=1e-6)
    assert openings(convert(points, WFLW_98, IBUG_68), IBUG_68)["mouth"] == pytest.approx(wide, abs=1e-6)
    assert openings(points[:29], COFW_29) == {}


def test_vmc_moves_a_head_and_its_face(receiver):
    points = drawn(0.4, 0.3)
    points[60:68] = drawn(0.05, 0.3)[60:68]  # the eye at the image's left, the character's right one, is shut
    with VmcSink(*receiver.getsockname()) as sink:
        sink.write(FRAME, [face(points, (0, 0, 0))])
        sink.write(FRAME, [])
    messages = parse(receiver.recv(9000))
    assert messages["/VMC/Ext/OK"] == [1]
    assert messages["/VMC/Ext/T"] == [1.5]
    assert messages["/VMC/Ext/Bone/Pos:Head"] == ["Head", 0, 0, 0, 0, 0, 0, 1]
    shapes = {name: messages[f"/VMC/Ext/Blend/Val:{name}"][1] for name in ("Blink_L", "Blink_R", "A")}
    assert shapes == pytest.approx({"Blink_L": 0, "Blink_R": 1, "A": 0.5}, abs=1e-6)
    assert "/VMC/Ext/Blend/Apply" in messages
    for _ in ("without a face", "after closing"):
        neutral = parse(receiver.recv(9000))
        assert neutral["/VMC/Ext/OK"] == [0]
        assert neutral["/VMC/Ext/Bone/Pos:Head"] == ["Head", 0, 0, 0, 0, 0, 0, 1]
        assert {name: neutral[f"/VMC/Ext/Blend/Val:{name}"][1] for name in shapes} == dict.fromkeys(shapes, 0)
        assert "/VMC/Ext/Blend/Apply" in neutral


def test_vmc_holds_the_last_pose_if_asked_and_moves_nothing_before_the_first_face(receiver):
    nothing = {"/VMC/Ext/OK": [0], "/VMC/Ext/T": [1.5]}
    with VmcSink(*receiver.getsockname(), hold=True) as sink:
        sink.write(FRAME, [])
        sink.write(FRAME, [face()])
        sink.write(FRAME, [])
    with VmcSink(*receiver.getsockname()) as sink:
        sink.write(FRAME, [])
        sink.write(FRAME, [dataclasses.replace(face(), scheme=None)])
    packets = [parse(receiver.recv(9000)) for _ in range(6)]
    assert [packets[0], packets[2], packets[3]] == [nothing] * 3
    assert packets[1].keys() > packets[4].keys() == packets[5].keys(), "a scheme without lids has no shapes"
    assert packets[5]["/VMC/Ext/Bone/Pos:Head"][4:] == [0, 0, 0, 1]


@pytest.mark.parametrize(("pitch", "yaw", "roll"), [(0.3, 0, 0), (0, 0.4, 0), (0, 0, -0.2), (0.3, -0.4, 0.5)])
def test_unitys_rotation_is_yaw_pitch_roll_in_a_left_handed_frame(pitch, yaw, roll):
    expected = Rotation.from_euler("YXZ", [-yaw, -pitch, roll]).as_quat()
    found = np.array(unity_quaternion(Pose.from_angles(pitch, yaw, roll)))
    assert found == pytest.approx(expected, abs=1e-9) or found == pytest.approx(-expected, abs=1e-9)


def test_osc_sink_rejects_unknown_hosts():
    with pytest.raises(SinkError, match=r"cannot resolve host 'no\.such\.host\.invalid'"):
        OscSink("no.such.host.invalid", 9000)


@pytest.fixture
def unreliable(monkeypatch):
    """The error numbers of the next packets of the sinks that are opened; None: the packet is sent."""
    outcomes = []

    class Unreliable(socket.socket):
        def sendto(self, packet, address):
            if (number := outcomes.pop(0) if outcomes else None) is not None:
                raise OSError(number, os.strerror(number))
            return super().sendto(packet, address)

    monkeypatch.setattr(streams.socket, "socket", Unreliable)
    return outcomes


@pytest.mark.parametrize("name", ["ENETUNREACH", "EHOSTUNREACH", "ENETDOWN", "ENOBUFS", "EAGAIN", "EADDRNOTAVAIL"])
def test_a_network_that_fails_and_returns_loses_packets_only(receiver, unreliable, caplog, name):
    number = getattr(errno, name)
    with OscSink(*receiver.getsockname()) as sink:
        unreliable += [None, number, number, None, number, None, None]
        for index in range(7):
            sink.write(dataclasses.replace(FRAME, index=index), [])
    assert [parse(receiver.recv(9000))["/face/frame"][0] for _ in range(4)] == [0, 3, 5, 6]
    told = f"127.0.0.1:{receiver.getsockname()[1]}"
    assert [record.getMessage() for record in caplog.records] == [
        f"cannot send to {told} for the moment: {os.strerror(number)}; trying again",
        f"sending to {told} again after 2 lost packets",
        f"3 packets to {told} were lost",
    ]


@pytest.mark.parametrize("name", ["EMSGSIZE", "EACCES", "EINVAL"])
def test_an_error_that_will_not_pass_ends_the_sink(receiver, unreliable, caplog, name):
    unreliable += [getattr(errno, name)]
    with OscSink(*receiver.getsockname()) as sink, pytest.raises(SinkError, match=r"cannot send to 127\.0\.0\.1:\d+: "):
        sink.write(FRAME, [])
    assert caplog.records == []


@pytest.mark.skipif(not has_ipv6(), reason="this system has no IPv6")
@pytest.mark.parametrize("open_sink", [OscSink, VmcSink])
def test_packets_go_to_ipv6_addresses(open_sink):
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("::1", 0))
        receiver.settimeout(60)
        with open_sink(*parse_address(f"[::1]:{receiver.getsockname()[1]}")) as sink:
            sink.write(FRAME, [])
        assert parse(receiver.recv(9000))


def expressive(**changes):
    """A face whose coefficients are the numbers from 0 to 0.51, in order."""
    values = {name: i / 100 for i, name in enumerate(EXPRESSIONS)}
    gaze = np.array([[0.1, 0.2], [-0.1, 0.05]])
    return dataclasses.replace(face(), expressions=values, gaze=gaze, **changes)


def test_osc_sends_expressions_and_gaze(receiver):
    with OscSink(*receiver.getsockname()) as sink:
        sink.write(FRAME, [expressive()])
    receiver.recv(9000)
    messages = parse(receiver.recv(9000))
    assert messages["/face/3/expressions"] == pytest.approx([i / 100 for i in range(52)], abs=1e-6)
    assert messages["/face/3/gaze"] == pytest.approx([0.1, 0.2, -0.1, 0.05], abs=1e-6)


def test_vmc_sends_perfect_sync(receiver):
    with VmcSink(*receiver.getsockname(), perfect_sync=True) as sink:
        sink.write(FRAME, [expressive()])
    sent, neutral = (parse(receiver.recv(9000)) for _ in range(2))
    shapes = {key.partition(":")[2]: values[1] for key, values in sent.items() if key.startswith("/VMC/Ext/Blend/Val")}
    assert len(shapes) == 52
    assert shapes["EyeBlinkLeft"] == 0.0
    assert shapes["TongueOut"] == pytest.approx(0.51, abs=1e-6)
    assert shapes["JawOpen"] == pytest.approx(EXPRESSIONS.index("jawOpen") / 100, abs=1e-6)
    assert [values[1] for key, values in neutral.items() if key.startswith("/VMC/Ext/Blend/Val")] == [0.0] * 52


def test_facial_mocap_packets_have_percent_and_degrees(receiver):
    with FacialMocapSink(*receiver.getsockname()) as sink:
        sink.write(FRAME, [])
        sink.write(FRAME, [expressive(pose=Pose.from_angles(0.0, 0.0, 0.0))])
    packet, neutral = (receiver.recv(9000).decode() for _ in range(2))
    assert {shape.split("-")[1] for shape in neutral.partition("|=")[0].split("|")} == {"0"}
    assert set(neutral.partition("|=")[2]) <= set("headrightEyeleftEye#0.,-|")
    shapes, _, rest = packet.partition("|=")
    values = dict(shape.split("-") for shape in shapes.split("|"))
    assert len(values) == 52
    assert values["eyeBlink_L"] == "0"
    assert values["eyeBlink_R"] == str(EXPRESSIONS.index("eyeBlinkRight"))
    # Directions are words in the app's own packets, sides are letters.
    assert {"jawLeft", "jawRight", "mouthLeft", "mouthRight", "browInnerUp", "mouthUpperUp_R"} < values.keys()
    blocks = {block.split("#")[0]: [float(n) for n in block.split("#")[1].split(",")] for block in rest.split("|")[:-1]}
    assert blocks["head"] == [0.0] * 6
    assert blocks["leftEye"] == pytest.approx([*np.degrees([-0.2, 0.1]), 0], abs=1e-3)
    assert blocks["rightEye"] == pytest.approx([*np.degrees([-0.05, -0.1]), 0], abs=1e-3)


def test_facial_mocap_eyes_are_relative_to_the_head():
    looks_along = expressive(pose=Pose.from_angles(0.3, -0.4, 0.2))
    pitch, yaw, _ = looks_along.pose.angles
    packet = facial_mocap_packet(dataclasses.replace(looks_along, gaze=np.array([[yaw, pitch]] * 2)))
    rest = packet.partition("|=")[2]
    assert rest.startswith(f"head#{math.degrees(-0.3):.3f},{math.degrees(-0.4):.3f},{math.degrees(-0.2):.3f},0,0,0|")
    eyes = [float(n) for block in rest.split("|")[1:3] for n in block.split("#")[1].split(",")]
    assert np.abs(eyes).max() < 1e-3


def test_sinks_of_expressions_say_that_a_face_has_none(receiver):
    for sink in (FacialMocapSink(*receiver.getsockname()), VmcSink(*receiver.getsockname(), perfect_sync=True)):
        with sink, pytest.raises(SinkError, match="cannot send expressions: the model gives none"):
            sink.write(FRAME, [face()])
