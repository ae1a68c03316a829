"""Problem files: weights, inputs and the loss they must give, in safetensors, for the peer and `peco` alike.

Weights lie under `model.NAME`, by the names of PeCo's checkpoints; images are [batch, height, width, 3].
"""

import torch
from safetensors import safe_open
from safetensors.torch import save_file


def randomize(module, seed):
    """Draws weights large enough that every path changes the loss: at the start of training most hardly do."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in module.named_parameters():
            scale = 0.5 if "token" in name or "position" in name else 0.2 if p.ndim == 1 else p[0].numel() ** -0.5
            center = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            p.copy_(torch.randn(p.shape, generator=generator) * scale + center)


def write(path, module, loss, **inputs):
    """Writes a module's parameters and buffers, the inputs, and the loss."""
    tensors = {"model." + name: value.detach().contiguous() for name, value in module.state_dict().items()}
    tensors |= {name: value.contiguous() for name, value in inputs.items()}
    tensors["loss"] = torch.tensor([loss], dtype=torch.float32)
    save_file(tensors, path)


def read(path):
    """The state dictionary and the inputs."""
    state, inputs = {}, {}
    with safe_open(path, "pt") as file:
        for name in file.keys():
            value = file.get_tensor(name)
            if name.startswith("model."):
                state[name.removeprefix("model.")] = value
            else:
                inputs[name] = value
    return state, inputs
