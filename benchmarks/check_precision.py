"""How far bfloat16 turns the gradients of whole networks: peco's and PyTorch's autocast's, against PyTorch's in float32.

    python benchmarks/check_precision.py [--peco .build/release/peco]

For ViT-B/16 (masked image modeling, a batch of 4) and the tokenizer of width 64 (a batch of 2) it prints the losses, and of
every parameter's gradient the cosine with that of float32: the least, how many are below 0.999, and those that are where
autocast's are not. Weights are those of the problems that benchmarks/compare writes: large, so that every path counts.
"""

import json
import sys
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F
from parity import peco
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).resolve().parent / "peers"))
import pretrain  # noqa: E402
import problem  # noqa: E402
import tokenizer  # noqa: E402
import vit  # noqa: E402
import vqvae  # noqa: E402


def vit_loss(state, inputs):
    model = vit.MaskedImageModel("base", 0, explicit=True)
    model.load_state_dict(state)
    return model, lambda: F.cross_entropy(
        model.eval()(inputs["images"], inputs["masked"].long()), inputs["tokens"].long())


def tokenizer_loss(state, inputs):
    model = vqvae.VQVAE(64)
    model.load_state_dict(state)
    images = inputs["images"].permute(0, 3, 1, 2).contiguous()
    return model, lambda: model.eval()(images)


def gradients(make, path, narrow):
    """Loss and gradients by name."""
    model, loss_of = make(*problem.read(path))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=narrow):
        loss = loss_of()
    loss.backward()
    return loss.item(), {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def cosine(a, b):
    return F.cosine_similarity(a.double().flatten(), b.double().flatten(), dim=0).item()


def compare(name, command, path, make, folder):
    expected_loss, expected = gradients(make, path, False)
    autocast_loss, autocast = gradients(make, path, True)
    found = {}
    for precision in ["float32", "bfloat16"]:
        file = folder / f"{precision}.safetensors"
        told = json.loads(peco(
            "benchmark", *command, "--problem", path, "--gradients", file, "--precision", precision, "--warmup", 0, "--steps",
            1, "--json"))
        found[f"peco, {precision}"] = told["loss"], load_file(file)
    found["autocast"] = autocast_loss, autocast
    print(f"{name}: loss {expected_loss:.6f}, {len(expected)} gradients")
    cosines = {}
    for who, (loss, tensors) in found.items():
        assert set(tensors) == set(expected), set(tensors) ^ set(expected)
        cosines[who] = {key: cosine(tensors[key], expected[key]) for key in expected}
        least = min(cosines[who], key=cosines[who].get)
        below = sum(value < 0.999 for value in cosines[who].values())
        together = cosine(*(torch.cat([t[key].flatten() for key in expected]) for t in (tensors, expected)))
        print(f"  {who}: loss {loss:.6f}; all gradients together {together:.6f}, least {cosines[who][least]:.6f} ({least}), "
              f"{below} below 0.999")
    for key, value in cosines["peco, bfloat16"].items():
        if value < 0.999 <= cosines["autocast"][key]:
            print(f"  {key}: peco {value:.6f}, autocast {cosines['autocast'][key]:.6f}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        pretrain.write_problem(folder / "vit.safetensors", "base", 4)
        compare("ViT-B/16", ["pretrain", "--batch", 4], folder / "vit.safetensors", vit_loss, folder)
        tokenizer.write_problem(folder / "vqvae.safetensors", 64, 2)
        compare("tokenizer", ["tokenizer", "--batch", 2], folder / "vqvae.safetensors", tokenizer_loss, folder)


main()
