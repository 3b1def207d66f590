"""Reversing digit strings: encoder-decoder with attention, teacher forcing, padding, masking."""
import random

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import optim

PAD, SOS, EOS = 0, 1, 2
VOCAB = 9
HIDDEN = 16


def make_pair(rng):
    n = rng.randint(2, 5)
    s = [rng.randint(3, VOCAB - 1) for _ in range(n)]
    return s + [EOS], s[::-1] + [EOS]


def make_batch(rng, size):
    pairs = [make_pair(rng) for _ in range(size)]
    longest = max(len(s) for s, _ in pairs)
    src = torch.full((size, longest), PAD, dtype=torch.long)
    tgt = torch.full((size, longest), PAD, dtype=torch.long)
    for i, (s, t) in enumerate(pairs):
        src[i, :len(s)] = torch.tensor(s)
        tgt[i, :len(t)] = torch.tensor(t)
    return src, tgt


class EncoderRNN(nn.Module):
    def __init__(self):
        super(EncoderRNN, self).__init__()
        self.embedding = nn.Embedding(VOCAB, HIDDEN, padding_idx=PAD)
        self.gru = nn.GRU(HIDDEN, HIDDEN, batch_first=True, bidirectional=True)
        self.bridge = nn.Linear(2 * HIDDEN, HIDDEN)

    def forward(self, input):
        output, hidden = self.gru(self.embedding(input))
        return output, torch.tanh(self.bridge(torch.cat((hidden[0], hidden[1]), dim=1))).unsqueeze(0)


class BahdanauAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.Wa = nn.Linear(HIDDEN, HIDDEN)
        self.Ua = nn.Linear(2 * HIDDEN, HIDDEN)
        self.Va = nn.Linear(HIDDEN, 1)

    def forward(self, query, keys, mask):
        scores = self.Va(torch.tanh(self.Wa(query) + self.Ua(keys)))
        scores = scores.squeeze(2).unsqueeze(1)
        scores.masked_fill_(mask.unsqueeze(1), -1e9)
        weights = F.softmax(scores, dim=-1)
        return torch.bmm(weights, keys), weights


class AttnDecoderRNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, HIDDEN)
        self.attention = BahdanauAttention()
        self.gru = nn.GRU(3 * HIDDEN, HIDDEN, batch_first=True)
        self.out = nn.Linear(HIDDEN, VOCAB)

    def forward(self, encoder_outputs, hidden, mask, target=None, steps=6):
        batch = encoder_outputs.size(0)
        token = torch.empty(batch, 1, dtype=torch.long).fill_(SOS)
        outputs, attentions = [], []
        for i in range(target.size(1) if target is not None else steps):
            context, w = self.attention(hidden.permute(1, 0, 2), encoder_outputs, mask)
            step, hidden = self.gru(torch.cat((self.embedding(token), context), dim=2), hidden)
            logits = self.out(step)
            outputs.append(logits)
            attentions.append(w)
            if target is not None:
                token = target[:, i].unsqueeze(1)  # Teacher forcing
            else:
                _, topi = logits.topk(1)
                token = topi.squeeze(-1).detach()
        return F.log_softmax(torch.cat(outputs, dim=1), dim=-1), torch.cat(attentions, dim=1)


rng = random.Random(0)
torch.manual_seed(0)
encoder, decoder = EncoderRNN(), AttnDecoderRNN()
print(encoder, decoder, sep="\n")
enc_opt = optim.Adam(encoder.parameters(), lr=0.01)
dec_opt = optim.Adam(decoder.parameters(), lr=0.01)
criterion = nn.NLLLoss(ignore_index=PAD)

for it in range(20):
    src, tgt = make_batch(rng, 16)
    enc_opt.zero_grad()
    dec_opt.zero_grad()
    enc_out, hidden = encoder(src)
    logp, att = decoder(enc_out, hidden, src == PAD, tgt)
    loss = criterion(logp.view(-1, VOCAB), tgt.view(-1))
    loss.backward()
    norm = nn.utils.clip_grad_norm_(list(encoder.parameters()) + list(decoder.parameters()), 1.0)
    enc_opt.step()
    dec_opt.step()
    if it % 4 == 0 or it == 19:
        right = ((logp.argmax(-1) == tgt) & (tgt != PAD)).sum().item() / (tgt != PAD).sum().item()
        print("%3d loss %.4f norm %.4f accuracy %.2f" % (it, loss.item(), norm.item(), right))
print(src[:3], tgt[:3], logp.shape, att.shape, sep="\n")
print(encoder.embedding.weight[PAD], encoder.embedding.weight.grad[PAD].abs().sum())
encoder.eval(), decoder.eval()
with torch.no_grad():
    enc_out, hidden = encoder(src[:2])
    logp, att = decoder(enc_out, hidden, src[:2] == PAD)
print(logp.argmax(-1))
print(att[0])
print(att.sum(-1).allclose(torch.ones(2, 6)), enc_out.shape, hidden[0, 0, :5])
lstm = nn.LSTM(3, 4, num_layers=2, bidirectional=True)
out, (h, c) = lstm(torch.linspace(-1, 1, 30).view(5, 2, 3))
print(out.shape, h.shape, c.shape, out[0], h[-1], sep="\n")
proj = nn.LSTM(3, 4, proj_size=2)
print(proj, proj(torch.ones(2, 1, 3))[0])
cell = nn.LSTMCell(3, 2)
hx, cx = cell(torch.ones(1, 3))
hx, cx = cell(torch.zeros(1, 3), (hx, cx))
print(hx, cx.data, nn.GRUCell(3, 2)(torch.ones(3)))
