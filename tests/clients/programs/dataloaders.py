"""Datasets, samplers, collate functions, and workers."""
import numpy as np
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torch.utils.data import (BatchSampler, ConcatDataset, DataLoader, Dataset, IterableDataset, RandomSampler,
                              SequentialSampler, Subset, TensorDataset, WeightedRandomSampler, get_worker_info,
                              random_split)


class Squares(Dataset):
    def __init__(self, n, transform=None):
        self.n = n
        self.transform = transform

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        sample = {"x": torch.tensor([index, index + 0.5]), "y": index ** 2, "name": f"item{index}", "z": np.float32(index) / 3}
        return self.transform(sample) if self.transform else sample


class Sentences(Dataset):
    data = [[3, 1, 4], [1, 5], [9, 2, 6, 5], [3]]

    def __len__(self):
        return len(self.data)

    def __getitem__(self, i):
        return torch.tensor(self.data[i]), i % 2


class Stream(IterableDataset):
    def __iter__(self):
        info = get_worker_info()
        start, step = (0, 1) if info is None else (info.id, info.num_workers)
        for i in range(start, 7, step):
            yield i * 10


def pad(batch):
    tokens, labels = zip(*batch)
    lengths = torch.tensor([len(t) for t in tokens])
    return pad_sequence(tokens, batch_first=True, padding_value=0), lengths, torch.tensor(labels)


if __name__ == "__main__":
    torch.manual_seed(0)
    for batch in DataLoader(Squares(5), batch_size=2):
        print(batch)
    print("-- shuffled")
    for epoch in range(2):
        print([b["y"].tolist() for b in DataLoader(Squares(7), batch_size=3, shuffle=True)])
    print("-- workers")
    for batch in DataLoader(Squares(6, transform=lambda s: s["x"] * 2), batch_size=4, num_workers=2):
        print(batch, batch.dtype)
    print([b.tolist() for b in DataLoader(Stream(), batch_size=2, num_workers=2)])
    print("-- collate")
    for tokens, lengths, labels in DataLoader(Sentences(), batch_size=2, collate_fn=pad):
        print(tokens, lengths, labels)
    tokens, lengths, labels = pad([Sentences()[i] for i in range(4)])
    packed = pack_padded_sequence(tokens.unsqueeze(-1).float(), lengths, batch_first=True, enforce_sorted=False)
    print(packed.data.flatten(), packed.batch_sizes)
    gru = torch.nn.GRU(1, 2, batch_first=True)
    out, h = gru(packed)
    out, lens = pad_packed_sequence(out, batch_first=True)
    print(out.shape, lens, torch.allclose(h[0, 1], out[1, 1]))
    print(out[1])

    x = torch.arange(10).float()
    ds = TensorDataset(x, x ** 2)
    a, b, c = random_split(ds, [5, 3, 2], generator=torch.Generator().manual_seed(42))
    print([len(s) for s in (a, b, c)], list(a.indices), list(b.indices))
    print([s[0].item() for s in ConcatDataset([a, Subset(ds, [0, 9])])])
    print(list(BatchSampler(SequentialSampler(range(7)), batch_size=3, drop_last=False)))
    print(list(RandomSampler(range(6), generator=torch.Generator().manual_seed(1))))
    print(list(WeightedRandomSampler([0.1, 0.9, 0.4, 0.7], 8)))
    loader = DataLoader(ds, batch_size=4, sampler=RandomSampler(ds), drop_last=True)
    print(len(loader), [tuple(t.tolist() for t in batch) for batch in loader])
    it = iter(DataLoader(ds, batch_size=3))
    xb, yb = next(it)
    print(xb, yb)
    try:
        while True:
            last = next(it)
    except StopIteration:
        print("stopped", last)
    g = torch.Generator()
    g.manual_seed(7)
    print(torch.cat([xb for xb, _ in DataLoader(ds, batch_size=5, shuffle=True, generator=g)]))
    print(next(iter(DataLoader([1.5, 2.5, 3.5], batch_size=3))), next(iter(DataLoader(list("abc"), batch_size=2))))
    print(next(iter(DataLoader([(1, {"k": [1, 2]}), (2, {"k": [3, 4]})], batch_size=2))))
    print(next(iter(DataLoader(ds, batch_size=None))))
