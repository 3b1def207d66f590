#!/usr/bin/env python
# Generative adversarial network on a 1-D Gaussian
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.autograd import Variable

torch.manual_seed(11)
np.random.seed(11)

data_mean, data_stddev = 4, 1.25
g_input_size, g_hidden_size = 1, 5
d_input_size, d_hidden_size = 20, 10
minibatch_size = d_input_size


def get_distribution_sampler(mu, sigma):
    return lambda n: torch.Tensor(np.random.normal(mu, sigma, (1, n)))


def get_generator_input_sampler():
    return lambda m, n: torch.rand(m, n)


class Generator(nn.Module):
    def __init__(self, input_size, hidden_size, output_size, f):
        super(Generator, self).__init__()
        self.map1 = nn.Linear(input_size, hidden_size)
        self.map2 = nn.Linear(hidden_size, hidden_size)
        self.map3 = nn.Linear(hidden_size, output_size)
        self.f = f

    def forward(self, x):
        x = self.map1(x)
        x = self.f(x)
        x = self.map2(x)
        x = self.f(x)
        x = self.map3(x)
        return x


class Discriminator(nn.Module):
    def __init__(self, input_size, hidden_size, output_size, f):
        super(Discriminator, self).__init__()
        self.map1 = nn.Linear(input_size, hidden_size)
        self.map2 = nn.Linear(hidden_size, hidden_size)
        self.map3 = nn.Linear(hidden_size, output_size)
        self.f = f

    def forward(self, x):
        x = self.f(self.map1(x))
        x = self.f(self.map2(x))
        return self.f(self.map3(x))


def extract(v):
    return v.data.view(-1).tolist()


def stats(d):
    return [round(float(np.mean(d)), 4), round(float(np.std(d)), 4)]


d_sampler = get_distribution_sampler(data_mean, data_stddev)
gi_sampler = get_generator_input_sampler()
G = Generator(g_input_size, g_hidden_size, 1, torch.tanh)
D = Discriminator(d_input_size, d_hidden_size, 1, torch.sigmoid)
criterion = nn.BCELoss()
d_optimizer = optim.SGD(D.parameters(), lr=1e-2, momentum=0.9)
g_optimizer = optim.SGD(G.parameters(), lr=1e-2, momentum=0.9)

for epoch in range(12):
    for d_index in range(4):
        # 1. Train D on real+fake
        D.zero_grad()
        d_real_data = Variable(d_sampler(d_input_size))
        d_real_decision = D(d_real_data)
        d_real_error = criterion(d_real_decision, Variable(torch.ones([1, 1])))
        d_real_error.backward()  # compute/store gradients, but don't change params

        d_gen_input = Variable(gi_sampler(minibatch_size, g_input_size))
        d_fake_data = G(d_gen_input).detach()  # avoid training G on these labels
        d_fake_decision = D(d_fake_data.t())
        d_fake_error = criterion(d_fake_decision, Variable(torch.zeros([1, 1])))
        d_fake_error.backward()
        d_optimizer.step()
    assert all(p.grad is None or epoch > 0 for p in G.parameters())

    for g_index in range(4):
        G.zero_grad()
        gen_input = Variable(gi_sampler(minibatch_size, g_input_size))
        g_fake_data = G(gen_input)
        dg_fake_decision = D(g_fake_data.t())
        g_error = criterion(dg_fake_decision, Variable(torch.ones([1, 1])))
        g_error.backward()
        g_optimizer.step()

    if epoch % 3 == 2:
        print("Epoch %s: D (%.5f real_err, %.5f fake_err) G (%.5f err)" % (
            epoch, d_real_error.item(), d_fake_error.item(), g_error.item()))
        print("   real dist", stats(extract(d_real_data)), " fake dist", stats(extract(d_fake_data)))

print(g_fake_data.t(), d_fake_data.requires_grad, d_fake_data.grad_fn)
for n, p in G.named_parameters():
    print(n, p.grad.abs().sum())
print([p.grad.norm().item() > 0 for p in D.parameters()])

# the same game with logits and label smoothing
netD = nn.Sequential(nn.Linear(1, 8), nn.LeakyReLU(0.2, inplace=True), nn.Linear(8, 1))
netG = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(True), nn.Linear(8, 1))
bce = nn.BCEWithLogitsLoss()
optD = optim.Adam(netD.parameters(), lr=2e-3, betas=(0.5, 0.999))
optG = optim.Adam(netG.parameters(), lr=2e-3, betas=(0.5, 0.999))
for i in range(10):
    real = torch.randn(16, 1) * 1.25 + 4
    label = torch.full((16, 1), 0.9)
    noise = torch.randn(16, 2)
    fake = netG(noise)
    optD.zero_grad()
    errD = bce(netD(real), label) + bce(netD(fake.detach()), torch.zeros_like(label))
    errD.backward()
    optD.step()
    optG.zero_grad()
    errG = F.softplus(-netD(fake)).mean()
    errG.backward()
    optG.step()
print(errD, errG)
print(fake.mean(), fake.std())
