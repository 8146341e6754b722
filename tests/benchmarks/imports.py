"""Seconds of `import workbench` in fresh processes, and the heavy modules it pulled in."""

import statistics
import subprocess
import sys

HEAVY = ("panel", "holoviews", "bokeh", "umap", "numba", "decord", "sklearn", "torch")
NEVER = ("panel", "umap", "decord")
CODE = f"""
import sys, time
start = time.perf_counter()
import {{module}}
print(time.perf_counter() - start, *[name for name in {HEAVY} if name in sys.modules])
"""


def measure(module: str, times: int = 5) -> tuple[float, list[str]]:
    """Median seconds, and which heavy modules were imported."""
    answers = [
        subprocess.run(
            [sys.executable, "-c", CODE.format(module=module)],
            capture_output=True, text=True, check=True,
        ).stdout.split()
        for _ in range(times)
    ]  # fmt: skip
    return statistics.median(float(a[0]) for a in answers), answers[0][1:]


def main() -> None:
    modules = ("numpy", "workbench", "workbench.analysis.scores", "workbench.analysis.projection")
    print(f"{'import':32}{'seconds':>8}  x numpy  heavy modules")
    base = measure("numpy")[0]
    for module in modules:
        seconds, heavy = measure(module)
        print(f"{module:32}{seconds:8.2f}{seconds / base:8.1f}   {' '.join(heavy) or '-'}")
        if module == "workbench":
            good = seconds < 2 and not set(heavy) & set(NEVER)
            print(f"{'':32}bar: < 2 s, none of {', '.join(NEVER)}: {'met' if good else 'MISSED'}")


if __name__ == "__main__":
    main()
