"""What check_networks.py, check_exports.py and check_precision.py share. Import it before anything that imports torchvision."""

import argparse
import subprocess
from pathlib import Path

import torch
from safetensors.torch import save_file

# torchvision wants operators of its compiled part, which need not be there.
try:
    import torchvision  # noqa: F401
except ImportError:
    pass
except RuntimeError:
    operators = torch.library.Library("torchvision", "DEF")
    for operator in ["nms", "qnms"]:
        operators.define(f"{operator}(Tensor x) -> Tensor")

parser = argparse.ArgumentParser()
parser.add_argument("--peco", default=".build/release/peco")
program = str(Path(parser.parse_args().peco).resolve())


def peco(*arguments):
    """What peco prints."""
    return subprocess.run([program, *map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True).stdout


def write(state, path):
    """Weights that share no memory, as safetensors wants them."""
    save_file({name: value.contiguous().clone() for name, value in state.items()}, path)


def taps(modules, run_model, *arguments):
    """What some modules of a model put out."""
    states = []
    hooks = [module.register_forward_hook(lambda module, inputs, output: states.append(output)) for module in modules]
    run_model(*arguments)
    for hook in hooks:
        hook.remove()
    return states
