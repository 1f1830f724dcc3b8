"""How fast the processors run now, where sysfs tells: what a measurement has to be read beside.

Source: the kernel's Documentation/admin-guide/pm/cpufreq.rst. Virtual machines mostly tell nothing.
"""

from dataclasses import dataclass
from pathlib import Path

from hekla.runtime.limits import allowed_cpus

_SLOW_GOVERNORS = frozenset({"powersave", "conservative"})
_THROTTLED = 0.8  # of the greatest frequency


@dataclass(frozen=True, slots=True)
class CpuFrequency:
    """Frequencies of the processors this process may run on, in MHz; 0 where nothing is told."""

    current_mhz: float  # of all, on average
    greatest_mhz: float  # of the fastest
    governor: str  # who decides; "" where nothing is told

    @property
    def warning(self) -> str:
        """Why times may be longer than they need be; "" for no reason known."""
        if self.governor in _SLOW_GOVERNORS:
            return f"the {self.governor!r} governor keeps processors slow; set `performance` to measure"
        if self.greatest_mhz and self.current_mhz < _THROTTLED * self.greatest_mhz:
            return f"processors run at {self.current_mhz:.0f} of {self.greatest_mhz:.0f} MHz: hot, or saving power"
        return ""

    def text(self) -> str:
        """Return it in a line."""
        if not self.current_mhz:
            return "frequency unknown"
        governor = f", governor {self.governor}" if self.governor else ""
        return f"{self.current_mhz:.0f} of {self.greatest_mhz:.0f} MHz{governor}"


def read_cpu_frequency(root: Path = Path("/")) -> CpuFrequency:
    """Return what sysfs under `root` tells now."""
    folders = [root / f"sys/devices/system/cpu/cpu{cpu}/cpufreq" for cpu in sorted(allowed_cpus())]
    current = [found for folder in folders if (found := _khz(folder / "scaling_cur_freq"))]
    greatest = [found for folder in folders if (found := _khz(folder / "cpuinfo_max_freq"))]
    governors = {_text(folder / "scaling_governor") for folder in folders} - {""}
    return CpuFrequency(
        current_mhz=sum(current) / len(current) / 1e3 if current else 0.0,
        greatest_mhz=max(greatest, default=0) / 1e3,
        governor=governors.pop() if len(governors) == 1 else ", ".join(sorted(governors)),
    )


def _khz(path: Path) -> int:
    text = _text(path)
    return int(text) if text.isdigit() else 0


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
