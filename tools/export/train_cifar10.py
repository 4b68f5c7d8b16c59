"""Trains the bundled CIFAR-10 model, `models/cifar10_cct`, on a CPU with two cores in one to two hours.

    python tools/export/train_cifar10.py --data cifar10_jpeg.tar.gz

The model is a compact convolutional transformer (Hassani et al. 2021, arXiv:2104.05704; see `cct.py`),
the data CIFAR-10 (Krizhevsky 2009). What was chosen, and why:

- Size. Few epochs fit into the time, and few epochs favour convolutions: four of them make the tokens,
  two transformer blocks mix them. Half of the work is in each. 2.3 MB of f32 weights.
- AdamW with a short warm-up and a linear decay to zero, batches of 128; no decay on norms, biases and
  positions. Label smoothing 0.1. The released weights are an exponential moving average.
- Augmentation: horizontal flip, and a random crop of the image padded by 4 reflected pixels. More
  (MixUp, RandAugment) pays only over more epochs than there is time for.
- Schedule. `--epochs` says how long to train; `--minutes` bounds it on a machine that others use too.
  The learning rate follows whichever of the two is further along, so the decay always completes.
  Without `--minutes` a run depends only on the seed (and on torch's own kernels).
- The test images only measure: nothing is selected by them; the weights of the last step are exported.

A checkpoint is written after every epoch; the same command resumes from it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

import cifar10
from cct import Cct
from cifar10 import IMAGE_SIZE

# The usual figures for the training images, per channel, in units of 1 (white).
MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)

PADDING = 4
WARM_UP = 0.08  # as a part of the whole run
WEIGHT_DECAY = 0.05
LABEL_SMOOTHING = 0.1
EMA_DECAY = 0.998
GRADIENT_NORM = 1.0

PREPROCESSOR = {
    "image_processor_type": "CLIPImageProcessor",
    "do_convert_rgb": True,
    "do_resize": True,
    "size": {"shortest_edge": IMAGE_SIZE},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": IMAGE_SIZE, "width": IMAGE_SIZE},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": MEAN,
    "image_std": STD,
}


def normalised(images: Tensor) -> Tensor:
    """uint8 [n, 32, 32, 3] to the model's pixels, f32 [n, 3, 32, 32].

    Only the view changes its axes: the memory stays channels-last, the faster layout on CPUs.
    """
    pixels = (images / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
    return pixels.permute(0, 3, 1, 2)


class Augmented:
    """Batches of randomly cropped and flipped training images, already normalised."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, batch: int) -> None:
        pad = ((0, 0), (PADDING, PADDING), (PADDING, PADDING), (0, 0))
        self.images = torch.from_numpy(np.pad(images, pad, mode="reflect"))
        self.labels = torch.from_numpy(labels)
        self.batch = batch

    def __len__(self) -> int:
        return len(self.images) // self.batch

    def epoch(self, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        random = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self.images), generator=random)
        along = torch.arange(IMAGE_SIZE)
        for start in range(0, len(self) * self.batch, self.batch):
            chosen = order[start : start + self.batch]
            top, left = torch.randint(2 * PADDING + 1, (2, len(chosen), 1), generator=random)
            flipped = torch.rand(len(chosen), 1, generator=random) < 0.5
            rows = top + along
            columns = left + torch.where(flipped, along.flip(0), along)
            crops = self.images[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]
            yield normalised(crops), self.labels[chosen]


class Average:
    """An exponential moving average of a model's weights and batch-norm statistics."""

    def __init__(self, model: nn.Module) -> None:
        self.model = deepcopy(model).eval()
        self.updates = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        self.updates += 1
        decay = min(EMA_DECAY, self.updates / (self.updates + 10))
        pairs = zip(self.model.state_dict().values(), model.state_dict().values())
        averaged, current = zip(*((a, b) for a, b in pairs if a.is_floating_point()))
        torch._foreach_lerp_(averaged, current, 1 - decay)


def make_optimizer(model: nn.Module, rate: float) -> torch.optim.Optimizer:
    named = dict(model.named_parameters())
    decayed = [p for n, p in named.items() if p.ndim > 1 and n != "position_embedding"]
    others = [p for n, p in named.items() if p.ndim <= 1 or n == "position_embedding"]
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, fused=True)


def rate_at(progress: float) -> float:
    """The learning rate as a part of its peak: up linearly, then down linearly to zero."""
    return min(progress / WARM_UP, (1 - progress) / (1 - WARM_UP))


@torch.inference_mode()
def accuracy(model: nn.Module, images: np.ndarray, labels: np.ndarray, batch: int = 500) -> float:
    right = 0
    for start in range(0, len(images), batch):
        pixels = normalised(torch.from_numpy(images[start : start + batch]))
        right += (model(pixels).argmax(dim=1).numpy() == labels[start : start + batch]).sum()
    return right / len(images)


def export(model: nn.Module, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    state: dict[str, Tensor] = {
        name: tensor.detach().float().contiguous()
        for name, tensor in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    save_file(state, out / "model.safetensors", metadata={"format": "pt"})
    (out / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR, indent=2) + "\n")


def train(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(options.seed)
    images, labels, _ = cifar10.load(options.data, "train", options.work)
    test_images, test_labels, _ = cifar10.load(options.data, "test", options.work)
    data = Augmented(images, labels, options.batch)

    model = Cct().to(memory_format=torch.channels_last)
    average = Average(model)
    optimizer = make_optimizer(model, options.rate)
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{parameters} parameters, {len(data)} steps per epoch", flush=True)

    checkpoint = options.work / "checkpoint.pt"
    epoch, spent, progress = 0, 0.0, 0.0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        average.model.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
        average.updates = saved["updates"]
        epoch, spent, progress = saved["epoch"], saved["spent"], saved["progress"]
        print(f"resumed after epoch {epoch}", flush=True)
    else:
        export(average.model, options.out)

    started = time.monotonic() - spent
    while progress < 1:
        model.train()
        total = torch.zeros(())
        steps = 0
        for pixels, target in data.epoch(options.seed * 1000 + epoch):
            progress = (epoch + steps / len(data)) / options.epochs
            if options.minutes:
                progress = max(progress, (time.monotonic() - started) / (60 * options.minutes))
            if progress >= 1:
                break
            for group in optimizer.param_groups:
                group["lr"] = options.rate * rate_at(progress)
            loss = F.cross_entropy(model(pixels), target, label_smoothing=LABEL_SMOOTHING)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_NORM)
            optimizer.step()
            average.update(model)
            total += loss.detach()
            steps += 1
        else:
            epoch += 1
            progress = max(progress, epoch / options.epochs)
        spent = time.monotonic() - started
        line = f"epoch {epoch} ({progress:.0%}, {spent / 60:.1f} min): loss {total / max(steps, 1):.4f}"
        if progress >= 1 or epoch % options.evaluate_every == 0:
            line += f", test accuracy {accuracy(average.model, test_images, test_labels):.2%}"
        print(line, flush=True)
        state = {
            "model": model.state_dict(),
            "average": average.model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "updates": average.updates,
            "epoch": epoch,
            "spent": spent,
            "progress": progress,
        }
        torch.save(state, checkpoint.with_suffix(".new"))
        checkpoint.with_suffix(".new").replace(checkpoint)
        export(average.model, options.out)


def main() -> None:
    parser = argparse.ArgumentParser(description="trains the CIFAR-10 model that attn ships")
    parser.add_argument("--data", type=Path, required=True, help="CIFAR-10 as JPEGs: a .tar.gz or a folder")
    parser.add_argument(
        "--work", type=Path, default=Path("build/cifar10"), help="checkpoint and decoded images"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("models/cifar10_cct"), help="the model folder to write"
    )
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--minutes", type=float, help="finish within this time, in fewer epochs if need be")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=2e-3, help="the peak learning rate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--evaluate-every", type=int, default=3, metavar="EPOCHS")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    train(options)


if __name__ == "__main__":
    main()
