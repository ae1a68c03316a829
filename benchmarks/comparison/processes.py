"""Runs of a peer or of peco: one process or one a rank, on chosen cores, that print a JSON object."""

import json
import os
import pathlib
import socket
import subprocess

from .failure import Failure
from .machine import cores

PROJECT = pathlib.Path(__file__).resolve().parent.parent.parent
PEERS = pathlib.Path(__file__).resolve().parent.parent / "peers"
LIMIT = 1800  # seconds a run may take


def result(name, output):
    """The last line of standard output that is a JSON object."""
    for line in reversed(output.splitlines()):
        if line.startswith("{"):
            try:
                return json.loads(line)
            except ValueError:
                break
    raise Failure(f"{name} printed no JSON object; its output was:\n{output[-2000:]}")


def start(command, places, environment):
    """A process on the cores `places`."""
    # Without the caller's settings of threads, which would not be those asked for.
    inherited = {k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "PECO_THREADS")}
    return subprocess.Popen(
        [str(token) for token in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=inherited | environment, preexec_fn=lambda: os.sched_setaffinity(0, places))


def finish(processes, name):
    """What the first process printed; all must end well, and none is left running."""
    outputs = []
    try:
        for process in processes:
            outputs.append(process.communicate(timeout=LIMIT))
    except subprocess.TimeoutExpired:
        raise Failure(f"{name} did not end within {LIMIT} s")
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.wait()
    for process, (out, errors) in zip(processes, outputs):
        if process.returncode:
            raise Failure(f"{name} failed with code {process.returncode}:\n{(errors or out)[-2000:]}")
    return outputs[0][0]


def chosen(count):
    """As many cores as asked for."""
    found = cores()
    if len(found) < count:
        raise Failure(f"this needs {count} cores, but there are {len(found)}")
    return found[:count]


def run(command, threads, environment={}):
    """A process of so many threads on as many cores; its standard output."""
    environment = {"OMP_NUM_THREADS": str(threads)} | environment
    return finish([start(command, chosen(threads), environment)], " ".join(str(token) for token in command[:4]))


def peer(python, script, arguments, threads, environment={}, ranks=1):
    """A run of a script in peers/."""
    command = [python, PEERS / script, *arguments]
    if ranks == 1:
        return result(script, run(command, threads, environment))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = chosen(ranks * threads)
    processes = [
        start(command, places[rank * threads:(rank + 1) * threads], environment | {
            "OMP_NUM_THREADS": str(threads), "RANK": str(rank), "WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"})
        for rank in range(ranks)
    ]
    return result(script, finish(processes, f"{script} on {ranks} ranks"))


def peco(program, arguments, threads, ranks=1):
    """A run of `peco benchmark`; several ranks are started, and bound to cores, by launch/mpirun."""
    command = [program, "benchmark", *arguments, "--json"]
    if ranks == 1:
        return result("peco benchmark", run(command, threads))
    command = [PROJECT / "launch" / "mpirun", "-n", ranks, "--threads", threads, "--", *command]
    launched = start(command, chosen(ranks * threads), {})
    return result("peco benchmark", finish([launched], f"peco benchmark on {ranks} ranks"))
