"""The libraries Hekla is measured against. Each may be missing: its cells then say so."""

import importlib
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

PACKAGES = {  # import name -> name of the package
    "numpy": "numpy",
    "onnxruntime": "onnxruntime",
    "torch": "torch",
    "simsimd": "simsimd",
    "numkong": "numkong",
    "cv2": "opencv-python-headless",
    "PIL.Image": "pillow",
}


def peer(name: str) -> ModuleType | None:
    """Return a peer's module, set to one thread, or None where it is not installed."""
    try:
        module = importlib.import_module(name)
    except ImportError:
        return None
    if name == "torch":
        module.set_num_threads(1)
        module.set_grad_enabled(False)
    if name == "cv2":
        module.setNumThreads(1)
    return module


def versions() -> str:
    """Return the versions of what is installed."""
    found = []
    for package in PACKAGES.values():
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} not installed")
    return ", ".join(found)
