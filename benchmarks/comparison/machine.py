"""The machine that peers and peco share: its cores, and what PyTorch can be told about it."""

import os
import pathlib
import platform
import shutil
import subprocess

# MKL asks this function of its own whether the processor is Intel's, and takes slower kernels if not.
UNLOCKING = "int mkl_serv_intel_cpu_true(void) { return 1; }\n"
# glibc gives large blocks back to the system when they are freed, and gets them anew, page by page, each step.
KEPT_MEMORY = {
    "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(10**12), "MALLOC_TOP_PAD_": str(2**28),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}


def cores():
    """One processor number for each physical core this process may use."""
    allowed, seen, result = sorted(os.sched_getaffinity(0)), set(), []
    for cpu in allowed:
        try:
            siblings = pathlib.Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text().strip()
        except OSError:
            siblings = str(cpu)
        if siblings not in seen:
            seen.add(siblings)
            result.append(cpu)
    return result


def description():
    """Processor, its cores, and the system, in a line."""
    model = platform.machine()
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {len(cores())} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}"


INSTALLED, UNLOCKED = "as installed", "MKL unlocked"


def settings(directory):
    """Environments for PyTorch, by name: the one that counts first, the one tuned further next, then what else to try."""
    try:
        amd = "AuthenticAMD" in pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        amd = False
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not (amd and compiler):
        return {INSTALLED: {}, "memory kept": KEPT_MEMORY}
    source, library = directory / "unlock.c", directory / "unlock.so"
    source.write_text(UNLOCKING)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    unlocked = {"LD_PRELOAD": str(library)}
    return {UNLOCKED: unlocked, f"{UNLOCKED}, memory kept": unlocked | KEPT_MEMORY, INSTALLED: {}}
