# y = 2x, learned one sample at a time
import torch
from torch.autograd import Variable

x_data = [1.0, 2.0, 3.0]
y_data = [2.0, 4.0, 6.0]

w = Variable(torch.Tensor([1.0]), requires_grad=True)


def forward(x):
    return x * w


def loss(x, y):
    y_pred = forward(x)
    return (y_pred - y) * (y_pred - y)


print("predict (before training)", 4, forward(4).data[0])

for epoch in range(10):
    for x_val, y_val in zip(x_data, y_data):
        l = loss(x_val, y_val)
        l.backward()
        print("\tgrad: ", x_val, y_val, w.grad.data[0])
        w.data = w.data - 0.01 * w.grad.data
        w.grad.data.zero_()
    print("progress:", epoch, l.data[0])

print("predict (after training)", 4, forward(4).data[0])
print(w, w.grad, l, sep="\n")

# the same with a quadratic model  y = w2 x^2 + w1 x + b
w1 = torch.tensor([1.0], requires_grad=True)
w2 = torch.tensor([1.0], requires_grad=True)
b = torch.tensor([0.0], requires_grad=True)

for epoch in range(5):
    for x, y in zip(x_data, y_data):
        l = (w2 * x**2 + w1 * x + b - y) ** 2
        l.backward()
        for p in (w1, w2, b):
            p.data -= 0.005 * p.grad.data
        print(f"{x} {y} l={l.item():.6f} grads {w1.grad.item():.4f} {w2.grad.item():.4f} {b.grad.item():.4f}")
        for p in (w1, w2, b):
            p.grad.data.zero_()
    print("progress", epoch, l, l.data, l.item())
print("w1", w1.data, "w2", w2.data, "b", b.data)
print(l.grad_fn, l.grad_fn.next_functions[0][0], w1.is_leaf, l.is_leaf, l.requires_grad)
