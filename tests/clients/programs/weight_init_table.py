"""
Vanishing and exploding signals: a table per layer, for several initialisations.
"""
import math

import torch
import torch.nn as nn

DEPTH, WIDTH, BATCH = 12, 40, 64


def build(init, activation):
    torch.manual_seed(42)
    layers = []
    for _ in range(DEPTH):
        linear = nn.Linear(WIDTH, WIDTH)
        init(linear.weight)
        nn.init.zeros_(linear.bias)
        layers += [linear, activation()]
    return nn.Sequential(*layers)


inits = {
    "small": lambda w: nn.init.normal_(w, std=0.08),
    "large": lambda w: nn.init.normal_(w, std=1.0),
    "uniform": lambda w: nn.init.uniform_(w, -0.2, 0.2),
    "xavier": lambda w: nn.init.xavier_normal_(w, gain=nn.init.calculate_gain("tanh")),
    "xavier_u": nn.init.xavier_uniform_,
    "kaiming": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
    "kaiming_u": lambda w: nn.init.kaiming_uniform_(w, a=math.sqrt(5)),
    "orthogonal": nn.init.orthogonal_,
    "trunc": lambda w: nn.init.trunc_normal_(w, std=0.15),
}

for activation in (nn.Tanh, nn.ReLU):
    for name, init in inits.items():
        model = build(init, activation)
        x = torch.randn(BATCH, WIDTH)
        stds, h = [], x
        for layer in model:
            h = layer(h)
            if not isinstance(layer, nn.Linear):
                stds.append(h.std().item())
        loss = h.pow(2).mean()
        loss.backward()
        norms = [layer.weight.grad.norm().item() for layer in model if isinstance(layer, nn.Linear)]
        print(f"{activation.__name__:5s} {name:10s} activations " + " ".join(f"{s:.2e}" for s in stds[::4])
              + " | gradients " + " ".join(f"{g:.2e}" for g in norms[::4]) + f" | ratio {norms[0] / norms[-1]:.2e}")

print({n: round(nn.init.calculate_gain(n), 5) for n in ("linear", "sigmoid", "tanh", "relu", "selu")}, nn.init.calculate_gain("leaky_relu", 0.2))

torch.manual_seed(0)
w = torch.empty(3, 5)
for f in (nn.init.uniform_, nn.init.normal_, nn.init.ones_, nn.init.xavier_uniform_, nn.init.xavier_normal_,
          nn.init.kaiming_uniform_, nn.init.kaiming_normal_, nn.init.eye_, nn.init.trunc_normal_):
    print(f.__name__, f(w), sep="\n")
print(nn.init.constant_(torch.empty(2), 0.3))
print(nn.init.sparse_(torch.empty(4, 3), sparsity=0.5))
print(nn.init.dirac_(torch.empty(2, 2, 3)))
q = nn.init.orthogonal_(torch.empty(4, 4))
print(torch.allclose(q @ q.T, torch.eye(4), atol=1e-5))

conv = nn.Conv2d(3, 8, 3)
bn = nn.BatchNorm1d(4)
gru = nn.GRU(3, 4)
print(conv.weight[0, 0], conv.bias[:3], bn.weight, bn.bias, gru.weight_ih_l0[0], sep="\n")
print(nn.Embedding(3, 2).weight, nn.Bilinear(2, 2, 1).weight, nn.PReLU().weight, nn.LayerNorm(2).weight, sep="\n")


def reset(m):
    if hasattr(m, "reset_parameters"):
        print("reset", m)
        m.reset_parameters()


torch.manual_seed(9)
net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Sequential(nn.Linear(2, 1)))
net.apply(reset)
torch.manual_seed(9)
for m in (net[0], net[2][0]):
    m.reset_parameters()
print([p.tolist() for p in net.parameters()])
