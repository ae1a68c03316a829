"""Writes Sources/Interoperability/Beside/TimmArchitectures.swift: the models of timm that peco computes, by name.

pip install torch==2.13.0 timm==1.0.31; python list_timm_architectures.py > .../TimmArchitectures.swift
"""

import timm
import torch
from timm.layers import Mlp, PatchEmbed
from timm.layers.attention import Attention
from timm.models import beit, vision_transformer
from timm.models._registry import _module_to_models


def facts(name):
    """Heads and epsilon of a model of ours, or None."""
    with torch.device("meta"):
        model = timm.create_model(name)
    if type(model) not in (vision_transformer.VisionTransformer, beit.Beit):
        return None
    block = model.blocks[0]
    is_ours = (
        type(block) in (vision_transformer.Block, beit.Block)
        and type(block.attn) in (Attention, beit.Attention)
        and type(block.mlp) is Mlp
        and type(block.mlp.act) is torch.nn.GELU and block.mlp.act.approximate == "none"
        and isinstance(block.norm1, torch.nn.LayerNorm)
        and isinstance(getattr(block.attn, "q_norm", torch.nn.Identity()), torch.nn.Identity)
        and isinstance(getattr(model, "norm_pre", torch.nn.Identity()), torch.nn.Identity)
        and type(model.patch_embed) is PatchEmbed and isinstance(model.patch_embed.norm, torch.nn.Identity)
        and model.cls_token is not None
        and not getattr(model, "no_embed_class", False) and not getattr(model, "num_reg_tokens", 0)
        and model.global_pool in ("token", "avg"))
    return (block.norm1.eps, block.attn.num_heads) if is_ours else None


def main():
    groups = {}
    for module in ("vision_transformer", "deit", "beit", "eva"):
        for name in _module_to_models[module]:
            try:
                found = None if name.startswith("test_") else facts(name)
            except RuntimeError:  # an old name of weights that are gone
                found = None
            if found:
                groups.setdefault(found, []).append(name)
    print("/// The models of timm that compute as ours do, by name, with what names and shapes of weights do not tell.")
    print("///")
    print(f"/// Made by `Tests/InteroperabilityTests/Fixtures/list_timm_architectures.py` of timm {timm.__version__}.")
    print("enum TimmArchitectures {")
    print("  static let all: [String: (heads: Int, normEpsilon: Float)] = {")
    print("    var result: [String: (heads: Int, normEpsilon: Float)] = [:]")
    print("    for (heads, epsilon, names) in groups {")
    print("      for name in names { result[name] = (heads, epsilon) }")
    print("    }")
    print("    return result")
    print("  }()")
    print()
    print("  private static let groups: [(heads: Int, normEpsilon: Float, names: [String])] = [")
    for (epsilon, heads), names in sorted(groups.items()):
        print(f"    ({heads}, {epsilon:g}, [" + ", ".join(f'"{name}"' for name in sorted(names)) + "]),")
    print("  ]")
    print("}")


if __name__ == "__main__":
    main()
