"""The net: three ReLU layers with L2, trained by Lightning on weighted clicks, exported as ONNX.

It answers the probability that a click is *not* human under the training weights: a score, not a calibrated
probability. Logarithm and scaling are its first layer, so the vector that counters answer is all it needs.
"""

import logging
import sys
import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import lightning as L  # noqa: N812 - the name that its documentation uses
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, TQDMProgressBar
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from headgate.domains.adclicks.features.kernel import FEATURES
from headgate.domains.adclicks.model.sample import UNBOUNDED, Sample, logs

HIDDEN = (64, 32, 16)
LEARNING_RATE = 2e-3
L2 = 1e-6
BATCH = 2048
EPOCHS = 40
PATIENCE = 8
#: Fewer steps an epoch than this, and epochs are made longer: early stopping should judge real progress.
STEPS_AN_EPOCH = 30


class Net(nn.Module):
    """Vectors [n, d] in, logits [n] out. `mean` and `scale` [d] are of the logarithms."""

    def __init__(self, mean: Tensor, scale: Tensor) -> None:
        """Layers of the sizes `HIDDEN` between the scaled vector and the logit."""
        super().__init__()
        self.log: Tensor
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("log", torch.tensor(UNBOUNDED, dtype=torch.float32))
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        sizes = (len(FEATURES), *HIDDEN)
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], 1))

    def forward(self, x: Tensor) -> Tensor:
        """Logits [n] of vectors [n, d]."""
        logs = torch.log1p(torch.relu(x)) * self.log + x * (1 - self.log)
        logits: Tensor = self.layers((logs - self.mean) / self.scale)
        return logits.squeeze(-1)


class Score(nn.Module):
    """What is exported: vectors [n, d] in, scores [n] in [0, 1] out; of k nets, their mean.

    The nets are computed side by side, a layer of all of them in one product: a k-th of the steps, and steps are what a
    single click costs.
    """

    def __init__(self, nets: Sequence[Net]) -> None:
        """Stack what trained nets have learned; scaling becomes part of the first layer."""
        super().__init__()
        self.log: Tensor
        self.register_buffer("log", nets[0].log)
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()  # [k, inputs, outputs], [k, 1, outputs]
        linear = [[layer for layer in net.layers if isinstance(layer, nn.Linear)] for net in nets]
        for alike in zip(*linear, strict=True):
            self.weights.append(torch.stack([layer.weight.detach().T for layer in alike]))
            self.biases.append(torch.stack([layer.bias.detach() for layer in alike])[:, None])
        self.weights[0] = self.weights[0] / torch.stack([net.scale for net in nets])[..., None]
        self.biases[0] = self.biases[0] - torch.stack([net.mean for net in nets])[:, None] @ self.weights[0]

    def forward(self, features: Tensor) -> Tensor:
        """Scores [n] of vectors [n, d]."""
        x = torch.log1p(torch.relu(features)) * self.log + features * (1 - self.log)
        *hidden, last = zip(self.weights, self.biases, strict=True)
        for weight, bias in hidden:
            x = torch.relu(x @ weight + bias)
        weight, bias = last
        return torch.sigmoid(x @ weight + bias).mean(dim=0).squeeze(-1)


class _Batches(IterableDataset):
    """Whole batches at a time, shuffled anew each epoch: far quicker than row by row."""

    def __init__(self, sample: Sample, *, shuffle: bool, seed: int) -> None:
        self.tensors = tuple(torch.from_numpy(part) for part in (sample.x, sample.target, sample.weight))
        self.shuffle = shuffle
        self.random = torch.Generator().manual_seed(seed)

    def __iter__(self) -> Any:
        n = len(self.tensors[0])
        repeats = max(1, -(-STEPS_AN_EPOCH * BATCH // n)) if self.shuffle else 1
        for _ in range(repeats):
            order = torch.randperm(n, generator=self.random) if self.shuffle else torch.arange(n)
            for rows in torch.split(order, BATCH):
                yield tuple(part[rows] for part in self.tensors)


class _Training(L.LightningModule):
    """Weighted cross-entropy of the net; AdamW's decoupled decay is the L2 of the layers."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net
        self.losses: list[dict[str, float]] = []

    def _loss(self, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        x, target, weight = batch
        each = nn.functional.binary_cross_entropy_with_logits(self.net(x), target, reduction="none")
        return (each * weight).sum() / weight.sum()

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], index: int) -> Tensor:
        loss = self._loss(batch)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(batch[0]))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor, Tensor], index: int) -> None:
        weight = float(batch[2].sum())
        self.log("stop_loss", self._loss(batch), prog_bar=True, batch_size=max(round(weight), 1))

    def on_train_epoch_end(self) -> None:
        metrics = self.trainer.callback_metrics
        self.losses.append({name: float(metrics[name]) for name in ("train_loss", "stop_loss") if name in metrics})

    def configure_optimizers(self) -> torch.optim.Optimizer:
        weights = [p for name, p in self.net.named_parameters() if name.endswith("weight")]
        biases = [p for name, p in self.net.named_parameters() if name.endswith("bias")]
        groups = [{"params": weights, "weight_decay": L2 / LEARNING_RATE}, {"params": biases, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=LEARNING_RATE)


class _Best(Callback):
    """Keep the weights of the epoch that early stopping liked best, in memory."""

    def __init__(self) -> None:
        self.loss = float("inf")
        self.weights: dict[str, Tensor] = {}

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        loss = float(trainer.callback_metrics["stop_loss"])
        if loss < self.loss and not trainer.sanity_checking:
            self.loss = loss
            self.weights = {name: value.detach().clone() for name, value in module.state_dict().items()}


def train(fit: Sample, stop: Sample, *, seed: int) -> tuple[Net, list[dict[str, float]]]:
    """Train on `fit` until the loss on `stop` no longer falls; the best net and the losses of each epoch.

    A progress bar is drawn where a person looks on; the accelerator is whatever Lightning finds.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    torch.set_num_threads(1)  # the same net on any number of cores; so small a net gains nothing from more
    L.seed_everything(seed, verbose=False)
    scaled = logs(fit.x)
    mean, scale = scaled.mean(axis=0), np.maximum(scaled.std(axis=0), 1e-3)
    module = _Training(Net(torch.from_numpy(mean), torch.from_numpy(scale)))
    best = _Best()
    callbacks: list[Callback] = [EarlyStopping("stop_loss", patience=PATIENCE, check_finite=True), best]
    people = sys.stderr.isatty()
    if people:
        callbacks.append(TQDMProgressBar())
    trainer = L.Trainer(
        max_epochs=EPOCHS,
        accelerator="auto",
        devices=1,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=people,
        num_sanity_val_steps=0,
        deterministic=True,
    )
    trainer.fit(
        module,
        DataLoader(_Batches(fit, shuffle=True, seed=seed), batch_size=None),
        DataLoader(_Batches(stop, shuffle=False, seed=seed), batch_size=None),
    )
    if best.weights:
        module.load_state_dict(best.weights)
    return module.net.cpu().eval(), module.losses


def export(nets: Sequence[Net], path: Path) -> None:
    """Write the nets with scaling, sigmoid and mean as one ONNX: input `features` [n, d], output `score` [n]."""
    example = torch.zeros(2, len(FEATURES))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Score(nets).eval(),
            (example,),
            str(path),
            input_names=["features"],
            output_names=["score"],
            dynamic_axes={"features": {0: "n"}, "score": {0: "n"}},
            dynamo=False,
        )
