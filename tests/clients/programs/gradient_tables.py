"""Chapter 3 exercises: derivatives of activation functions, as tables."""
import torch
import torch.nn.functional as F

torch.set_printoptions(precision=5, sci_mode=False)

x = torch.arange(-3, 4, dtype=torch.float32, requires_grad=True)
print(x)

for name in ["relu", "sigmoid", "tanh", "softplus", "leaky_relu", "elu", "silu", "gelu", "hardtanh", "relu6", "selu", "logsigmoid", "softsign", "mish"]:
    f = getattr(F, name)
    x.grad = None
    y = f(x)
    y.backward(torch.ones_like(x))
    print(f"{name:>12}: y  = {y.detach()}")
    print(f"{'':>12}  dy = {x.grad}")
    print(f"{'':>12}  {y.grad_fn.name()}")

print("--- relu on a grid, with gradients of another sum")
a = torch.tensor([[1.0, -2.0, 0.0], [-0.5, 4.0, 2.0]], requires_grad=True)
r = torch.relu(a)
print(r)
(r * torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])).sum().backward()
print(a.grad)

print("--- sigmoid, saturated")
z = torch.tensor([-100.0, -20.0, -5.0, 0.0, 5.0, 20.0, 100.0], requires_grad=True)
s = torch.sigmoid(z)
s.sum().backward()
for zi, si, gi in zip(z, s, z.grad):
    print(f"z={zi.item():8.2f}  sigmoid={si.item():.6f}  grad={gi.item():.6f}")

print("--- the Jacobian of softmax")
logits = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
p = torch.softmax(logits, dim=0)
print(p, p.sum())
J = torch.zeros(3, 3)
for i in range(3):
    J[i], = torch.autograd.grad(p[i], logits, retain_graph=True)
print(J)
print(torch.diag(p) - torch.outer(p, p))
print(torch.allclose(J, torch.diag(p) - torch.outer(p, p), atol=1e-6))
print(torch.autograd.functional.jacobian(lambda t: F.softmax(t, dim=0), logits))

print("--- cross entropy: softmax minus one-hot")
logits = torch.tensor([[2.0, 1.0, 0.1], [0.5, 2.5, -1.0]], requires_grad=True)
target = torch.tensor([0, 2])
loss = F.cross_entropy(logits, target)
loss.backward()
print(loss)
print(logits.grad)
print((F.softmax(logits, dim=1) - F.one_hot(target, 3)) / 2)
logp = F.log_softmax(logits, dim=-1)
print(logp, logp.exp().sum(dim=-1), logp.gather(1, target.view(-1, 1)), sep="\n")
