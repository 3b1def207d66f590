"""FGSM attacks, label smoothing, distillation, mixup, gradient accumulation, early stopping, EMA."""
import copy

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(10)
X = torch.randn(150, 6)
y = (X[:, 0] * X[:, 1] > 0).long() + (X[:, 2] > 0.8).long()
train, val = (X[:120], y[:120]), (X[120:], y[120:])
print(y.bincount(), y.dtype)


def mlp(width):
    return nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 3))


def evaluate(model, data):
    was_training = model.training
    model.eval()
    with torch.no_grad():
        logits = model(data[0])
        result = F.cross_entropy(logits, data[1]).item(), (logits.argmax(-1) == data[1]).float().mean().item()
    model.train(was_training)
    return result


# --- a teacher, with gradient accumulation, warm-up and early stopping
teacher = mlp(32)
opt = torch.optim.Adam(teacher.parameters(), lr=1e-2)
warmup = torch.optim.lr_scheduler.LambdaLR(opt, lambda step: min(1.0, (step + 1) / 5))
loader = DataLoader(TensorDataset(*train), batch_size=20, shuffle=True)
best, best_state, patience = float("inf"), None, 0
for epoch in range(12):
    for i, (xb, yb) in enumerate(loader):
        loss = F.cross_entropy(teacher(xb), yb, label_smoothing=0.05) / 2
        loss.backward()
        if (i + 1) % 2 == 0:
            opt.step()
            opt.zero_grad()
            warmup.step()
    val_loss, val_acc = evaluate(teacher, val)
    improved = val_loss < best
    if improved:
        best, best_state, patience = val_loss, copy.deepcopy(teacher.state_dict()), 0
    else:
        patience += 1
    print(f"epoch {epoch:2d} train {loss.item() * 2:.4f} val {val_loss:.4f} lr {warmup.get_last_lr()[0]:.4f}{' *' if improved else ''}")
    if patience == 4:
        print("early stop")
        break
teacher.load_state_dict(best_state)
teacher.eval()
for p in teacher.parameters():
    p.requires_grad = False
print("teacher", "%.4f %.3f" % evaluate(teacher, val), teacher(X[:1]))

# --- distillation with an exponential moving average
student = mlp(8)
ema = copy.deepcopy(student)
opt = torch.optim.SGD(student.parameters(), lr=0.1, momentum=0.9)
kl = nn.KLDivLoss(reduction="batchmean")
tau = 2.0
for step in range(20):
    logits = student(train[0])
    soft = kl(F.log_softmax(logits / tau, dim=1), F.softmax(teacher(train[0]) / tau, dim=1)) * tau ** 2
    hard = F.cross_entropy(logits, train[1])
    loss = 0.7 * soft + 0.3 * hard
    opt.zero_grad()
    loss.backward()
    opt.step()
    with torch.no_grad():
        for pe, ps in zip(ema.parameters(), student.parameters()):
            pe.lerp_(ps, 0.1)
    if step % 5 == 0:
        print("step", step, "soft", round(soft.item(), 4), "hard", round(hard.item(), 4))
print(soft, hard, loss)
print("ema", [round(p.norm().item(), 4) for p in ema.parameters()])

# --- mixup with soft targets
lam = 0.3
perm = torch.randperm(120)
mixed = lam * train[0] + (1 - lam) * train[0][perm]
targets = lam * F.one_hot(train[1], 3) + (1 - lam) * F.one_hot(train[1][perm], 3)
loss = F.cross_entropy(student(mixed), targets)
print("mixup", loss, -(targets * F.log_softmax(student(mixed), 1)).sum(1).mean())

# --- FGSM
student.eval()
for eps in (0, 0.1, 0.3, 0.6):
    data = val[0].clone()
    data.requires_grad = True
    loss = F.nll_loss(F.log_softmax(student(data), dim=1), val[1])
    student.zero_grad()
    loss.backward()
    perturbed = torch.clamp(data + eps * data.grad.data.sign(), -3, 3).detach()
    print(f"Epsilon: {eps}\tloss {evaluate(student, (perturbed, val[1]))[0]:.4f}  |delta| {(perturbed - val[0]).abs().max().item():.3f}")
print(data.grad[0], perturbed.requires_grad)

# --- projected gradient descent with autograd.grad, and a saliency map
adv = val[0] + torch.empty_like(val[0]).uniform_(-0.1, 0.1)
for _ in range(5):
    adv.requires_grad_()
    grad, = torch.autograd.grad(F.cross_entropy(student(adv), val[1]), [adv])
    adv = adv.detach() + 0.05 * grad.sign()
    adv = torch.max(torch.min(adv, val[0] + 0.2), val[0] - 0.2)
print("PGD", "%.4f" % evaluate(student, (adv, val[1]))[0])
one = val[0][:1].clone().requires_grad_()
score, klass = student(one).max(dim=1)
score.backward()
print(score, klass, one.grad.abs().topk(2, dim=1))

# --- contrastive and metric losses
a, p, n = torch.randn(4, 5, requires_grad=True), torch.randn(4, 5), torch.randn(4, 5)
print(nn.TripletMarginLoss(margin=1.0)(a, p, n), F.pairwise_distance(a, p), F.cosine_similarity(a, n), nn.CosineEmbeddingLoss()(a, p, torch.tensor([1, -1, 1, -1])), sep="\n")
z = F.normalize(torch.cat([a, p]), dim=1)
sim = z @ z.T / 0.5
sim = sim.masked_fill(torch.eye(8, dtype=torch.bool), float("-inf"))
nce = F.cross_entropy(sim, torch.arange(8).roll(4))
nce.backward()
print(nce, a.grad[0], torch.cdist(a, p), sep="\n")
for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "poisson_nll_loss", "soft_margin_loss", "hinge_embedding_loss"):
    f = getattr(F, name)
    t = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0]).expand(4, 5)
    print(name, f(a, t), f(a, t, reduction="sum"), f(a, t, reduction="none").shape)
print(F.multi_margin_loss(a, torch.tensor([0, 1, 2, 3])), F.margin_ranking_loss(a[0], a[1], torch.ones(5)), F.gaussian_nll_loss(a, p, torch.ones(4, 5)), F.multilabel_soft_margin_loss(a, (p > 0).float()))
