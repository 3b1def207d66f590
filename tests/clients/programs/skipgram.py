import torch
import torch.nn as nn
import torch.nn.functional as F
from collections import Counter

corpus = """we are about to study the idea of a computational process
computational processes are abstract beings that inhabit computers
as they evolve processes manipulate other abstract things called data""".split()

counts = Counter(corpus)
vocab = sorted(counts)
word_to_ix = {w: i for i, w in enumerate(vocab)}
print(len(corpus), len(vocab), counts.most_common(3))

WINDOW, DIM, NEG = 2, 10, 4
pairs = []
for i in range(len(corpus)):
    for j in range(max(0, i - WINDOW), min(len(corpus), i + WINDOW + 1)):
        if i != j:
            pairs.append((word_to_ix[corpus[i]], word_to_ix[corpus[j]]))
pairs = torch.LongTensor(pairs)
print(pairs.shape, pairs[:4])


class SkipGram(nn.Module):
    def __init__(self, vocab_size, dim):
        super().__init__()
        self.u = nn.Embedding(vocab_size, dim)
        self.v = nn.Embedding(vocab_size, dim)
        r = 0.5 / dim
        self.u.weight.data.uniform_(-r, r)
        self.v.weight.data.zero_()

    def forward(self, center, context, negatives):
        c = self.u(center)                                   # (B, D)
        pos = torch.sum(c * self.v(context), dim=1)          # (B,)
        neg = torch.bmm(self.v(negatives), c.unsqueeze(2)).squeeze(2)
        return -(F.logsigmoid(pos) + F.logsigmoid(-neg).sum(1)).mean()


torch.manual_seed(3)
freq = torch.tensor([counts[w] for w in vocab], dtype=torch.float).pow(0.75)
freq /= freq.sum()
print(freq)
model = SkipGram(len(vocab), DIM)
optimizer = torch.optim.Adagrad(model.parameters(), lr=0.5)
for epoch in range(10):
    total = 0.
    for batch in pairs[torch.randperm(len(pairs))].split(32):
        center, context = batch.t()
        negatives = torch.multinomial(freq, len(batch) * NEG, replacement=True).view(-1, NEG)
        loss = model(center, context, negatives)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(batch)
    print("epoch %2d loss %.4f" % (epoch, total / len(pairs)))
print(model)
print(model.u.weight.grad[:3])

E = F.normalize(model.u.weight.detach(), dim=1)
sim = E @ E.T
sim.fill_diagonal_(-1)
for w in ("processes", "computational", "abstract"):
    val, ix = sim[word_to_ix[w]].topk(2)
    print(w, [vocab[i] for i in ix], val)
print(F.cosine_similarity(E[:1], E[1:5]))

# CBOW with a padding index
emb = nn.Embedding(len(vocab) + 1, 4, padding_idx=len(vocab))
out = nn.Linear(4, len(vocab))
ctx = torch.full((3, 4), len(vocab))
ctx[0] = torch.tensor([0, 1, 3, 4])
ctx[1, :2] = torch.tensor([5, 6])
ctx[2, 3] = 7
logits = out(emb(ctx).mean(dim=1))
loss = F.cross_entropy(logits, torch.tensor([2, 7, 8]))
loss.backward()
print(emb, loss, emb.weight[-1], emb.weight.grad[-1], emb.weight.grad[5], sep="\n")
