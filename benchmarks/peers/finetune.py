"""A fine-tuning step of ViT in PyTorch: Mixup or CutMix, forward, soft cross-entropy, backward, AdamW.

    python finetune.py --problem FILE --write --batch 16     # makes the problem
    python finetune.py --problem FILE --model plain          # the first loss, then timed steps
"""

import argparse
import random

import torch
import torch.nn as nn
import torch.nn.functional as F

import measure
import problem
import vit

CLASSES, SMOOTHING, LAYER_DECAY = 1000, 0.1, 0.65


class Classifier(vit.MaskedImageModel):
    """images [B, 224, 224, 3] → logits [B, classes], from the mean of the patch tokens."""

    def __init__(self, size, drop_path=0.1, explicit=False):
        super().__init__(size, drop_path, explicit)
        width = self.norm.weight.shape[0]
        del self.norm, self.lm_head, self.mask_token
        self.fc_norm, self.head = nn.LayerNorm(width, eps=1e-6), nn.Linear(width, CLASSES)

    def forward(self, images):
        return self.head(self.fc_norm(self.tokens(images)[:, 1:].mean(1)))


MODELS = {
    "plain": lambda size, drop: Classifier(size, drop),
    "plain-explicit": lambda size, drop: Classifier(size, drop, explicit=True),
}


def write_problem(path, size, batch):
    torch.manual_seed(batch)
    model = Classifier(size, drop_path=0)
    problem.randomize(model, seed=20240609)
    images, labels = torch.randn(batch, 224, 224, 3), torch.randint(CLASSES, (batch,))
    with torch.no_grad():
        loss = F.cross_entropy(model.eval()(images), labels).item()
    problem.write(path, model, loss, images=images, labels=labels.int())
    print(f"{path}: ViT-{size}, {CLASSES} classes, batch {batch}, first loss {loss:.7f}")


def mixed(images, labels):
    """timm's way with a batch: all images by one share, Mixup half of the time and CutMix the other half."""
    targets = torch.full((len(labels), CLASSES), SMOOTHING / CLASSES).scatter_(
        1, labels[:, None], 1 - SMOOTHING + SMOOTHING / CLASSES)
    if random.random() < 0.5:
        share = random.betavariate(0.8, 0.8)
        images = images.mul(share).add_(images.flip(0), alpha=1 - share)
    else:
        side = images.shape[1]
        length = int(side * random.random() ** 0.5)
        top, left = random.randint(0, side - length), random.randint(0, side - length)
        images = images.clone()
        images[:, top:top + length, left:left + length] = images.flip(0)[:, top:top + length, left:left + length]
        share = 1 - length * length / side / side
    return images, targets.mul(share).add_(targets.flip(0), alpha=1 - share)


def optimizer(model, depth):
    """AdamW by one fused kernel, with a learning rate for each layer."""
    groups = {}
    for name, parameter in model.named_parameters():
        layer = depth + 1 if name.startswith(("fc_norm", "head")) else int(name.split(".")[1]) + 1 if "blocks" in name else 0
        decays = parameter.ndim > 1 and "token" not in name and "position" not in name
        group = groups.setdefault((layer, decays), {
            "params": [], "lr": 5e-4 * LAYER_DECAY ** (depth + 1 - layer), "weight_decay": 0.05 * decays})
        group["params"].append(parameter)
    return torch.optim.AdamW(list(groups.values()), betas=(0.9, 0.999), eps=1e-8, fused=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--problem", required=True)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--size", default="base", choices=vit.SIZES)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--model", default="plain", choices=MODELS)
    measure.add_precision(parser)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument("--steps", type=int, default=4)
    arguments = parser.parse_args()
    measure.use_threads(arguments.threads)
    if arguments.write:
        return write_problem(arguments.problem, arguments.size, arguments.batch)

    state, inputs = problem.read(arguments.problem)
    images, labels = inputs["images"], inputs["labels"].long()
    model = MODELS[arguments.model](arguments.size, 0.1)
    model.load_state_dict(state)
    del state, inputs
    adam = optimizer(model, len(model.blocks))
    model = measure.prepared(model, arguments)
    with torch.no_grad(), measure.autocast(arguments):
        loss = F.cross_entropy(model.eval()(measure.images_for(arguments, images)), labels).item()

    torch.manual_seed(0)
    random.seed(0)
    model.train()

    def step():
        adam.zero_grad(set_to_none=True)
        changed, targets = mixed(images, labels)
        with measure.autocast(arguments):
            value = F.cross_entropy(model(measure.images_for(arguments, changed)), targets)
        value.backward()
        adam.step()

    seconds = measure.timed(step, arguments.warmup, arguments.steps)
    with torch.device("meta"):
        operations = 3 * measure.forward_operations(
            Classifier(arguments.size, explicit=True).eval(), torch.empty(1, 224, 224, 3))
    measure.report(
        "finetune", batch=images.shape[0], seconds=seconds, threads=arguments.threads, operations=operations, loss=loss,
        model=arguments.model)


if __name__ == "__main__":
    main()
