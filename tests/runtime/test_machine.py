"""Processor features, topology and limits, read from this machine and from pictures of others."""

from pathlib import Path

import pytest

from hekla.runtime.cpu import cpu_features
from hekla.runtime.limits import Limits, allowed_cpus, read_limits, usable_cpus, usable_memory_bytes
from hekla.runtime.topology import cpu_list, read_topology


def write(root: Path, files: dict[str, str]) -> Path:
    """Make a picture of a system's root folder."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


def test_this_machine_can_be_read() -> None:
    topology = read_topology()
    assert allowed_cpus() <= set(topology.cpus) or not topology.caches
    assert len(topology.one_thread_per_core(allowed_cpus())) == len(allowed_cpus())
    assert 1 <= usable_cpus() <= len(allowed_cpus())
    assert usable_memory_bytes() > 1 << 20
    assert cpu_features().architecture


def test_features_of_an_x86_machine_have_llvms_names(tmp_path: Path) -> None:
    flags = "fpu sse2 avx2 fma avx512f avx512bw avx512vl avx512_vnni avx512_bf16 sse4_2"
    root = write(tmp_path, {"proc/cpuinfo": f"processor\t: 0\nflags\t\t: {flags}\n\nprocessor\t: 1\nflags\t\t: fpu"})
    features = cpu_features(root, "x86_64")
    assert features.has("avx512vnni", "sse4.2", "avx512bf16")
    assert features.vector_bits == 512
    assert features.has_integer_dot
    assert cpu_features(tmp_path / "nothing", "x86_64").vector_bits == 0


def test_features_of_arm_and_riscv_machines(tmp_path: Path) -> None:
    root = write(tmp_path / "arm", {"proc/cpuinfo": "Features\t: fp asimd atomics asimddp asimdhp"})
    arm = cpu_features(root, "aarch64")
    assert arm.has("neon", "dotprod", "fullfp16", "lse")
    assert (arm.vector_bits, arm.has_integer_dot) == (128, True)
    root = write(tmp_path / "riscv", {"proc/cpuinfo": "hart\t: 0\nisa\t\t: rv64imafdcv_zicsr_zba"})
    riscv = cpu_features(root, "riscv64")
    assert riscv.has("m", "v", "zba")
    assert riscv.vector_bits == 128


def two_nodes(root: Path) -> Path:
    """Four cores of two threads on two nodes: 0 and 4 share a core, and so on."""
    files = {"cpu/online": "0-7", "node/node0/cpulist": "0-1,4-5", "node/node1/cpulist": "2-3,6-7"}
    for cpu in range(8):
        here, core = f"cpu/cpu{cpu}", cpu % 4
        files |= {
            f"{here}/topology/core_cpus_list": f"{core},{core + 4}",
            f"{here}/topology/physical_package_id": str(core // 2),
            f"{here}/cache/index0/level": "1",
            f"{here}/cache/index0/type": "Data",
            f"{here}/cache/index0/size": "48K",
            f"{here}/cache/index0/shared_cpu_list": f"{core},{core + 4}",
            f"{here}/cache/index0/coherency_line_size": "128",
            f"{here}/cache/index1/level": "3",
            f"{here}/cache/index1/type": "Unified",
            f"{here}/cache/index1/size": "32M",
            f"{here}/cache/index1/shared_cpu_list": "0-7",
        }
    return write(root, {f"sys/devices/system/{name}": text for name, text in files.items()})


def test_a_machine_with_siblings_caches_and_nodes(tmp_path: Path) -> None:
    topology = read_topology(two_nodes(tmp_path))
    assert [(core.package, core.node, core.cpus) for core in topology.cores] == [
        (0, 0, (0, 4)), (0, 0, (1, 5)), (1, 1, (2, 6)), (1, 1, (3, 7)),
    ]  # fmt: skip
    assert topology.nodes == (0, 1)
    assert topology.siblings(6) == (2, 6)
    assert (topology.cache_bytes(1), topology.cache_bytes(2), topology.cache_bytes(3)) == (48 << 10, 0, 32 << 20)
    assert topology.line_bytes == 128
    assert len(topology.caches) == 5
    assert topology.one_thread_per_core(frozenset({0, 4, 5, 2})) == (0, 5, 2, 4)


def test_a_machine_that_tells_nothing_is_cores_without_caches(tmp_path: Path) -> None:
    topology = read_topology(tmp_path)
    assert len(topology.cores) >= 1
    assert topology.line_bytes == 64


def test_the_kernels_lists_of_processors() -> None:
    assert cpu_list("0-3,8") == [0, 1, 2, 3, 8]
    assert cpu_list("") == []


V2 = "29 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, Limits()),
        ({"a/cpu.max": "max 100000", "a/memory.max": "max"}, Limits()),
        ({"a/b/cpu.max": "150000 100000", "a/b/memory.max": "1048576"}, Limits(1.5, 1 << 20)),
        # the group around it is tighter
        ({"a/b/cpu.max": "max 100000", "a/cpu.max": "50000 100000", "a/memory.max": "4096"}, Limits(0.5, 4096)),
    ],
)
def test_limits_of_version_2_hold_for_all_groups_below(tmp_path: Path, files: dict[str, str], expected: Limits) -> None:
    base = {"proc/self/cgroup": "0::/a/b", "proc/self/mountinfo": V2}
    root = write(tmp_path, base | {f"sys/fs/cgroup/{name}": text for name, text in files.items()})
    assert read_limits(root) == expected


def test_limits_of_version_1_and_the_largest_number_is_none(tmp_path: Path) -> None:
    mounts = "\n".join(
        f"3{i} 31 0:2{i} /docker/x /sys/fs/cgroup/{name} rw - cgroup cgroup rw,{name}"
        for i, name in enumerate(["cpu,cpuacct", "memory"])
    )
    root = write(tmp_path, {
        "proc/self/cgroup": "9:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n2:name=systemd:/",
        "proc/self/mountinfo": mounts,
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "250000",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
        "proc/meminfo": "MemTotal:       2048 kB",
    })  # fmt: skip
    assert read_limits(root) == Limits(2.5, None)
    assert usable_memory_bytes(root) == 2 << 20
    (root / "sys/fs/cgroup/memory/memory.limit_in_bytes").write_text("65536\n")
    assert usable_memory_bytes(root) == 65536


def test_a_small_quota_still_leaves_one_thread(tmp_path: Path) -> None:
    root = write(tmp_path, {
        "proc/self/cgroup": "0::/", "proc/self/mountinfo": V2, "sys/fs/cgroup/cpu.max": "1000 100000",
    })  # fmt: skip
    assert usable_cpus(root) == 1
