# -*- coding: utf-8 -*-
import torch


class MyReLU(torch.autograd.Function):
    """
    We can implement our own custom autograd Functions by subclassing
    torch.autograd.Function and implementing the forward and backward passes
    which operate on Tensors.
    """

    @staticmethod
    def forward(ctx, input):
        ctx.save_for_backward(input)
        return input.clamp(min=0)

    @staticmethod
    def backward(ctx, grad_output):
        input, = ctx.saved_tensors
        grad_input = grad_output.clone()
        grad_input[input < 0] = 0
        return grad_input


class Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, factor, note):
        ctx.factor = factor
        ctx.note = note
        return x * factor

    @staticmethod
    def backward(ctx, g):
        print("  scale backward", ctx.note, tuple(g.shape), ctx.needs_input_grad)
        return g * ctx.factor, None, None


class Exp(torch.autograd.Function):
    @staticmethod
    def forward(ctx, i):
        result = i.exp()
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx, grad_output):
        (result,) = ctx.saved_tensors
        return grad_output * result


dtype = torch.float
device = torch.device("cpu")
torch.manual_seed(0)

N, D_in, H, D_out = 16, 20, 10, 4
x = torch.randn(N, D_in, device=device, dtype=dtype)
y = torch.randn(N, D_out, device=device, dtype=dtype)
w1 = torch.randn(D_in, H, device=device, dtype=dtype, requires_grad=True)
w2 = torch.randn(H, D_out, device=device, dtype=dtype, requires_grad=True)

learning_rate = 1e-4
for t in range(60):
    relu = MyReLU.apply
    y_pred = relu(x.mm(w1)).mm(w2)
    loss = (y_pred - y).pow(2).sum()
    if t % 10 == 9:
        print(t, loss.item())
    loss.backward()
    with torch.no_grad():
        w1 -= learning_rate * w1.grad
        w2 -= learning_rate * w2.grad
        w1.grad.zero_()
        w2.grad.zero_()

print(w2)
h = MyReLU.apply(x.mm(w1))
print(h.grad_fn, h.requires_grad, h.shape)
a = torch.tensor([-1.0, 2.0, -3.0, 4.0], requires_grad=True)
b = Scale.apply(MyReLU.apply(a), 3.0, "hello")
print(b)
b.backward(torch.tensor([1.0, 10.0, 100.0, 1000.0]))
print(a.grad)

e = Exp.apply(torch.tensor([0.0, 1.0], requires_grad=True))
print(e)
v = torch.tensor([0.5, -0.5], dtype=torch.double, requires_grad=True)
print(torch.autograd.gradcheck(Exp.apply, (v,)))
g, = torch.autograd.grad(Exp.apply(v).sum(), v, create_graph=True)
print(g)
g2, = torch.autograd.grad(g.sum(), v)
print(g2)
