import numpy as np
import torch

dtypes = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64]
short = {d: str(d).replace("torch.", "") for d in dtypes}

print("promotion of a + b")
for a in dtypes:
    print(f"{short[a]:9s}", " ".join(f"{short[(torch.ones(2, dtype=a) + torch.ones(2, dtype=b)).dtype]:9s}" for b in dtypes))
print("division a / b")
for a in dtypes:
    print(f"{short[a]:9s}", " ".join(f"{short[(torch.ones(2, dtype=a) / torch.ones(2, dtype=b)).dtype]:9s}" for b in dtypes))
print("with Python numbers, and with 0-d tensors")
for a in dtypes:
    t = torch.ones(2, dtype=a)
    print(f"{short[a]:9s}", (t * 2).dtype, (t * 2.5).dtype, (t * True).dtype, (t + torch.tensor(1.5)).dtype, (t + torch.tensor(2)).dtype,
          (t + torch.tensor(1.5, dtype=torch.float64)).dtype, (1 / t).dtype, (t == 1).dtype, t.sum().dtype, t.float().mean().dtype)
print("functions of integers")
i = torch.tensor([1, 2, 3])
for f in (torch.sqrt, torch.exp, torch.sin, torch.abs, torch.neg, torch.square, torch.sign, torch.floor, torch.sigmoid, torch.log, torch.reciprocal, torch.cumsum, torch.prod, torch.std):
    try:
        out = f(i, 0) if f is torch.cumsum else f(i)
        print(f.__name__, out, out.dtype)
    except RuntimeError as e:
        print(f.__name__, "RuntimeError")

print("inference from Python and NumPy")
for value in (1, 1.0, True, [1, 2.0], [True, 2], [[1]], (), [], 3 + 0.5, np.float64(1), np.float32(1), np.int32(4), np.array([1, 2]), np.array([1.5]), np.arange(3, dtype=np.uint8), np.ones((1, 1), dtype=np.float16), [np.float32(1), 2], [torch.tensor(1), torch.tensor(2.5)]):
    t = torch.tensor(value)
    print(repr(value), "->", t, t.dtype, tuple(t.shape))
print(torch.as_tensor(np.array([1, 2], dtype=np.int16)), torch.from_numpy(np.array([True, False])), torch.Tensor([1, 2]), torch.Tensor(2, 1).shape, torch.FloatTensor([1]), torch.LongTensor([1, 2]), torch.IntTensor([3]), torch.BoolTensor([0, 1]), torch.DoubleTensor([0.1]))
print(torch.full((2,), 1), torch.full((2,), 1.0), torch.full((2,), True), torch.arange(3), torch.arange(3.0), torch.arange(0, 1, 0.25), torch.linspace(0, 1, 3), torch.zeros(2, dtype=torch.long), torch.ones_like(i), torch.zeros_like(i, dtype=torch.float), torch.eye(2, dtype=torch.int), torch.empty(0).dtype)

print("conversion")
x = torch.tensor([-1.7, -0.2, 0.0, 0.5, 1.5, 2.5, 300.0])
print(x.int(), x.long(), x.bool(), x.half(), x.bfloat16(), x.double(), x.to(torch.int16), x.type(torch.int32), x.type(torch.DoubleTensor), sep="\n")
print(x.type(), i.type(), x.to(i).dtype, i.type_as(x), i.to("cpu", torch.float64), x.round(), x.trunc(), x.floor(), x.ceil(), x.frac(), sep="\n")
print(torch.tensor([True, False]).int().sum(), torch.tensor(3.7).int().item(), int(torch.tensor(3.7)), float(torch.tensor(3)), bool(torch.tensor(0.0)), torch.tensor([250], dtype=torch.uint8) + 10, torch.tensor([127], dtype=torch.int8) + torch.tensor([1], dtype=torch.int8))

print("integer arithmetic")
a, b = torch.tensor([7, -7, 7, -7]), torch.tensor([2, 2, -2, -2])
print(a / b, a // b, a % b, torch.fmod(a, b), torch.div(a, b, rounding_mode="trunc"), torch.div(a, b, rounding_mode="floor"), a ** 2, 2 ** b.abs(), divmod(7, 2), sep="\n")
print(a & b, a | b, a ^ b, ~a, a << 1, a >> 1, torch.tensor([True, False]) & torch.tensor([True, True]), ~torch.tensor([True, False]), torch.bitwise_not(torch.tensor(5)), sep="\n")
print(a > b, a.eq(b), torch.logical_or(a > 0, b > 0), (a > 0).any(), (a > 0).all(), torch.tensor([1.0, float("nan"), float("inf")]).isfinite())

print("limits")
for d in dtypes:
    if d.is_floating_point:
        f = torch.finfo(d)
        print(d, f.bits, f.eps, f.max, f.min, f.tiny)
    elif d != torch.bool:
        n = torch.iinfo(d)
        print(d, n.bits, n.min, n.max)
print([d.itemsize for d in dtypes], torch.get_default_dtype(), torch.promote_types(torch.int8, torch.uint8), torch.result_type(i, 1.0), torch.can_cast(torch.float, torch.int), torch.is_floating_point(x), i.is_floating_point(), x.element_size(), x.nelement(), torch.is_tensor(x))

print("half precision")
h = torch.linspace(0, 1, 5, dtype=torch.float16)
print(h, h.sum(), h * 3, h @ h, h.exp(), h.bfloat16(), (h + torch.ones(5)).dtype, h.mean(), sep="\n")
print("numpy")
n = np.arange(6, dtype=np.float64).reshape(2, 3)
t = torch.from_numpy(n)
print(t, t.dtype, t.numpy().dtype, (t.float().numpy() * 2).dtype, np.asarray(t).sum(), np.mean(t.numpy()), np.array([t[0, 0], t[1, 1]]), t.tolist(), n @ t.numpy().T)
print(t * np.float32(2), t + np.array([1, 2, 3]), torch.tensor(np.pi), torch.tensor(n[0, 1]), t[np.array([1])])
torch.set_default_dtype(torch.float64)
print(torch.tensor(1.5), torch.ones(2), torch.tensor([1.5], dtype=torch.float32), torch.rand(1).dtype, torch.ones(2) * torch.ones(2, dtype=torch.float32), torch.arange(2.0).dtype)
