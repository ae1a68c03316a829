"""Gives perceptual networks and DALL-E's discrete VAE of the packages they come from to peco, and compares what they say.

    python benchmarks/check_networks.py [--peco .build/release/peco]

Networks have their full size and random weights; what LPIPS's channels count is as published, in the package lpips. Images
are smooth noise of the networks' size, so that nothing is resized. Needs timm, lpips and DALL-E beside what requirements.txt
names.
"""

import json
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from parity import peco, taps, write
from PIL import Image
from safetensors.torch import load_file

import dall_e
import h5py
import lpips
import timm
import torchvision
from transformers import ResNetConfig, ResNetModel, ViTConfig, ViTModel

torch.manual_seed(0)
warnings.filterwarnings("ignore", module="torchvision")


def smooth_noise(side):
    noise = torch.rand(1, 3, side // 8, side // 8)
    image = F.interpolate(noise, size=side, mode="bicubic").clamp(0, 1)[0].permute(1, 2, 0)
    return (255 * image).round().byte().numpy()


def livelier(model):
    """Statistics and offsets that are not those of a new network."""
    for name, value in model.state_dict().items():
        if value.is_floating_point() and value.ndim == 1:
            value.add_(0.1 * torch.rand_like(value))
    return model.eval()


# Each: the weights under the names of its files, its features, and what peco is told of it.


def vgg16():
    # Rectified in place, outputs of convolutions are what they become.
    model = livelier(torchvision.models.vgg16())
    ends = [model.features[i] for i in [3, 8, 15, 22, 29]]
    return model.state_dict(), lambda x: taps(ends, model.features, x), "vgg16"


def resnet50():
    model = livelier(torchvision.models.resnet50())
    ends = [model.layer1, model.layer2, model.layer3, model.layer4]
    return model.state_dict(), lambda x: taps(ends, model, x), "resnet50"


def published(model):
    """The weights under the names of transformers' files, which are not those of its modules."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return load_file(Path(folder) / "model.safetensors")


def hugging_face_resnet50():
    model = livelier(ResNetModel(ResNetConfig()))
    return published(model), lambda x: taps(model.encoder.stages, model, x), "resnet50"


def vit():
    model = livelier(timm.create_model("vit_base_patch16_224"))
    return model.state_dict(), lambda x: taps([model.blocks[i] for i in [2, 5, 8, 11]], model, x), "vit"


def moco_v3():
    # As its checkpoints have it: the encoder beside its momentum's, both of timm's names below a prefix.
    weights, features, network = vit()
    state = {f"module.base_encoder.{name}": value for name, value in weights.items()}
    state |= {f"module.momentum_encoder.{name}": value + 1 for name, value in weights.items()}
    return state, features, network


def torchvision_vit():
    model = livelier(torchvision.models.vit_b_16())
    torch.nn.init.normal_(model.class_token)
    return model.state_dict(), lambda x: taps([model.encoder.layers[i] for i in [2, 5, 8, 11]], model, x), "vit"


def hugging_face_vit():
    model = livelier(ViTModel(ViTConfig(), add_pooling_layer=False))
    numbers = [3, 6, 9, 12]
    return published(model), lambda x: [
        model(x, output_hidden_states=True).hidden_states[number] for number in numbers], "vit"


def relative(found, expected):
    return abs(found - expected) / abs(expected)


@torch.no_grad()
def check_networks(folder):
    mean, deviation = (torch.tensor(v)[:, None, None] for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    arrays = [smooth_noise(224) for _ in range(2)]
    files = [folder / f"{number}.png" for number in range(2)]
    for array, path in zip(arrays, files):
        Image.fromarray(array).save(path)
    images = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2) / 255

    def distance(*settings):
        return json.loads(peco("perceptual", "distance", *files, "--json", "--set", *settings))

    weights = folder / "weights.safetensors"
    for name, make in {"torchvision, vgg16": vgg16, "torchvision, resnet50": resnet50,
                       "transformers, ResNet-50": hugging_face_resnet50, "timm, vit_base_patch16_224": vit,
                       "the same as in MoCo v3's checkpoints": moco_v3, "torchvision, vit_b_16": torchvision_vit,
                       "transformers, ViT-B": hugging_face_vit}.items():
        state, features, network = make()
        write(state, weights)
        expected = [F.mse_loss(f[:1], f[1:]).item() for f in features((images - mean) / deviation)]
        found = distance(f"perceptual.weights={weights}", f"perceptual.network={network}")["depths"]
        assert len(found) == len(expected)
        print(f"{name}: distances at {len(found)} depths within {max(map(relative, found, expected)):.1e}")

    metric = lpips.LPIPS(net="vgg", pnet_rand=True, verbose=False).eval()
    trunk = torchvision.models.vgg16()
    write(trunk.state_dict(), weights)
    slices = [layer for part in metric.net.children() if isinstance(part, torch.nn.Sequential) for layer in part]
    for ours, theirs in zip(trunk.features, slices):
        theirs.load_state_dict(ours.state_dict())
    channels = folder / "channels.safetensors"
    write({f"lin{i}.model.1.weight": layer.model[1].weight for i, layer in enumerate(metric.lins)}, channels)
    expected = metric(images[:1] * 2 - 1, images[1:] * 2 - 1).item()
    found = distance(f"perceptual.weights={weights}", "perceptual.network=vgg16", "perceptual.comparison=unit_channels",
                     f"perceptual.channel_weights={channels}")["distance"]
    print(f"lpips 0.1, vgg: distance within {relative(found, expected):.1e}")


@torch.no_grad()
def check_discrete_vae(folder):
    model = torch.nn.ModuleDict({"encoder": dall_e.Encoder(), "decoder": dall_e.Decoder()})
    for part, network in model.items():
        write(network.state_dict(), folder / f"{part}.safetensors")
    checkpoint, dataset, tokens = (folder / name for name in ["dalle.h5", "images.h5", "tokens.h5"])
    peco("tokenizer", "import", "--encoder", folder / "encoder.safetensors", "--decoder", folder / "decoder.safetensors",
        "--output", checkpoint)
    source = folder / "images" / "class"
    source.mkdir(parents=True)
    arrays = [smooth_noise(112) for _ in range(4)]
    for number, array in enumerate(arrays):
        Image.fromarray(array).save(source / f"{number}.png")
    peco("dataset", "prepare", "--input", source.parent, "--output", dataset)
    peco("tokenizer", "encode", "--tokenizer", checkpoint, "--data", dataset, "--output", tokens, "--views", 0)
    images = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2) / 255
    expected = model["encoder"](dall_e.map_pixels(images)).argmax(1).flatten(1)
    with h5py.File(tokens) as file:
        found = torch.from_numpy(file["tokens"][:, 0].astype(np.int64))
    told = peco("tokenizer", "reconstruct", "--tokenizer", checkpoint, "--data", dataset, "--output", folder / "grid.png",
               "--count", len(arrays), "--measure", len(arrays))
    one_hot = F.one_hot(found, 8192).permute(0, 2, 1).reshape(len(arrays), 8192, 14, 14).float()
    drawn = dall_e.unmap_pixels(model["decoder"](one_hot)[:, :3].sigmoid())
    psnr = 10 * (drawn - images).square().mean().log10().neg().item()
    print(f"dall_e 0.1: {(found == expected).sum()} of {expected.numel()} tokens are the same; "
          f"PSNR {psnr:.2f} dB, peco: {told.split(': ')[1].split(',')[0]}")


with tempfile.TemporaryDirectory() as folder:
    check_networks(Path(folder))
    check_discrete_vae(Path(folder))
