"""BEiT's masked-image-modeling model in PyTorch, twice: plain, and Hugging Face's.

The plain one has every saving that PyTorch offers without writing kernels: one product for queries, keys and values,
and head and last norm on masked patches only.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F

GRID, PATCH, MASKED, ENTRIES = 14, 16, 75, 8192
SIZES = {"tiny": (192, 12, 3), "small": (384, 12, 6), "base": (768, 12, 12)}


class RelativePositionBias(nn.Module):
    """One table for all blocks; three rows more for pairs with the class token."""

    def __init__(self, grid, heads):
        super().__init__()
        offsets = (2 * grid - 1) ** 2
        self.relative_position_bias_table = nn.Parameter(torch.zeros(offsets + 3, heads))
        rows, columns = (axis.flatten() for axis in torch.meshgrid(*2 * [torch.arange(grid, device="cpu")], indexing="ij"))
        down = rows[:, None] - rows[None] + grid - 1
        right = columns[:, None] - columns[None] + grid - 1
        index = torch.empty(grid * grid + 1, grid * grid + 1, dtype=torch.long, device="cpu")
        index[1:, 1:] = down * (2 * grid - 1) + right
        index[0], index[:, 0], index[0, 0] = offsets, offsets + 1, offsets + 2
        self.index = index

    def forward(self):
        tokens = self.index.shape[0]
        table = self.relative_position_bias_table
        index = self.index.flatten().to(table.device)
        return table[index].view(tokens, tokens, -1).permute(2, 0, 1).contiguous()


class Attention(nn.Module):
    def __init__(self, width, heads, explicit):
        super().__init__()
        self.heads, self.explicit = heads, explicit
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias, self.v_bias = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))
        self.proj = nn.Linear(width, width)

    def forward(self, x, bias):
        b, n, width = x.shape
        qkv = F.linear(x, self.qkv.weight, torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias]))
        q, k, v = qkv.view(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        if self.explicit:
            scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
            y = torch.softmax(scores.add_(bias), dim=-1) @ v
        else:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.expand(b, -1, -1, -1))
        return self.proj(y.transpose(1, 2).reshape(b, n, width))


class Block(nn.Module):
    def __init__(self, width, heads, drop, explicit):
        super().__init__()
        self.drop = drop
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads, explicit)
        self.mlp = nn.Module()
        self.mlp.fc1, self.mlp.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.gamma_1, self.gamma_2 = (nn.Parameter(0.1 * torch.ones(width)) for _ in range(2))

    def connect(self, x, branch, gamma):
        if not self.training or self.drop == 0:
            return torch.addcmul(x, gamma, branch)
        kept = torch.empty(x.shape[0], 1, 1, dtype=gamma.dtype).bernoulli_(1 - self.drop).div_(1 - self.drop)
        return torch.addcmul(x, gamma * kept, branch)

    def forward(self, x, bias):
        x = self.connect(x, self.attn(self.norm1(x), bias), self.gamma_1)
        return self.connect(x, self.mlp.fc2(F.gelu(self.mlp.fc1(self.norm2(x)))), self.gamma_2)


class MaskedImageModel(nn.Module):
    """images [B, 224, 224, 3], flat numbers of masked patches → logits [masked, tokens]."""

    def __init__(self, size="base", drop_path=0.1, explicit=False):
        super().__init__()
        width, depth, heads = SIZES[size]
        self.cls_token, self.mask_token = (nn.Parameter(torch.zeros(1, 1, width)) for _ in range(2))
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(3, width, PATCH, PATCH)
        self.rel_pos_bias = RelativePositionBias(GRID, heads)
        rates = [drop_path * i / (depth - 1) for i in range(depth)]
        self.blocks = nn.ModuleList(Block(width, heads, rate, explicit) for rate in rates)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.lm_head = nn.Linear(width, ENTRIES)

    def tokens(self, images, masked=None):
        """What the last block gives: [B, 1 + patches, width]."""
        b, width = images.shape[0], self.cls_token.shape[-1]
        patches = images.view(b, GRID, PATCH, GRID, PATCH, 3).permute(0, 1, 3, 5, 2, 4).reshape(b * GRID * GRID, -1)
        x = F.linear(patches, self.patch_embed.proj.weight.view(width, -1), self.patch_embed.proj.bias)
        if masked is not None:
            x = x.index_copy(0, masked, self.mask_token.view(1, width).expand(masked.shape[0], width))
        x = torch.cat([self.cls_token.expand(b, -1, -1), x.view(b, GRID * GRID, width)], dim=1)
        bias = self.rel_pos_bias()
        for block in self.blocks:
            x = block(x, bias)
        return x

    def forward(self, images, masked):
        x = self.tokens(images, masked)
        return self.lm_head(self.norm(x[:, 1:].reshape(-1, x.shape[-1])[masked]))


class HuggingFace(nn.Module):
    """The same model by `transformers`, which computes the head for all patches."""

    def __init__(self, size="base", drop_path=0.1):
        super().__init__()
        from transformers import BeitConfig, BeitForMaskedImageModeling

        width, depth, heads = SIZES[size]
        self.model = BeitForMaskedImageModeling(BeitConfig(
            vocab_size=ENTRIES, hidden_size=width, num_hidden_layers=depth, num_attention_heads=heads,
            intermediate_size=4 * width, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
            layer_norm_eps=1e-6, image_size=GRID * PATCH, patch_size=PATCH, use_mask_token=True,
            use_shared_relative_position_bias=True, layer_scale_init_value=0.1, drop_path_rate=drop_path))

    def forward(self, images, masked):
        mask = torch.zeros(images.shape[0], GRID * GRID, dtype=torch.bool)
        mask.view(-1)[masked] = True
        return self.model(images.permute(0, 3, 1, 2), bool_masked_pos=mask).logits[mask]

    def load_state_dict(self, state):
        """From the names of BEiT's published code, which are those of problem files."""
        renamed = {}
        for name, value in state.items():
            for old, new in [
                ("patch_embed.proj", "embeddings.patch_embeddings.projection"), ("cls_token", "embeddings.cls_token"),
                ("mask_token", "embeddings.mask_token"), ("rel_pos_bias", "shared_position_bias"), ("blocks.", "layers."),
                ("gamma_", "lambda_"), ("norm1", "layernorm_before"), ("norm2", "layernorm_after"), ("attn.", "attention."),
                (".proj.", ".o_proj.") if "attn" in name else ("", ""),
            ]:
                name = name.replace(old, new, 1)
            if name.startswith("norm."):
                name = "layernorm." + name.removeprefix("norm.")
            prefix = "" if name.startswith(("lm_head", "layernorm.")) else "beit."
            if name.endswith("qkv.weight"):
                for part, rows in zip("qkv", value.chunk(3)):
                    renamed[prefix + name.replace("qkv.", part + "_proj.")] = rows
            else:
                renamed[prefix + name.replace("q_bias", "q_proj.bias").replace("v_bias", "v_proj.bias")] = value
        # Strict but for tables that follow from the configuration alone.
        found = self.model.load_state_dict(renamed, strict=False)
        missing = [name for name in found.missing_keys if name in dict(self.model.named_parameters())]
        if missing or found.unexpected_keys:
            raise SystemExit(f"Hugging Face's BEiT has other parameters: missing {missing}, not known {found.unexpected_keys}")


MODELS = {
    "plain": lambda size, drop: MaskedImageModel(size, drop),
    "plain-explicit": lambda size, drop: MaskedImageModel(size, drop, explicit=True),
    "huggingface": lambda size, drop: HuggingFace(size, drop),
}
