import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.parameter import Parameter
from torch.nn.modules.module import Module


class GraphConvolution(Module):
    """
    Simple GCN layer, similar to https://arxiv.org/abs/1609.02907
    """

    def __init__(self, in_features, out_features, bias=True):
        super(GraphConvolution, self).__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(torch.FloatTensor(in_features, out_features))
        if bias:
            self.bias = Parameter(torch.FloatTensor(out_features))
        else:
            self.register_parameter('bias', None)
        self.reset_parameters()

    def reset_parameters(self):
        stdv = 1. / np.sqrt(self.weight.size(1))
        self.weight.data.uniform_(-stdv, stdv)
        if self.bias is not None:
            self.bias.data.uniform_(-stdv, stdv)

    def forward(self, input, adj):
        support = torch.mm(input, self.weight)
        output = torch.matmul(adj, support)
        if self.bias is not None:
            return output + self.bias
        else:
            return output

    def __repr__(self):
        return self.__class__.__name__ + ' (' + str(self.in_features) + ' -> ' + str(self.out_features) + ')'


class GAT(nn.Module):
    def __init__(self, nfeat, nhid, alpha=0.2):
        super().__init__()
        self.W = nn.Parameter(torch.empty(size=(nfeat, nhid)))
        nn.init.xavier_uniform_(self.W.data, gain=1.414)
        self.a = nn.Parameter(torch.empty(size=(2 * nhid, 1)))
        nn.init.xavier_uniform_(self.a.data, gain=1.414)
        self.leakyrelu = nn.LeakyReLU(alpha)
        self.nhid = nhid

    def forward(self, h, adj):
        Wh = torch.mm(h, self.W)
        e = torch.matmul(Wh, self.a[:self.nhid, :]) + torch.matmul(Wh, self.a[self.nhid:, :]).T
        zero_vec = -9e15 * torch.ones_like(e)
        attention = torch.where(adj > 0, self.leakyrelu(e), zero_vec)
        attention = F.softmax(attention, dim=1)
        return F.elu(torch.matmul(attention, Wh)), attention


class GCN(nn.Module):
    def __init__(self, nfeat, nhid, nclass, dropout):
        super(GCN, self).__init__()
        self.gc1 = GraphConvolution(nfeat, nhid)
        self.gc2 = GraphConvolution(nhid, nclass)
        self.dropout = dropout

    def forward(self, x, adj):
        x = F.relu(self.gc1(x, adj))
        x = F.dropout(x, self.dropout, training=self.training)
        x = self.gc2(x, adj)
        return F.log_softmax(x, dim=1)


def accuracy(output, labels):
    preds = output.max(1)[1].type_as(labels)
    correct = preds.eq(labels).double()
    correct = correct.sum()
    return correct / len(labels)


np.random.seed(42)
torch.manual_seed(42)
n = 18
labels = torch.LongTensor(np.repeat([0, 1, 2], 6))
adj = np.random.rand(n, n) < np.where(labels[:, None].numpy() == labels[None].numpy(), 0.6, 0.05)
adj = np.maximum(adj, adj.T) | np.eye(n, dtype=bool)
edges = torch.from_numpy(adj).nonzero().t()
print(edges.shape, edges[:, :8])
A = torch.FloatTensor(adj.astype(np.float32))
deg = A.sum(1)
adj_norm = torch.diag(deg.pow(-0.5)) @ A @ torch.diag(deg.pow(-0.5))
print(deg, adj_norm[0, :6], (adj_norm - adj_norm.t()).abs().max().item() < 1e-6)
features = torch.eye(n)[:, :n] + 0.1 * torch.randn(n, n)
idx_train = torch.arange(0, n, 3)
idx_test = torch.tensor([i for i in range(n) if i % 3])

model = GCN(nfeat=n, nhid=8, nclass=3, dropout=0.3)
print(model)
optimizer = torch.optim.Adam(model.parameters(), lr=0.05, weight_decay=5e-4)
for epoch in range(15):
    model.train()
    optimizer.zero_grad()
    output = model(features, adj_norm)
    loss_train = F.nll_loss(output[idx_train], labels[idx_train])
    acc_train = accuracy(output[idx_train], labels[idx_train])
    loss_train.backward()
    optimizer.step()
    if epoch % 3 == 2:
        model.eval()
        output = model(features, adj_norm)
        print('Epoch: {:04d}'.format(epoch + 1), 'loss_train: {:.4f}'.format(loss_train.item()), 'acc_train: {:.4f}'.format(acc_train.item()),
              'loss_test: {:.4f}'.format(F.nll_loss(output[idx_test], labels[idx_test]).item()))
print(acc_train, output[:2], loss_train)

# message passing with scatter: the same product
src, dst = edges
x = torch.randn(n, 2, requires_grad=True)
out = torch.zeros(n, 2).index_add(0, dst, x[src])
print(torch.allclose(out, A @ x, atol=1e-5), out.grad_fn)
mean = torch.zeros(n, 2).scatter_reduce(0, dst[:, None].expand(-1, 2), x[src], reduce="mean", include_self=False)
print(torch.allclose(mean, (A @ x) / deg[:, None], atol=1e-5))
(out ** 2).sum().backward()
print(x.grad[:3])

gat = GAT(n, 4)
h, att = gat(features, A)
print(h[:2], att[0], sep="\n")
h.pow(2).sum().backward()
print(gat.a.grad.T)

# PageRank and connected components by iteration
P = A / A.sum(0, keepdim=True)
r = torch.full((n,), 1 / n)
for _ in range(30):
    r = 0.85 * P @ r + 0.15 / n
print(r, r.sum())
lap = torch.diag(deg) - A
evals = torch.linalg.eigvalsh(lap)
print(evals[1:5], (evals < 1e-4).sum())
