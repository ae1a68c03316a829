"""Makes training.h5: what PyTorch's optimizers and BEiT's schedules compute, for the tests to compare with.

    python make_fixtures.py
"""

import math
from pathlib import Path

import h5py
import numpy as np
import torch

STEPS = 6


def cosine_scheduler(base, final, steps, warmup_steps, start):
    """`cosine_scheduler` of BEiT's utils.py, by step."""
    warmup = np.linspace(start, base, warmup_steps) if warmup_steps > 0 else np.array([])
    length = steps - warmup_steps
    rest = [final + 0.5 * (base - final) * (1 + math.cos(math.pi * i / length)) for i in range(length)]
    return np.concatenate((warmup, np.array(rest)))


def optimize(name, betas, weight_decay, limit):
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(7, 5))
    bias = torch.nn.Parameter(torch.randn(5))
    start = weight.detach().numpy().copy(), bias.detach().numpy().copy()
    groups = [{"params": [weight], "weight_decay": weight_decay}, {"params": [bias], "weight_decay": 0.0}]
    optimizer = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name](groups, betas=betas, eps=1e-8)
    rows = {"weight_gradient": [], "bias_gradient": [], "weight": [], "bias": [], "norm": [], "rate": []}
    for step in range(STEPS):
        weight.grad = torch.randn(7, 5) * 10.0 ** (step - 3)
        bias.grad = torch.randn(5) * 10.0 ** (step - 3)
        rows["weight_gradient"].append(weight.grad.numpy().copy())
        rows["bias_gradient"].append(bias.grad.numpy().copy())
        norm = torch.nn.utils.clip_grad_norm_([weight, bias], limit if limit else math.inf)
        rate = 0.01 * (step + 1)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        rows["weight"].append(weight.detach().numpy().copy())
        rows["bias"].append(bias.detach().numpy().copy())
        rows["norm"].append(norm.item())
        rows["rate"].append(rate)
    result = {key: np.array(value, dtype=np.float32) for key, value in rows.items()}
    result["weight_start"], result["bias_start"] = start
    state = optimizer.state[weight]
    result["first_moment"] = state["exp_avg"].numpy()
    result["second_moment"] = state["exp_avg_sq"].numpy()
    return result


def main():
    with h5py.File(Path(__file__).parent / "training.h5", "w") as file:
        file["schedule/with_warmup"] = cosine_scheduler(1.5e-3, 1e-5, 100, 10, 1e-6)
        file["schedule/without_warmup"] = cosine_scheduler(0.04, 0.4, 30, 0, 0)
        file["schedule/one_step_of_warmup"] = cosine_scheduler(1.0, 0.0, 5, 1, 0.25)
        cases = {
            "adamw": ("adamw", (0.9, 0.999), 0.05, None),
            "adamw_clipped": ("adamw", (0.9, 0.98), 0.3, 3.0),
            "adam": ("adam", (0.5, 0.95), 0.0, None),
            "adam_decayed": ("adam", (0.9, 0.999), 0.1, 0.5),
        }
        for name, case in cases.items():
            for key, value in optimize(*case).items():
                file[f"{name}/{key}"] = value


if __name__ == "__main__":
    main()
