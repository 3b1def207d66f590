import copy

import torch
import torch.nn as nn
from torch import optim
from torch.optim import lr_scheduler


def make():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1))


torch.manual_seed(1)
X = torch.randn(20, 3)
Y = (X[:, :1] * X[:, 1:2]).sin()

factories = {
    "SGD": lambda p: optim.SGD(p, lr=0.1),
    "SGD momentum": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, dampening=0.1, weight_decay=0.01),
    "SGD nesterov": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "Adam": lambda p: optim.Adam(p, lr=0.02),
    "Adam amsgrad": lambda p: optim.Adam(p, lr=0.02, amsgrad=True, weight_decay=0.1),
    "AdamW": lambda p: optim.AdamW(p, lr=0.02),
    "Adamax": lambda p: optim.Adamax(p, lr=0.02),
    "NAdam": lambda p: optim.NAdam(p, lr=0.02),
    "RAdam": lambda p: optim.RAdam(p, lr=0.02),
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.1, lr_decay=0.01),
    "Adadelta": lambda p: optim.Adadelta(p, lr=1.0),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True),
    "Rprop": lambda p: optim.Rprop(p, lr=0.01),
    "ASGD": lambda p: optim.ASGD(p, lr=0.1),
    "LBFGS": lambda p: optim.LBFGS(p, lr=0.5, max_iter=2),
}
for name, factory in factories.items():
    model = make()
    opt = factory(model.parameters())
    losses = []
    for _ in range(10):
        def closure():
            opt.zero_grad()
            loss = nn.functional.mse_loss(model(X), Y)
            loss.backward()
            return loss
        losses.append(opt.step(closure).item())
    print(f"{name:14s}", " ".join(f"{l:.5f}" for l in losses[::3]), type(opt).__name__, len(opt.state))
    print("   ", model[2].weight.data, sorted(opt.state[model[0].weight].keys()) if name != "LBFGS" else "")

# parameter groups
model = make()
opt = optim.Adam([
    {"params": model[0].parameters(), "lr": 1e-3},
    {"params": model[2].weight, "weight_decay": 0.1},
], lr=1e-2)
opt.add_param_group({"params": [model[2].bias], "lr": 0.5})
print(opt)
print([len(g["params"]) for g in opt.param_groups], [g["lr"] for g in opt.param_groups], opt.defaults["betas"])

two = optim.SGD([{"params": [model[0].weight]}, {"params": [model[0].bias], "lr": 0.2, "name": "biases"}], lr=0.1, momentum=0.9)
sched = lr_scheduler.LambdaLR(two, lr_lambda=[lambda e: 0.9 ** e, lambda e: 1 / (1 + e)])
for epoch in range(3):
    two.step()
    sched.step()
    print(epoch, sched.get_last_lr())

schedules = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, 3, gamma=0.1),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, milestones=[2, 5], gamma=0.5),
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, 0.8),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=6),
    "WarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=3, T_mult=2),
    "LinearLR": lambda o: lr_scheduler.LinearLR(o, start_factor=0.25, total_iters=4),
    "ConstantLR": lambda o: lr_scheduler.ConstantLR(o, factor=0.5, total_iters=3),
    "PolynomialLR": lambda o: lr_scheduler.PolynomialLR(o, total_iters=6, power=2.0),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, base_lr=0.1, max_lr=1.0, step_size_up=3),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, max_lr=1.0, total_steps=10),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.LinearLR(o, 0.1, total_iters=3), lr_scheduler.ExponentialLR(o, 0.9)], milestones=[3]),
}
for name, schedule in schedules.items():
    w = nn.Parameter(torch.ones(1))
    o = optim.SGD([w], lr=1.0, momentum=0.9)
    s = schedule(o)
    lrs = []
    for _ in range(8):
        w.grad = torch.ones(1)
        o.step()
        lrs.append(o.param_groups[0]["lr"])
        s.step()
    print(f"{name:18s}", " ".join(f"{lr:.5f}" for lr in lrs), w.data)

plateau = lr_scheduler.ReduceLROnPlateau(o, mode="min", factor=0.5, patience=1)
for metric in (1.0, 0.9, 0.95, 0.93, 0.92, 0.5):
    plateau.step(metric)
    print(metric, o.param_groups[0]["lr"], plateau.num_bad_epochs)

# saving and resuming an optimizer
a, b = make(), make()
oa = optim.AdamW(a.parameters(), lr=0.01)
for _ in range(3):
    oa.zero_grad()
    (a(X) - Y).pow(2).mean().backward()
    oa.step()
b.load_state_dict(a.state_dict())
ob = optim.AdamW(b.parameters(), lr=0.5)
ob.load_state_dict(copy.deepcopy(oa.state_dict()))
for m, o in ((a, oa), (b, ob)):
    o.zero_grad()
    (m(X) - Y).pow(2).mean().backward()
    o.step()
print(torch.equal(a[0].weight, b[0].weight), ob.param_groups[0]["lr"], oa.state_dict()["state"][1]["step"])
print(oa.state_dict()["param_groups"])
print(oa.state_dict()["state"][3])
