"""What the peers share: threads, timing, memory, and the object they print.

The keys are those of `peco benchmark ... --json`.
"""

import gc
import json
import os
import resource
import statistics
import time

import torch


def use_threads(count):
    """Sets the number of threads; the comparison sets OMP_NUM_THREADS and the cores before Python starts."""
    torch.set_num_threads(count)
    torch.set_num_interop_threads(1)
    torch.set_flush_denormal(True)


def timed(step, warmup, steps):
    """Wall time of each step after the warm-up, in seconds."""
    seconds = []
    gc.disable()
    for index in range(warmup + steps):
        start = time.perf_counter()
        step()
        if index >= warmup:
            seconds.append(time.perf_counter() - start)
    gc.enable()
    return seconds


def peak_memory():
    """Largest resident set of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def forward_operations(module, *inputs):
    """Floating-point operations of a forward pass, counted without computing anything: pass a module of `meta`."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(*inputs)
    return counter.get_total_flops()


def report(benchmark, *, batch, seconds, threads, ranks=1, operations=None, **more):
    """Prints the object.

    batch: images a step of all ranks; operations: floating-point operations an image.
    """
    rate = batch / statistics.median(seconds)
    result = {
        "benchmark": benchmark, "ranks": ranks, "threads": threads, "batch": batch // ranks,
        "images_per_second": rate, "seconds": seconds, "peak_memory_bytes": peak_memory(),
    }
    if operations is not None:
        result["gflops"] = rate * operations / 1e9
    result.update(more)
    print(json.dumps(result), flush=True)


def environment_int(name, default):
    """A number from the environment, as launchers of several ranks set it."""
    return int(os.environ.get(name, default))
