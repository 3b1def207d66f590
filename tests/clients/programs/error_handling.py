"""Typical mistakes, and the kind of exception each of them raises."""
import torch
import torch.nn as nn
import torch.nn.functional as F


def attempt(title, f):
    try:
        result = f()
    except Exception as e:
        print(f"{title:38s} {type(e).__name__.lstrip('_')}")
    else:
        print(f"{title:38s} fine: {result}")


torch.manual_seed(0)
x = torch.ones(2, 3, requires_grad=True)


def backward_twice():
    y = (x ** 2).sum()
    y.backward()
    y.backward()


def backward_twice_retained():
    y = (x ** 2).sum()
    y.backward(retain_graph=True)
    y.backward()
    return x.grad[0, 0]


def inplace_leaf():
    w = torch.zeros(3, requires_grad=True)
    w += 1


def inplace_leaf_view():
    w = torch.zeros(3, requires_grad=True)
    w[0] = 1


def inplace_expanded():
    torch.zeros(3, 1).expand(3, 4).add_(1)


def no_grad_then_backward():
    with torch.no_grad():
        y = x.sum()
    y.backward()


def wrong_state():
    m = nn.Linear(2, 2)
    m.load_state_dict({"weight": torch.zeros(2, 3), "bias": torch.zeros(2)})


def subscript_module():
    return nn.Linear(2, 2)[0]


def setattr_before_init():
    class Bad(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(1, 1)
    return Bad()


def param_not_parameter():
    m = nn.Linear(2, 2)
    m.weight = torch.zeros(2, 2)


def generator_reuse():
    net = nn.Linear(3, 1)
    opt = torch.optim.SGD(net.parameters(), lr=-1)


def unused_grad():
    a, b = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    return torch.autograd.grad((a * 2).sum(), [a, b])


def unused_allowed():
    a, b = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    return torch.autograd.grad((a * 2).sum(), [a, b], allow_unused=True)


def not_implemented_forward():
    class Empty(nn.Module):
        pass
    return Empty()(x)


print("--- autograd")
attempt("backward twice", backward_twice)
attempt("backward twice, retained", backward_twice_retained)
attempt("backward of a vector", lambda: (x * 2).backward())
attempt("backward without graph", lambda: torch.ones(1).sum().backward())
attempt("backward after no_grad", no_grad_then_backward)
attempt("wrong gradient shape", lambda: (x * 2).backward(torch.ones(3)))
attempt("in-place on a leaf", inplace_leaf)
attempt("in-place on a view of a leaf", inplace_leaf_view)
attempt("in-place on an expanded tensor", inplace_expanded)
attempt("numpy of a tensor that requires grad", lambda: x.numpy())
attempt("numpy after detach", lambda: x.detach().numpy())
attempt("requires_grad of integers", lambda: torch.tensor([1, 2], requires_grad=True))
attempt("unused input", unused_grad)
attempt("unused input, allowed", unused_allowed)
attempt("requires_grad of a non-leaf", lambda: setattr(x * 2, "requires_grad", False))
attempt("deepcopy of a non-leaf", lambda: __import__("copy").deepcopy(x * 2))
attempt("grad of a wrong shape", lambda: setattr(x, "grad", torch.ones(2)))

print("--- shapes")
attempt("matmul", lambda: torch.ones(2, 3) @ torch.ones(2, 3))
attempt("broadcasting", lambda: torch.ones(2, 3) + torch.ones(2))
attempt("view", lambda: torch.ones(2, 3).view(4, 2))
attempt("view of a transposed tensor", lambda: torch.ones(2, 3).t().view(6))
attempt("reshape with two unknowns", lambda: torch.ones(2, 3).reshape(-1, -1))
attempt("cat", lambda: torch.cat([torch.ones(2, 3), torch.ones(2, 2)]))
attempt("stack", lambda: torch.stack([torch.ones(2), torch.ones(3)]))
attempt("squeeze too far", lambda: torch.ones(2).squeeze(2))
attempt("index out of range", lambda: torch.ones(3)[3])
attempt("too many indices", lambda: torch.ones(3)[0, 0])
attempt("index tensor out of range", lambda: torch.ones(3)[torch.tensor([0, 5])])
attempt("mask of the wrong size", lambda: torch.ones(3)[torch.tensor([True, False])])
attempt("item of many", lambda: torch.ones(2).item())
attempt("bool of many", lambda: bool(torch.ones(2)))
attempt("ragged lists", lambda: torch.tensor([[1, 2], [3]]))
attempt("strings", lambda: torch.tensor(["a"]))
attempt("unpacking a scalar", lambda: list(torch.tensor(1)))
attempt("len of a scalar", lambda: len(torch.tensor(1)))
attempt("expand", lambda: torch.ones(2, 3).expand(4, 3))
attempt("permute", lambda: torch.ones(2, 3).permute(0))
attempt("split sizes", lambda: torch.ones(5).split([2, 2]))
attempt("unknown dimension", lambda: torch.ones(2, 3).sum(dim=2))
attempt("negative dimension", lambda: torch.zeros(2, -1))
attempt("gather with floats", lambda: torch.ones(2, 2).gather(0, torch.zeros(1, 1)))
attempt("index with floats", lambda: torch.ones(2, 2)[torch.zeros(1)])
attempt("einsum", lambda: torch.einsum("ij,jk->ik", torch.ones(2, 3), torch.ones(2, 3)))
attempt("max of nothing", lambda: torch.zeros(0).max())
attempt("sum of nothing", lambda: torch.zeros(0).sum())

print("--- dtypes")
attempt("matmul of float and double", lambda: torch.ones(2, 2) @ torch.ones(2, 2).double())
attempt("mean of integers", lambda: torch.arange(3).mean())
attempt("in-place with a float result", lambda: torch.arange(3).add_(0.5))
attempt("int tensor /= 2", lambda: torch.arange(3).div_(2))
attempt("bitwise of floats", lambda: torch.ones(2) & torch.ones(2))
attempt("bool subtraction", lambda: torch.tensor([True]) - torch.tensor([False]))
attempt("negative of bool", lambda: -torch.tensor([True]))
attempt("dtype as a string", lambda: torch.zeros(2, dtype="float"))

print("--- layers and losses")
attempt("linear with wrong features", lambda: nn.Linear(3, 2)(torch.ones(1, 4)))
attempt("linear with integers", lambda: nn.Linear(3, 2)(torch.ones(1, 3).long()))
attempt("conv with wrong channels", lambda: nn.Conv2d(3, 1, 3)(torch.ones(1, 2, 5, 5)))
attempt("conv with a small image", lambda: nn.Conv2d(1, 1, 5)(torch.ones(1, 1, 3, 3)))
attempt("batch norm of one value", lambda: nn.BatchNorm1d(2)(torch.ones(1, 2)))
attempt("batch norm with wrong features", lambda: nn.BatchNorm1d(3)(torch.ones(2, 2)))
attempt("batch norm with wrong dimensions", lambda: nn.BatchNorm2d(3)(torch.ones(2, 3)))
attempt("layer norm", lambda: nn.LayerNorm(4)(torch.ones(2, 3)))
attempt("embedding of floats", lambda: nn.Embedding(3, 2)(torch.ones(2)))
attempt("embedding out of range", lambda: nn.Embedding(3, 2)(torch.tensor([3])))
attempt("dropout probability", lambda: nn.Dropout(1.5))
attempt("cross entropy with float targets", lambda: F.cross_entropy(torch.ones(2, 3), torch.ones(2)))
attempt("cross entropy with column targets", lambda: F.cross_entropy(torch.ones(2, 3), torch.ones(2, 1).long()))
attempt("cross entropy target out of range", lambda: F.cross_entropy(torch.ones(2, 3), torch.tensor([0, 3])))
attempt("cross entropy batch mismatch", lambda: F.cross_entropy(torch.ones(2, 3), torch.tensor([0, 1, 2])))
attempt("nll of integers", lambda: F.nll_loss(torch.ones(2, 3), torch.tensor([0.0, 1.0])))
attempt("bce shapes", lambda: F.binary_cross_entropy(torch.rand(3), torch.rand(3, 1)))
attempt("bce outside [0, 1]", lambda: F.binary_cross_entropy(torch.tensor([1.5]), torch.ones(1)).item())
attempt("bce with integer target", lambda: F.binary_cross_entropy(torch.tensor([0.5]), torch.tensor([1])))
attempt("mse shapes", lambda: F.mse_loss(torch.ones(3), torch.ones(4)))
attempt("lstm with wrong features", lambda: nn.LSTM(2, 3)(torch.ones(4, 1, 3)))
attempt("state dict of wrong shape", wrong_state)
attempt("subscripting a layer", subscript_module)
attempt("layer before super().__init__", setattr_before_init)
attempt("tensor in place of a parameter", param_not_parameter)
attempt("missing forward", not_implemented_forward)
attempt("missing attribute", lambda: nn.Linear(1, 1).wieght)
attempt("sequential out of range", lambda: nn.Sequential(nn.ReLU())[1])
attempt("sequential of functions", lambda: nn.Sequential(torch.relu))
attempt("multihead heads", lambda: nn.MultiheadAttention(5, 2))

print("--- optimizers and data")
attempt("negative learning rate", generator_reuse)
attempt("no parameters", lambda: torch.optim.SGD([], lr=0.1))
attempt("parameters given as a tensor", lambda: torch.optim.SGD(torch.zeros(1), lr=0.1))
attempt("non-leaf parameters", lambda: torch.optim.SGD([x * 2], lr=0.1))
attempt("a parameter twice", lambda: torch.optim.SGD([{"params": [x]}, {"params": [x]}], lr=0.1))
attempt("nesterov without momentum", lambda: torch.optim.SGD([x], lr=0.1, nesterov=True))
attempt("adam betas", lambda: torch.optim.Adam([x], betas=(1.0, 0.9)))
attempt("one-cycle without steps", lambda: torch.optim.lr_scheduler.OneCycleLR(torch.optim.SGD([x], lr=0.1), max_lr=1.0))
attempt("tensors of different lengths", lambda: torch.utils.data.TensorDataset(torch.ones(2), torch.ones(3)))
attempt("random_split sums", lambda: torch.utils.data.random_split(range(10), [3, 3]))
attempt("shuffle and sampler", lambda: torch.utils.data.DataLoader([1], shuffle=True, sampler=[0]))
attempt("batch of unequal tensors", lambda: next(iter(torch.utils.data.DataLoader([torch.ones(1), torch.ones(2)], batch_size=2))))
attempt("collate of None", lambda: next(iter(torch.utils.data.DataLoader([None], batch_size=1))))
attempt("multinomial without weights", lambda: torch.multinomial(torch.zeros(3), 1))
attempt("multinomial of too many", lambda: torch.multinomial(torch.ones(3), 4))
attempt("singular matrix", lambda: torch.linalg.inv(torch.zeros(2, 2)))
attempt("cholesky of an indefinite matrix", lambda: torch.linalg.cholesky(-torch.eye(2)))
attempt("manual_seed with text", lambda: torch.manual_seed("zero"))
attempt("arange of zero step", lambda: torch.arange(0, 3, 0))
attempt("loading a missing file", lambda: torch.load("does_not_exist.pt"))
