import torch
import torch.nn as nn

torch.manual_seed(0)
activations, gradients, order = {}, {}, []


def save_activation(name):
    def hook(module, args, output):
        activations[name] = output.detach().clone()
        order.append(('forward', name))
    return hook


def save_gradient(name):
    def hook(module, grad_input, grad_output):
        gradients[name] = [None if g is None else tuple(g.shape) for g in grad_input], grad_output[0].norm().item()
        order.append(('backward', name))
    return hook


model = nn.Sequential()
model.add_module('lin1', nn.Linear(3, 4))
model.add_module('act1', nn.ReLU())
model.add_module('lin2', nn.Linear(4, 4))
model.add_module('act2', nn.Tanh())
model.add_module('head', nn.Linear(4, 2))

handles = []
for name, layer in model.named_children():
    handles.append(layer.register_forward_hook(save_activation(name)))
    handles.append(layer.register_full_backward_hook(save_gradient(name)))

x = torch.randn(5, 3)
out = model(x)
loss = (out ** 2).mean()
loss.backward()
for name in activations:
    a = activations[name]
    print(f"{name}: mean {a.mean():+.4f} std {a.std():.4f} zero fraction {(a == 0).float().mean():.2f}")
for name, (shapes, norm) in gradients.items():
    print(name, shapes, f"{norm:.5f}")
print(order)
for h in handles:
    h.remove()
order.clear()
model(x)
print(order)


# tensor hooks
v = torch.tensor([0., 0., 0.], requires_grad=True)
h = v.register_hook(lambda grad: grad * 2)
v.backward(torch.tensor([1., 2., 3.]))
print(v.grad)
h.remove()
v.grad = None
v.backward(torch.tensor([1., 2., 3.]))
print(v.grad)

a = torch.tensor([1.0, 2.0], requires_grad=True)
b = a * 3
b.retain_grad()
b.register_hook(lambda g: print("grad of b", g))
c = b ** 2
c.register_hook(lambda g: g.clamp(max=0.5))
c.sum().backward()
print(a.grad, b.grad, c.grad_fn, c.is_leaf)


# pre-hooks that change the input, hooks that change the output
lin = nn.Linear(2, 2, bias=False)
nn.init.eye_(lin.weight)
pre = lin.register_forward_pre_hook(lambda m, args: (args[0] * 10,))
post = lin.register_forward_hook(lambda m, args, out: out + 1)
print(lin(torch.ones(1, 2)))
pre.remove()
print(lin(torch.ones(1, 2)))
post.remove()
print(lin(torch.ones(1, 2)))

# gradient noise & freezing through hooks
w = nn.Parameter(torch.ones(4))
mask = torch.tensor([1., 0., 1., 0.])
w.register_hook(lambda g: g * mask)
opt = torch.optim.SGD([w], lr=0.1)
(w ** 2).sum().backward()
opt.step()
print(w, w.grad)
w.register_post_accumulate_grad_hook(lambda p: print("accumulated", p.grad))
(w.sum() * 2).backward()


# a module with state that counts its calls
class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer('calls', torch.zeros(1, dtype=torch.long))
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, x, *, bias=0.0):
        self.calls += 1
        return x * self.scale + bias

    def extra_repr(self):
        return f'scale={self.scale.item()}'


net = Counter()
net.register_forward_hook(lambda m, a, kw, o: print("kwargs", kw), with_kwargs=True)
print(net(torch.ones(2), bias=1.0))
net(torch.zeros(1))
print(net, net.calls, dict(net.named_buffers()), list(net.state_dict().items()), sep="\n")


# visualise the graph
def walk(fn, depth=0):
    if fn is None:
        return
    print("  " * depth + type(fn).__name__)
    for nxt, index in fn.next_functions:
        walk(nxt, depth + 1)


p, q = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
walk(((p * q).sin() + p.exp().sum() / 2 - q[0]).mean().grad_fn)
