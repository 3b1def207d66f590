import copy
import io
import os
import tempfile

import torch
import torch.nn as nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(2, 3, 3)
        self.bn = nn.BatchNorm1d(3)
        self.blocks = nn.ModuleList(nn.Linear(3, 3) for _ in range(2))
        self.by_name = nn.ModuleDict({"a": nn.Linear(3, 1), "b": nn.Linear(3, 2)})
        self.scales = nn.ParameterList([nn.Parameter(torch.tensor([1.5])), nn.Parameter(torch.zeros(2))])
        self.register_buffer("mean", torch.arange(3.0))
        self.register_buffer("cache", torch.zeros(2), persistent=False)
        self.unused = None

    def forward(self, x, head="a"):
        x = self.bn(self.conv(x)).mean(-1) - self.mean
        for block in self.blocks:
            x = torch.relu(block(x)) * self.scales[0]
        return self.by_name[head](x)


torch.manual_seed(0)
net = Net()
print(net)
x = torch.randn(4, 2, 6)
net(x).sum().backward()
sd = net.state_dict()
print(type(sd).__name__, len(sd))
for k, v in sd.items():
    print(k, v.shape, v.requires_grad, v.dtype)

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "model.pt")
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    optimizer.step()
    torch.save({"epoch": 3, "model_state_dict": net.state_dict(), "optimizer_state_dict": optimizer.state_dict(),
                "loss": torch.tensor(0.25), "history": [1.0, 0.5], "name": "net"}, path)
    checkpoint = torch.load(path)
    print(sorted(checkpoint), checkpoint["epoch"], checkpoint["loss"], checkpoint["history"])
    other = Net()
    print(torch.equal(other.conv.weight, net.conv.weight))
    print(other.load_state_dict(checkpoint["model_state_dict"]))
    print(torch.equal(other.conv.weight, net.conv.weight))
    opt2 = torch.optim.Adam(other.parameters())
    opt2.load_state_dict(checkpoint["optimizer_state_dict"])
    print(opt2.param_groups[0]["lr"], opt2.state_dict()["state"][0]["step"])
    other.eval(), net.eval()
    print(torch.allclose(other(x), net(x)), net(x, head="b"))
    torch.save(torch.arange(6).reshape(2, 3).t(), os.path.join(folder, "t.pt"))
    t = torch.load(os.path.join(folder, "t.pt"), weights_only=True, map_location=torch.device("cpu"))
    print(t, t.is_contiguous(), t.stride())

buffer = io.BytesIO()
shared = torch.zeros(4)
torch.save([shared, shared, torch.tensor([True, False]), torch.tensor(3, dtype=torch.int16)], buffer)
buffer.seek(0)
a, b, c, d = torch.load(buffer)
a[0] = 7
print(a, b, c, d)

# mismatches
small = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
state = small.state_dict()
state["2.weight"] = torch.zeros(1)
del state["0.bias"]
print(small.load_state_dict(state, strict=False))
try:
    small.load_state_dict(state)
except RuntimeError as e:
    print(str(e))
try:
    small.load_state_dict({"0.weight": torch.zeros(3, 3)}, strict=False)
except RuntimeError as e:
    print(str(e))

# copies share nothing, state dicts share memory
clone = copy.deepcopy(small)
with torch.no_grad():
    small[0].weight.fill_(1.0)
print(clone[0].weight.eq(1).any(), small.state_dict()["0.weight"])
snapshot = {k: v.clone() for k, v in small.state_dict().items()}
small.state_dict()["1.bias"].zero_()
print(small[1].bias, snapshot["1.bias"].abs().sum() > 0)

# surgery
small[1] = nn.Linear(2, 3)
small.append(nn.Sigmoid())
del small[0]
print(small, len(small), small[0].weight.shape)
net.by_name["c"] = nn.Linear(3, 5)
print(list(net.by_name.keys()), "a" in net.by_name, [n for n, _ in net.named_modules()])
print(net.get_submodule("by_name.c"), net.get_parameter("scales.0"))
print([n for n, p in net.named_parameters() if p.grad is None])
print({n: p.numel() for n, p in net.by_name.named_parameters(prefix="heads")})
net.double()
print(net.conv.weight.dtype, net.mean.dtype, net.bn.num_batches_tracked.dtype)
net.to(torch.float32).requires_grad_(False)
print(all(not p.requires_grad for p in net.parameters()), net.training, net.train().training, net.bn.training)
