"""Handwritten digits: an MLP, then a small CNN, trained, measured, saved and drawn.

    tidu run examples/digits.py [--out runs/digits]

A script as one writes it for PyTorch: `python examples/digits.py` runs it there, unchanged.
The data, 1797 images of 8×8 pixels from the UCI repository, come with scikit-learn.
"""

import argparse
import time
from collections import OrderedDict
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # draws into files, so no display is needed

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.numpy import load_file, save_file
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

console = Console(highlight=False)


def load_data(seed):
    """Training, validation and test sets (70, 15, 15 %) with equal shares of every digit."""
    digits = load_digits()
    images = torch.from_numpy(digits.images).float().unsqueeze(1) / 16  # (1797, 1, 8, 8), 0 to 1
    labels = torch.from_numpy(digits.target)
    indices = range(len(labels))
    train, rest = train_test_split(
        indices, test_size=0.3, stratify=digits.target, random_state=seed
    )
    validation, test = train_test_split(
        rest, test_size=0.5, stratify=digits.target[rest], random_state=seed
    )
    return [TensorDataset(images[part], labels[part]) for part in (train, validation, test)]


def make_mlp():
    layers = OrderedDict(
        flatten=nn.Flatten(),
        hidden1=nn.Linear(64, 256),
        relu1=nn.ReLU(),
        dropout1=nn.Dropout(0.3),
        hidden2=nn.Linear(256, 128),
        relu2=nn.ReLU(),
        dropout2=nn.Dropout(0.3),
        output=nn.Linear(128, 10),
    )
    return nn.Sequential(layers)


class CNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, kernel_size=3, padding=1)
        self.norm1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, kernel_size=3, padding=1)
        self.norm2 = nn.BatchNorm2d(32)
        self.dropout = nn.Dropout(0.3)
        self.output = nn.Linear(32 * 4 * 4, 10)

    def forward(self, x):  # (N, 1, 8, 8)
        x = F.relu(self.norm1(self.conv1(x)))  # (N, 16, 8, 8)
        x = F.relu(self.norm2(self.conv2(x)))  # (N, 32, 8, 8)
        x = F.max_pool2d(x, 2)  # (N, 32, 4, 4)
        return self.output(self.dropout(x.flatten(1)))


def gradient_norms(model):
    """The length of the gradient of every layer that has parameters, by the layer's name."""
    norms = {}
    for name, layer in model.named_modules():
        gradients = [p.grad.flatten() for p in layer.parameters(recurse=False)]
        if gradients:
            norms[name] = torch.cat(gradients).norm().item()
    return norms


def evaluate(model, dataset):
    """Mean loss and accuracy over a whole set."""
    model.eval()
    images, labels = dataset.tensors
    with torch.no_grad():
        logits = model(images)
        loss = F.cross_entropy(logits, labels).item()
        accuracy = (logits.argmax(dim=1) == labels).float().mean().item()
    return loss, accuracy


def progress_bar():
    """A live bar on a terminal; invisible elsewhere, where `train` prints plain lines."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[status]}"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def train(name, model, train_set, validation_set, epochs, peak_rate):
    """Trains `model` and returns what the plot shows: losses and gradient norms over the steps."""
    loader = DataLoader(train_set, batch_size=64, shuffle=True)
    total_steps = epochs * len(loader)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=peak_rate, total_steps=total_steps
    )
    history = {"loss": [], "norms": [], "validation": []}
    _, accuracy = evaluate(model, validation_set)
    images_seen, start = 0, time.perf_counter()
    with progress_bar() as bar:
        task = bar.add_task(name, total=total_steps, status="")
        for epoch in range(1, epochs + 1):
            model.train()
            for images, labels in loader:
                loss = F.cross_entropy(model(images), labels)
                optimizer.zero_grad()
                loss.backward()
                history["norms"].append(gradient_norms(model))
                nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
                optimizer.step()
                schedule.step()
                history["loss"].append(loss.item())
                images_seen += len(images)
                seconds = time.perf_counter() - start
                status = f"{images_seen / seconds:6.0f} images/s  loss {loss.item():.4f}"
                bar.update(task, advance=1, status=f"{status}  accuracy {accuracy:6.2%}")
            validation_loss, accuracy = evaluate(model, validation_set)
            history["validation"].append((len(history["loss"]), validation_loss))
            status += f"  accuracy {accuracy:6.2%}"
            bar.update(task, status=status)
            if not console.is_terminal:
                left = seconds * (epochs - epoch) / epoch
                print(f"{name}  epoch {epoch:2}/{epochs}  {status}  {left:3.0f} s left", flush=True)
    return history


def save_and_check(model, fresh_model, path, test_set):
    """Saves the weights, loads them into another model, and returns the accuracy of both."""
    weights = {name: value.detach().numpy() for name, value in model.state_dict().items()}
    save_file(weights, path)
    loaded = {name: torch.from_numpy(value) for name, value in load_file(path).items()}
    fresh_model.load_state_dict(loaded)
    _, accuracy = evaluate(model, test_set)
    _, accuracy_again = evaluate(fresh_model, test_set)
    assert accuracy == accuracy_again, f"{path}: {accuracy_again} after loading, not {accuracy}"
    return accuracy


def draw(axis, values, label, window=20):
    """A curve and, in strong color, its mean over the last `window` steps (about an epoch)."""
    (curve,) = axis.plot(values, linewidth=0.8, alpha=0.3)
    means = np.convolve(values, np.ones(window) / window, mode="valid")
    steps = range(window - 1, len(values))
    axis.plot(steps, means, linewidth=2, color=curve.get_color(), label=label)


def plot(histories, path):
    """One column per model: its loss above, the gradient norm of each of its layers below."""
    figure, axes = plt.subplots(
        2, len(histories), figsize=(13, 8), sharex="col", sharey="row", layout="constrained"
    )
    for (name, history), (above, below) in zip(histories.items(), axes.T):
        draw(above, history["loss"], "training")
        above.plot(*zip(*history["validation"]), linewidth=2, label="validation")
        above.set(title=f"{name}: loss (cross entropy)", yscale="log")
        for layer in history["norms"][0]:
            draw(below, [norms[layer] for norms in history["norms"]], layer)
        below.set(title=f"{name}: gradient norm of each layer", yscale="log", xlabel="step")
        for axis in (above, below):
            axis.grid(alpha=0.3)
            axis.legend(loc="lower left", fontsize=10)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/digits"), help="output folder")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)

    train_set, validation_set, test_set = load_data(arguments.seed)
    print(
        f"{len(train_set)} training, {len(validation_set)} validation, {len(test_set)} test images"
    )
    histories, summary = {}, []
    for name, make_model, epochs, peak_rate in [
        ("MLP", make_mlp, 30, 1e-2),
        ("CNN", CNN, 15, 1e-2),
    ]:
        torch.manual_seed(arguments.seed)
        start = time.perf_counter()
        model = make_model()
        histories[name] = train(name, model, train_set, validation_set, epochs, peak_rate)
        seconds = time.perf_counter() - start
        path = arguments.out / f"{name.lower()}.safetensors"
        accuracy = save_and_check(model, make_model(), path, test_set)
        size = sum(p.numel() for p in model.parameters())
        summary.append(f"{name}  {size:6} parameters  test {accuracy:.2%}  {seconds:.1f} s  {path}")
    picture = arguments.out / "curves.png"
    plot(histories, picture)

    print("\nTest accuracy, the same after saving and loading:")
    for line in summary:
        print(f"  {line}")
    print(f"Loss and gradient norms: {picture}")


if __name__ == "__main__":
    main()
