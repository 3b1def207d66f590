import torch
import torch.nn.functional as F

torch.manual_seed(0)
x = torch.tensor([[-1.5, 0.25, 2.0], [3.0, -0.75, 0.5]], requires_grad=True)
unary = "abs neg exp exp2 expm1 sin cos tan sinh cosh tanh atan asinh sigmoid square sign floor ceil round trunc frac relu erf erfc sinc3 logit deg2rad rad2deg positive nan_to_num softmax0 log_softmax1 cumsum0 cumprod1 logcumsumexp0 logsumexp1 diff flatten t flip1 roll1 sort1 cummax0 std var mean0 sum1 norm prod1 amax0 amin1 median max min argmax all any tril triu clamp01 renorm".split()
special = {
    "softmax0": lambda t: t.softmax(0), "log_softmax1": lambda t: t.log_softmax(1), "cumsum0": lambda t: t.cumsum(0), "cumprod1": lambda t: t.cumprod(1), "logcumsumexp0": lambda t: torch.logcumsumexp(t, 0),
    "logsumexp1": lambda t: t.logsumexp(1), "flip1": lambda t: t.flip(1), "roll1": lambda t: t.roll(1, 1), "sort1": lambda t: t.sort(1).values, "cummax0": lambda t: t.cummax(0).values, "mean0": lambda t: t.mean(0), "sum1": lambda t: t.sum(1, keepdim=True),
    "prod1": lambda t: t.prod(1), "amax0": lambda t: t.amax(0), "amin1": lambda t: t.amin(1), "clamp01": lambda t: t.clamp(0, 1), "all": lambda t: (t > -2).all(), "any": lambda t: (t > 2).any(1), "sinc3": lambda t: torch.sinc(t * 0.3), "logit": lambda t: torch.logit(t.sigmoid()), "renorm": lambda t: t.renorm(2, 0, 1.0),
}
for name in unary:
    f = special.get(name) or getattr(torch, name)
    out = f(x)
    print(name, out)
    if out.requires_grad:
        x.grad = None
        out.sum().backward()
        print("    grad", x.grad)
p = torch.tensor([0.5, 1.0, 4.0], requires_grad=True)
for name in "sqrt rsqrt log log2 log10 log1p reciprocal acosh lgamma digamma".split():
    q = p + 0.5 if name == "acosh" else p
    out = getattr(torch, name)(q)
    p.grad = None
    out.sum().backward()
    print(name, out, p.grad)
for name in "asin acos atanh erfinv".split():
    h = torch.tensor([-0.5, 0.0, 0.9], requires_grad=True)
    out = getattr(torch, name)(h)
    out.sum().backward()
    print(name, out, h.grad)

a = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
b = torch.tensor([2.0, 0.7, -1.5], requires_grad=True)
binary = {
    "add": lambda: torch.add(a, b, alpha=2), "sub": lambda: a - b, "mul": lambda: a * b, "div": lambda: a / b, "pow": lambda: a.abs() ** b, "fmod": lambda: torch.fmod(a, b), "remainder": lambda: a % b, "floor_divide": lambda: a.detach() // b.detach(), "atan2": lambda: torch.atan2(a, b),
    "maximum": lambda: torch.maximum(a, b), "minimum": lambda: torch.min(a, b), "hypot": lambda: torch.hypot(a, b), "lerp": lambda: torch.lerp(a, b, 0.3), "where": lambda: torch.where(a > b, a, b * 2), "dot": lambda: a @ b, "outer": lambda: torch.outer(a, b),
    "addcmul": lambda: torch.addcmul(a, a, b, value=0.5), "addcdiv": lambda: torch.addcdiv(a, a, b), "logaddexp": lambda: torch.logaddexp(a, b), "dist": lambda: torch.dist(a, b), "copysign": lambda: torch.copysign(a, b), "xlogy": lambda: torch.xlogy(a.abs(), b.abs()), "rsub": lambda: 1 - a, "rdiv": lambda: 1 / a, "rpow": lambda: 2 ** a,
    "stack": lambda: torch.stack((a, b)), "cat": lambda: torch.cat((a, b)), "cross": lambda: torch.linalg.cross(a, b), "cosine": lambda: F.cosine_similarity(a, b, dim=0), "heaviside": lambda: torch.heaviside(a.detach(), b.detach()), "nextafter": lambda: torch.isclose(a, a + 1e-9), "equal": lambda: torch.tensor(torch.equal(a, b)), "allclose": lambda: torch.tensor(torch.allclose(a, a.clone())),
}
for name, f in binary.items():
    a.grad = b.grad = None
    out = f()
    print(name, out)
    if out.requires_grad:
        (out * torch.arange(1.0, out.numel() + 1).view_as(out)).sum().backward()
        print("    grads", a.grad, b.grad)

print(torch.histc(torch.tensor([1.0, 2.0, 1.0]), bins=4, min=0, max=3), torch.quantile(torch.arange(5.0), torch.tensor([0.25, 0.5])), torch.bucketize(torch.tensor([0.5, 2.5]), torch.tensor([0.0, 1.0, 2.0])), torch.trapezoid(torch.tensor([1.0, 2.0, 3.0])), torch.std_mean(torch.arange(4.0)), torch.var(torch.arange(4.0), unbiased=False), torch.mode(torch.tensor([1, 2, 2])), torch.kthvalue(torch.tensor([3.0, 1.0, 2.0]), 2), torch.aminmax(torch.tensor([3.0, 1.0])), torch.count_nonzero(torch.tensor([0, 1, 2])), torch.nansum(torch.tensor([1.0, float("nan")])), torch.isin(torch.tensor([1, 2]), torch.tensor([2])), torch.gcd(torch.tensor(12), torch.tensor(18)), torch.clamp(torch.arange(4), min=1, max=2), torch.corrcoef(torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 4.0]])), sep="\n")
print(torch.rand(2), torch.randn(2), torch.randint(0, 10, (3,)), torch.randperm(5), torch.bernoulli(torch.tensor([0.2, 0.8])), torch.normal(0.0, 1.0, (2,)), torch.normal(torch.zeros(2), torch.ones(2)), torch.empty(2).exponential_(), torch.multinomial(torch.ones(4), 2), torch.empty(3).normal_(1, 2), torch.rand_like(torch.ones(2)), torch.poisson(torch.tensor([3.0, 5.0])), torch.initial_seed(), sep="\n")
state = torch.get_rng_state()
u = torch.rand(2)
torch.set_rng_state(state)
print(torch.equal(u, torch.rand(2)), F.dropout(torch.ones(8), 0.5), F.dropout(torch.ones(4), 0.5, training=False), F.alpha_dropout(torch.ones(2), 0.0), F.gumbel_softmax(torch.zeros(2, 3), hard=True).sum(-1))
