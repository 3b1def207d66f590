"""What SummaryWriter writes, read back field by field."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tidu
from tidu.utils.tensorboard import SummaryWriter
from tidu.utils.tensorboard.records import crc32c


def messages(data: bytes) -> list[bytes]:
    """The contents of all records, whose checksums are right."""
    found = []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        body, end = data[12 : 12 + length], 16 + length
        for part, checksum in ((data[:8], data[8:12]), (body, data[12 + length : end])):
            crc = crc32c(part)
            turned = (crc >> 15 | crc << 17) & 0xFFFFFFFF
            assert struct.unpack("<I", checksum)[0] == (turned + 0xA282EAD8) & 0xFFFFFFFF
        found.append(body)
        data = data[end:]
    return found


def fields(data: bytes) -> dict[int, list[Any]]:
    """A protocol-buffer message as the values of its fields, by their numbers."""

    def number() -> int:
        nonlocal data
        value = shift = 0
        while True:
            byte, data = data[0], data[1:]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    found: dict[int, list[Any]] = {}
    while data:
        key = number()
        kind = key & 7
        if kind == 0:
            value: Any = number()
        else:
            size = {1: 8, 5: 4}.get(kind) or number()
            value, data = data[:size], data[size:]
            if kind != 2:
                (value,) = struct.unpack("<d" if kind == 1 else "<f", value)
        found.setdefault(key >> 3, []).append(value)
    return found


def values(folder: Path) -> list[tuple[int, dict[int, list[Any]]]]:
    """Step and summary value of each event of the only file in a folder."""
    (path,) = (p for p in folder.iterdir() if p.is_file())
    first, *rest = (fields(message) for message in messages(path.read_bytes()))
    assert first[3] == [b"brain.Event:2"]
    return [(event[2][0], fields(fields(event[5][0])[1][0])) for event in rest]


def test_checksums_are_those_of_castagnoli() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA


def test_points_of_curves(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_scalar("loss", 0.5, 3)
        writer.add_scalar("loss", tidu.tensor([2.5], requires_grad=True), 300)
        writer.add_scalar("loss", np.float32(1.5))
    found = [(step, value[1][0], value[2][0]) for step, value in values(tmp_path)]
    assert found == [(3, b"loss", 0.5), (300, b"loss", 2.5), (0, b"loss", 1.5)]


def test_curves_in_one_picture_have_folders(tmp_path: Path) -> None:
    writer = SummaryWriter(str(tmp_path))
    writer.add_scalars("run/loss", {"train": 1.0, "test": 2.0}, 7)
    writer.close()
    ((step, value),) = values(tmp_path / "run_loss_test")
    assert (step, value[1][0], value[2][0]) == (7, b"run/loss", 2.0)
    assert (tmp_path / "run_loss_train").is_dir()


def test_histograms_count_every_element(tmp_path: Path) -> None:
    numbers = tidu.tensor([-1.0, 0.0, 0.5, 0.5, 3.0])
    with SummaryWriter(tmp_path) as writer:
        writer.add_histogram("weights", numbers, 1)
        writer.add_histogram("weights", numbers, 2, bins=4)
        with pytest.raises(ValueError, match="no element"):
            writer.add_histogram("weights", tidu.zeros(0))
    for _, value in values(tmp_path):
        histogram = fields(value[5][0])
        assert [histogram[n][0] for n in range(1, 6)] == [-1.0, 3.0, 5.0, 3.0, 10.5]
        limits, counts = (np.frombuffer(histogram[n][0]) for n in (6, 7))
        assert limits.size == counts.size and counts.sum() == 5
        assert limits[-1] >= 3.0 and counts[-1] == 1
        assert counts[limits <= -1.0].sum() == 0


def pixels(png: bytes) -> Any:
    """The rows of a PNG file that has one chunk of them, without their filter bytes."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", png[16:24])
    start = png.index(b"IDAT")
    (length,) = struct.unpack(">I", png[start - 4 : start])
    rows = np.frombuffer(zlib.decompress(png[start + 4 : start + 4 + length]), np.uint8)
    return rows.reshape(height, -1)[:, 1:].reshape(height, width, -1)


def test_pictures_keep_their_pixels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 256, (3, 4, 5), dtype=np.uint8)
    with SummaryWriter(tmp_path) as writer:
        writer.add_image("a", tidu.tensor(whole))
        writer.add_image("a", whole.transpose(1, 2, 0) / np.float32(255), dataformats="HWC")
        writer.add_image("a", whole[0], dataformats="HW")
        writer.add_images("a", np.stack([whole, 255 - whole]))
        with pytest.raises(ValueError, match=r"shape \[3, 4, 5\].*'HW'"):
            writer.add_image("a", whole, dataformats="HW")
    upright = whole.transpose(1, 2, 0)
    expected = [upright, upright, whole[0][..., None], np.hstack([upright, 255 - upright])]
    for (_, value), picture in zip(values(tmp_path), expected, strict=True):
        image = fields(value[4][0])
        assert tuple(image[n][0] for n in (1, 2, 3)) == picture.shape
        assert np.abs(pixels(image[4][0]).astype(int) - picture).max() <= 1


def test_texts_are_tensors_of_a_plugin(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_text("notes", "**梯度**", 1)
    ((_, value),) = values(tmp_path)
    assert value[1] == [b"notes/text_summary"]
    assert fields(value[8][0])[8] == ["**梯度**".encode()]
    assert fields(fields(value[9][0])[1][0])[1] == [b"text"]


def test_files_have_folders_and_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    writer = SummaryWriter(comment="_mine", filename_suffix=".x")
    assert writer.get_logdir().startswith("runs/") and writer.get_logdir().endswith("_mine")
    (path,) = Path(writer.get_logdir()).iterdir()
    assert path.name.startswith("events.out.tfevents.") and path.name.endswith(".x")
    writer.add_scalar("a", 1.0)
    writer.flush()
    assert len(values(Path(writer.get_logdir()))) == 1
    writer.close()
