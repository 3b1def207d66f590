import math
import torch
import torch.nn as nn
from torch.nn.utils import clip_grad_norm_

text = """the quick brown fox jumps over the lazy dog
pack my box with five dozen liquor jugs
how vexingly quick daft zebras jump
"""

chars = sorted(set(text))
stoi = {c: i for i, c in enumerate(chars)}
itos = dict(enumerate(chars))
data = torch.tensor([stoi[c] for c in text], dtype=torch.long)
print(f"{len(text)} characters, {len(chars)} unique", data[:20])

torch.manual_seed(1337)
device = 'cuda' if torch.cuda.is_available() else 'cpu'
batch_size, block, hidden = 4, 16, 24


class CharLSTM(nn.Module):
    def __init__(self, vocab, emb=8, hidden=hidden, layers=2):
        super().__init__()
        self.embed = nn.Embedding(vocab, emb)
        self.lstm = nn.LSTM(emb, hidden, num_layers=layers, batch_first=True, dropout=0.1)
        self.head = nn.Linear(hidden, vocab)

    def forward(self, idx, state=None):
        x = self.embed(idx)
        y, state = self.lstm(x, state)
        return self.head(y), state

    def init_state(self, n):
        w = next(self.parameters())
        return (w.new_zeros(self.lstm.num_layers, n, self.lstm.hidden_size),
                w.new_zeros(self.lstm.num_layers, n, self.lstm.hidden_size))


def get_batch():
    ix = torch.randint(len(data) - block, (batch_size,))
    x = torch.stack([data[i:i + block] for i in ix])
    y = torch.stack([data[i + 1:i + 1 + block] for i in ix])
    return x.to(device), y.to(device)


model = CharLSTM(len(chars)).to(device)
print(model)
for name, p in model.named_parameters():
    print(f"{name:22s} {str(list(p.shape)):12s} {p.requires_grad}")
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
criterion = nn.CrossEntropyLoss()

model.train()
for it in range(30):
    xb, yb = get_batch()
    logits, _ = model(xb, model.init_state(batch_size))
    loss = criterion(logits.view(-1, logits.size(-1)), yb.view(-1))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = clip_grad_norm_(model.parameters(), max_norm=0.25)
    optimizer.step()
    if it % 3 == 0:
        print(f"iter {it:3d} | loss {loss.item():.4f} | ppl {math.exp(loss.item()):8.2f} | grad norm {norm:.4f}")
print(norm)
print(xb)


@torch.no_grad()
def sample(start, n, temperature=1.0):
    model.eval()
    out = list(start)
    state = None
    idx = torch.tensor([[stoi[c] for c in start]])
    for _ in range(n):
        logits, state = model(idx, state)
        probs = torch.softmax(logits[:, -1] / temperature, dim=-1)
        idx = torch.multinomial(probs, num_samples=1)
        out.append(itos[idx.item()])
    return ''.join(out), probs


for temperature in (0.2, 0.8, 1.5):
    s, p = sample("the ", 40, temperature)
    print(temperature, repr(s))
    top, where = p.topk(3)
    print(top, [itos[i] for i in where[0].tolist()])
print("entropy", -(p * p.log()).sum().item())
