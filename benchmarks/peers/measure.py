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


def add_precision(parser):
    """What a peer may be told about its number format, and whether it is compiled."""
    parser.add_argument("--precision", default="float32", choices=["float32", "autocast", "bfloat16"],
                        help="bfloat16: the whole model, its optimizer's moments too")
    parser.add_argument("--compile", action="store_true")


def prepared(model, arguments):
    """The model in the number format of its parameters, compiled if asked for."""
    if arguments.precision == "bfloat16":
        model.to(torch.bfloat16)
    return torch.compile(model) if arguments.compile else model


def autocast(arguments):
    """In which forward runs."""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=arguments.precision == "autocast")


def images_for(arguments, images):
    return images.to(torch.bfloat16) if arguments.precision == "bfloat16" else images


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
