"""What this machine has, what the workbench will use of it, and how to mend what is missing."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from workbench.workspace import Workspace

PACKAGES = (
    *("torch", "torchvision", "lightning-fabric", "safetensors", "numpy", "pandas", "pyarrow"),
    *("pydantic", "tyro", "panel", "panel-material-ui", "holoviews", "bokeh", "jupyterlab"),
    *("scikit-learn", "umap-learn", "av"),
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "firefox")
ROOM = 5 * 1024**3
"""Bytes of free disk below which the doctor warns: a few hundred videos' stores and runs."""


@dataclass(frozen=True)
class Finding:
    """One line of the report; `mend` is the command (or step) that mends a problem."""

    what: str
    found: str
    mend: str | None = None


def examine(workspace: Workspace) -> Iterator[Finding]:
    """Look at everything, one finding at a time; the slow ones (decoders) come with the rest."""
    yield Finding("python", f"{platform.python_version()} on {platform.platform()}")
    yield from _packages()
    yield from _devices()
    yield from _decoders()
    yield _flow()
    yield _browser()
    yield from _workspace(workspace)


def _packages() -> Iterator[Finding]:
    for name in PACKAGES:
        try:
            yield Finding(name, version(name))
        except PackageNotFoundError:
            yield Finding(name, "not installed", f"{sys.executable} -m pip install {name}")


def _devices() -> Iterator[Finding]:
    import torch

    from workbench.training.devices import choose_device, choose_precision

    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    cpu = f"CPU, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}"
    yield Finding("devices", "; ".join([*names, cpu]))
    if not names and shutil.which("nvidia-smi"):
        yield Finding(
            "GPU",
            "nvidia-smi is there, but torch sees no GPU",
            f"{sys.executable} -m pip install --force-reinstall torch torchvision",
        )
    device = choose_device("auto")
    yield Finding("training uses", f"{device}, {choose_precision('auto', device)}")


def _decoders() -> Iterator[Finding]:
    """Each decoder is imported in a process of its own: a broken library may crash on import."""
    has_wheel = (sys.platform, platform.machine()) == ("linux", "x86_64") or sys.platform == "win32"
    code = "import {0}; print({0}.__version__)"
    for name in ("decord", "av"):
        command = [sys.executable, "-c", code.format(name)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        except subprocess.TimeoutExpired:
            mend = f"{sys.executable} -m pip install --force-reinstall {name}"
            yield Finding(f"decoder {name}", "hangs when it is loaded", mend)
            continue
        if done.returncode == 0:
            yield Finding(f"decoder {name}", done.stdout.strip())
        elif name == "decord" and not has_wheel:
            yield Finding("decoder decord", "no wheel for this platform; PyAV decodes everything")
        else:
            last = (done.stderr.strip().splitlines() or ["crashed"])[-1]
            yield Finding(f"decoder {name}", last, f"{sys.executable} -m pip install {name}")


def _flow() -> Finding:
    """What computes optical flow; only data sets of two streams need it."""
    try:
        import cv2
    except ImportError as error:
        mend = f"{sys.executable} -m pip install opencv-python-headless"
        return Finding("optical flow", f"OpenCV cannot be loaded: {error}", mend)
    more = "" if hasattr(cv2, "optflow") else " (tvl1 needs opencv-contrib-python-headless instead)"
    names = "dis, farneback" if more else "dis, farneback, tvl1"
    return Finding("optical flow", f"{names} of OpenCV {cv2.__version__}{more}")


def _browser() -> Finding:
    for name in BROWSERS:
        if path := shutil.which(name):
            return Finding("browser", path)
    if sys.platform in ("darwin", "win32"):
        return Finding("browser", "the system's default")
    return Finding(
        "browser",
        "none found on this machine (only `--show` and the browser tests need one)",
        "apt-get install chromium",
    )


def _workspace(workspace: Workspace) -> Iterator[Finding]:
    root = workspace.root
    parent = next(p for p in [root, *root.parents] if p.exists())
    if not os.access(parent, os.W_OK):
        yield Finding(
            "workspace",
            f"{root} cannot be written",
            "export WORKBENCH_WORKSPACE=/a/folder/you/can/write",
        )
        return
    if root.exists() and not root.is_dir():
        mend = "export WORKBENCH_WORKSPACE=/another/folder"
        yield Finding("workspace", f"{root} is a file", mend)
        return
    found = f"{len(workspace.data_names())} data sets, {len(workspace.run_names())} runs"
    yield Finding("workspace", f"{root}: {found if root.exists() else 'not made yet'}")
    free = shutil.disk_usage(parent).free
    mend = "export WORKBENCH_WORKSPACE=/a/larger/disk" if free < ROOM else None
    yield Finding("free disk", f"{free / 1024**3:.1f} GiB at {parent}", mend)
