"""Writes vit.h5: BEiT models by Hugging Face's implementation, with random weights: logits, loss and gradients.

Parameters are stored under the names of BEiT's published code. Everything is computed in float64 and stored as
float32. `autocast/NAME` is the cosine between a gradient in float64 and under autocast to bfloat16; `autocast/loss` the
relative error of the loss there.

    python make_vit_fixtures.py
"""

import copy
import sys
from pathlib import Path

sys.modules.setdefault("torchvision", None)

import h5py
import numpy as np
import torch
import torch.nn.functional as F
from transformers import BeitConfig, BeitForMaskedImageModeling

torch.manual_seed(20240608)
out = h5py.File(Path(__file__).with_name("vit.h5"), "w")


def configuration(**changes):
    settings = dict(
        vocab_size=64, hidden_size=24, num_hidden_layers=3, num_attention_heads=3, intermediate_size=48,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, layer_norm_eps=1e-6, image_size=32, patch_size=8,
        use_mask_token=True, layer_scale_init_value=0.1, drop_path_rate=0.0, attn_implementation="eager")
    settings.update(changes)
    return BeitConfig(**settings)


def names(name):
    """The name in BEiT's code, and which third of the packed projection (or None)."""
    part = None
    for i, key in enumerate(["q_proj", "k_proj", "v_proj"]):
        if key in name:
            part = i
            name = name.replace(f"{key}.weight", "qkv.weight").replace(f"{key}.bias", "qv"[i // 2] + "_bias")
    for old, new in [
        ("beit.", ""), ("shared_position_bias", "rel_pos_bias"), ("embeddings.patch_embeddings.projection", "patch_embed.proj"),
        ("embeddings.position_embeddings", "pos_embed"), ("embeddings.", ""),
        ("encoder.layer.", "blocks."), ("layers.", "blocks."),
        ("attention.", "attn."), ("o_proj", "proj"),
        ("lambda_1", "gamma_1"), ("lambda_2", "gamma_2"), ("layernorm_before", "norm1"),
        ("layernorm_after", "norm2"), ("layernorm", "norm"),
    ]:
        name = name.replace(old, new)
    name = name.replace(".relative_position_bias.relative_position_bias_table", ".attn.relative_position_bias_table")
    return name, part


def gradients_by_name(module):
    """As BEiT's code names them, queries, keys and values in one."""
    gradients = {}
    for name, parameter in module.named_parameters():
        mapped, part = names(name)
        gradient = parameter.grad.double().numpy()
        if part is not None and not mapped.endswith("_bias"):
            packed = gradients.setdefault(mapped, np.zeros((3 * gradient.shape[0], gradient.shape[1])))
            packed[part * gradient.shape[0]:(part + 1) * gradient.shape[0]] = gradient
        else:
            gradients[mapped] = gradient
    return gradients


def store_autocast(group, model, images, mask, tokens, loss):
    """How near autocast comes to the gradients that the model has in float64."""
    exact = gradients_by_name(model)
    rough = copy.deepcopy(model).float()
    rough.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = F.cross_entropy(rough(images.detach().float(), bool_masked_pos=mask).logits[mask], tokens)
    found.backward()
    out[f"{group}/autocast/loss"] = np.float32(abs(found.item() / loss.item() - 1))
    for name, gradient in gradients_by_name(rough).items():
        cosine = (gradient * exact[name]).sum() / np.linalg.norm(gradient) / np.linalg.norm(exact[name])
        out[f"{group}/autocast/{name}"] = np.float32(cosine)


def store_parameters(group, module, prefix=""):
    values, gradients = {}, {}
    for name, parameter in module.named_parameters():
        mapped, part = names(prefix + name)
        pairs = [(values, parameter.detach()), (gradients, parameter.grad)]
        for table, tensor in pairs:
            if tensor is None:
                continue
            if part is None or mapped.endswith("_bias"):
                table[mapped] = tensor.numpy()
            else:
                packed = table.setdefault(mapped, np.zeros((3 * tensor.shape[0], tensor.shape[1])))
                packed[part * tensor.shape[0]:(part + 1) * tensor.shape[0]] = tensor.numpy()
    for kind, table in [("parameters", values), ("gradients", gradients)]:
        for name, value in table.items():
            out[f"{group}/{kind}/{name}"] = value.astype(np.float32)


def randomize(module):
    """Weights large enough that every path matters, exact in float32."""
    with torch.no_grad():
        for name, p in module.named_parameters():
            scale = 1.0 if "token" in name or "position" in name else 0.5 if p.ndim == 1 else p[0].numel() ** -0.5
            p.copy_((torch.randn(p.shape) * scale + (1 if "norm" in name and "weight" in name else 0)).float())


def masked_image_model(group, **changes):
    config = configuration(**changes)
    model = BeitForMaskedImageModeling(config).double()
    randomize(model)
    model.train()
    samples, patches = 3, 16
    images = torch.randn(samples, 3, 32, 32).float().double().requires_grad_()
    mask = torch.rand(samples, patches) < 0.4
    tokens = torch.randint(config.vocab_size, (int(mask.sum()),))
    logits = model(images, bool_masked_pos=mask).logits[mask]
    loss = F.cross_entropy(logits, tokens)
    loss.backward()
    out[f"{group}/images"] = images.detach().permute(0, 2, 3, 1).numpy().astype(np.float32)
    out[f"{group}/images_gradient"] = images.grad.permute(0, 2, 3, 1).numpy().astype(np.float32)
    out[f"{group}/masked"] = mask.flatten().nonzero()[:, 0].numpy().astype(np.int32)
    out[f"{group}/tokens"] = tokens.numpy().astype(np.int32)
    out[f"{group}/logits"] = logits.detach().numpy().astype(np.float32)
    out[f"{group}/loss"] = np.float32(loss.item())
    store_parameters(group, model)
    store_autocast(group, model, images, mask, tokens, loss)
    with torch.no_grad():
        output = model.beit(images, output_hidden_states=True, output_attentions=True)
    # [samples, heads, tokens, tokens]
    for i, attention in enumerate(output.attentions):
        out[f"{group}/attentions/{i + 1}"] = attention.numpy().astype(np.float32)
    if group != "shared":
        return
    for i, state in enumerate(output.hidden_states):
        out[f"{group}/states/{i}"] = state.numpy().astype(np.float32)


masked_image_model("shared", use_shared_relative_position_bias=True)
masked_image_model(
    "separate", use_relative_position_bias=True, use_absolute_position_embeddings=True, num_hidden_layers=2)
masked_image_model(
    "absolute", use_absolute_position_embeddings=True, layer_scale_init_value=0.0, num_hidden_layers=1)
