import math
import torch

torch.manual_seed(0)
print(torch.tensor(1), torch.tensor(1.0), torch.tensor(-2.5), torch.tensor(True), torch.tensor(3.14159265), torch.tensor(1e10), torch.tensor(1e-10), torch.tensor(123456789.0), torch.tensor(float("nan")), torch.tensor(-math.inf))
print(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.5]), torch.tensor([1000.0, 0.001]), torch.tensor([1e5, 1e-5]), torch.tensor([1e8, 1.0]), torch.tensor([0.0, -0.0]), torch.tensor([1e-3, 1.0]), torch.tensor([99999.0, 1.5]), torch.tensor([100000000.0]), sep="\n")
print(torch.tensor([1.0, float("nan"), float("inf"), -float("inf")]), torch.tensor([0.5, float("nan")]), torch.tensor([float("nan")]), sep="\n")
print(torch.arange(20), torch.arange(1001), torch.arange(100).reshape(10, 10), torch.arange(-5, 5), torch.arange(30) * 1000, sep="\n")
print(torch.zeros(0), torch.zeros(2, 0), torch.zeros(0, 3, dtype=torch.long), torch.zeros(1, 1, 1, 1), torch.empty(0, dtype=torch.bool), sep="\n")
print(torch.rand(2, 2, 2), torch.randn(3, 12), torch.randn(40, 40), torch.randn(2, 3, 4, 5)[0, 0], sep="\n")
print(torch.rand(3).double(), torch.rand(3).half(), torch.rand(3).bfloat16(), torch.tensor([1, 2], dtype=torch.int8), torch.tensor([1, 2], dtype=torch.uint8), torch.tensor([True, False]), sep="\n")
w = torch.rand(2, 3, requires_grad=True)
print(w, w * 2, w.sum(), w.T, w.detach(), w.grad, w[0], (w.double() * 2), w.mean(dim=0, keepdim=True), torch.nn.Parameter(torch.zeros(2)), sep="\n")
print((w @ torch.rand(3, 12)).exp(), (torch.rand(60, 60) @ torch.rand(60, 60)).shape, torch.full((2, 20), 1 / 3, requires_grad=True) + 0, sep="\n")
print(torch.Size([2, 3]), w.shape, w.size(), w.size(0), list(w.shape), tuple(w.shape), w.dtype, w.device, w.layout, torch.Size([2]) + (3,), torch.Size([4, 5]).numel())
print(f"{torch.tensor(3.14159):.3f} {torch.tensor(7)} {torch.tensor(7):4d} {torch.tensor([1.5, 2])} {torch.tensor(2.5)} {torch.tensor(0.1).item()} {torch.tensor(0.1, dtype=torch.float64).item()} {torch.tensor(1e-5):.2e}")
print("%d %.2f %s" % (torch.tensor(3), torch.tensor(2.5), torch.tensor([1])), "{:>8.3f}|{:<6}|{}".format(torch.tensor(1.23456), torch.tensor(5), torch.tensor([True])))
print(str(torch.tensor([1.5])), repr(torch.tensor([1.5])), [torch.tensor(1), torch.tensor([2.0])], {"a": torch.tensor(1.0)}, (torch.tensor([[1]]),))
print(torch.float32, torch.device("cpu"), repr(torch.device("cpu")), torch.strided, torch.get_default_dtype(), type(torch.tensor(1)), torch.long)
print(torch.ones(2).max(dim=0), torch.ones(2, 2).sort(), torch.ones(3).topk(2), torch.tensor([[1, 2]]).min(1), sep="\n")

torch.set_printoptions(precision=2)
print(torch.rand(3), torch.tensor([1e-6, 1.0]))
torch.set_printoptions(threshold=5, edgeitems=2)
print(torch.arange(10), torch.rand(6, 6))
torch.set_printoptions(profile="full")
print(torch.arange(1100).shape, torch.rand(2))
torch.set_printoptions(sci_mode=True, profile="default")
print(torch.tensor([1.0, 2.5]))
torch.set_printoptions(sci_mode=False, precision=8, linewidth=60)
print(torch.tensor([1e-7, 1.0, 1e7]), torch.rand(10, dtype=torch.float64))
torch.set_printoptions(profile="default")
torch.set_printoptions(sci_mode=None)
print(torch.rand(2))

from torch import nn
layers = [nn.Linear(2, 3), nn.Linear(2, 3, bias=False), nn.Conv2d(1, 2, 3, stride=2, padding=1, dilation=2, groups=1, bias=False), nn.Conv1d(2, 4, 3, padding="same", padding_mode="circular"), nn.ConvTranspose2d(4, 2, 2, 2), nn.MaxPool2d(2), nn.AvgPool2d(3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.AdaptiveMaxPool1d(2), nn.BatchNorm2d(3, affine=False), nn.LayerNorm([2, 3]), nn.GroupNorm(2, 4), nn.InstanceNorm2d(3), nn.Dropout(0.3), nn.Dropout2d(), nn.ReLU(), nn.LeakyReLU(), nn.PReLU(), nn.ELU(0.5), nn.SELU(), nn.GELU("tanh"), nn.SiLU(), nn.Softplus(), nn.Softmax(dim=1), nn.LogSoftmax(1), nn.Hardtanh(), nn.Sigmoid(), nn.Tanh(), nn.Identity(), nn.Flatten(), nn.Unflatten(1, (2, 2)), nn.Embedding(5, 2), nn.LSTM(2, 3, 2, bidirectional=True), nn.GRU(2, 3, batch_first=True, dropout=0.0), nn.LSTMCell(2, 3), nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), nn.PixelShuffle(2), nn.ZeroPad2d(1), nn.ReflectionPad1d((1, 2)), nn.Bilinear(2, 2, 1), nn.CosineSimilarity(), nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), nn.MSELoss(), nn.CrossEntropyLoss(), nn.BCELoss(), nn.SmoothL1Loss(), nn.KLDivLoss(reduction="batchmean"), nn.NLLLoss(), nn.TripletMarginLoss()]
for layer in layers:
    print(layer)


class Outer(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Sequential(nn.Linear(1, 2), nn.Sequential())
        self.same = nn.ModuleList([nn.Linear(1, 1)] * 2 + [nn.ReLU()])
        self.empty = nn.ModuleList()
        self.none = None
        self.d = nn.ModuleDict({"x": nn.Tanh()})
        self.p = nn.ParameterList([torch.zeros(1)])
        self.pd = nn.ParameterDict({"k": torch.zeros(2, 2)})

    def extra_repr(self):
        return "line one, line two"


print(Outer(), nn.Sequential(), nn.Module(), sep="\n")
