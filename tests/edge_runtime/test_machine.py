"""The processor's name and instruction sets, from what systems print."""

import os

import pytest

from edge_runtime import machine
from edge_runtime.machine import Processor, int8_speeds_up, parse_cpuinfo, parse_sysctl, processor

X86_FLAGS = "fpu sse4_2 avx f16c fma avx2 bmi2"
ARM_64 = "processor\t: {n}\nBogoMIPS\t: 108.00\nFeatures\t: {features}\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n\n"
PI_4 = "fp asimd evtstrm crc32 cpuid"
PI_5 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"


def x86(flags, name="AMD EPYC 7763 64-Core Processor"):
    core = "processor\t: {n}\nvendor_id\t: AuthenticAMD\nmodel\t\t: 1\nmodel name\t: {name}\nflags\t\t: {flags}\n\n"
    return "".join(core.format(n=n, name=name, flags=flags) for n in range(2))


def arm(features, board):
    lines = "".join(ARM_64.format(n=n, features=each) for n, each in enumerate(features))
    return f"{lines}Revision\t: c03111\nModel\t\t: {board}\n"


@pytest.mark.parametrize(
    ("text", "name", "int8"),
    [
        (x86(X86_FLAGS), "AMD EPYC 7763 64-Core Processor", []),
        (x86(f"{X86_FLAGS} avx_vnni", "Intel N100"), "Intel N100", ["AVX-VNNI"]),
        (
            x86(f"{X86_FLAGS} avx512f avx512_vnni amx_bf16 amx_tile amx_int8", "Intel Xeon"),
            "Intel Xeon",
            ["AVX-512 VNNI", "AMX-int8"],
        ),
        (arm([PI_4] * 4, "Raspberry Pi 4 Model B Rev 1.1"), "Raspberry Pi 4 Model B Rev 1.1", []),
        (arm([PI_5] * 4, "Raspberry Pi 5 Model B Rev 1.0"), "Raspberry Pi 5 Model B Rev 1.0", ["dotprod"]),
        (arm([f"{PI_5} i8mm"], "Board"), "Board", ["dotprod", "i8mm"]),
        (arm([PI_5, PI_4], "large and small cores"), "large and small cores", []),
        ("isa\t\t: rv64imafdc\n", "", []),
    ],
)
def test_cpuinfo_gives_name_and_int8_dot_products(text, name, int8, monkeypatch, tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text(text)
    monkeypatch.setattr(machine, "CPUINFO", file)
    assert parse_cpuinfo(text)[0] == name
    found = processor()
    assert found.int8_features == int8
    assert int8_speeds_up() == bool(int8)
    assert found.name  # of the architecture, where the system gives no name
    assert found.features.get("AVX2") is (True if "avx2" in text else None)


def test_sysctl_of_a_mac_with_apple_silicon():
    text = (
        "hw.optional.arm.FEAT_DotProd: 1\nhw.optional.arm.FEAT_I8MM: 0\nhw.optional.floatingpoint: 1\n"
        "machdep.cpu.brand_string: Apple M1\n"
    )
    assert parse_sysctl(text) == ("Apple M1", {"dotprod": True, "i8mm": False})


def test_sysctl_of_a_mac_on_intel():
    text = "machdep.cpu.brand_string: Intel(R) Core(TM) i5\nmachdep.cpu.leaf7_features: BMI1 AVX2 AVX512F AVX512VNNI\n"
    assert parse_sysctl(text) == ("Intel(R) Core(TM) i5", {"AVX2": True, "AVX-512 VNNI": True})


def test_a_system_that_does_not_say_has_unknown_instruction_sets(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "none")
    monkeypatch.setattr(machine.sys, "platform", "win32")
    monkeypatch.setattr(machine.platform, "processor", lambda: "Intel64 Family 6")
    assert processor() == Processor("Intel64 Family 6", machine.available_cores(), {})
    assert not int8_speeds_up()
    # macOS, without the program that says it
    monkeypatch.setattr(machine.sys, "platform", "darwin")
    monkeypatch.setattr(machine.subprocess, "run", lambda *args, **options: (_ for _ in ()).throw(OSError("none")))
    assert processor().features == {}


def test_cores_are_those_that_the_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3, 5}, raising=False)
    assert machine.available_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert machine.available_cores() == 1
