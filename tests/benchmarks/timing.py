"""What the benchmarks share: median times, peak memory, and a verdict beside each target."""

import resource
import statistics
import sys
import time


def median_seconds(function, repeats=5, clock=time.perf_counter):
    """Return the median time of a call, and its last result."""
    times = []
    for _ in range(repeats):
        start = clock()
        result = function()
        times.append(clock() - start)
    return statistics.median(times), result


def peak_gb():
    """Return the largest memory this process has held so far, in 10⁹ bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def verdict(what, found, target, unit):
    """Print a number beside its target: targets are for two quiet cores of a current server."""
    word = "reached" if found <= target else "MISSED"
    print(f"{word:>8}: {what}: {found:.2f} {unit} (target {target:g} {unit})")


def at_least(what, found, target, unit):
    """Print a number beside its target, of which more is better."""
    word = "reached" if found >= target else "MISSED"
    print(f"{word:>8}: {what}: {found:.1f} {unit} (target {target:g} {unit})")
