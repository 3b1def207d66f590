from __future__ import print_function
import torch
import torch.utils.data
from torch import nn, optim
from torch.nn import functional as F

torch.manual_seed(1)
D = 16


class VAE(nn.Module):
    def __init__(self):
        super(VAE, self).__init__()

        self.fc1 = nn.Linear(D, 32)
        self.fc21 = nn.Linear(32, 2)
        self.fc22 = nn.Linear(32, 2)
        self.fc3 = nn.Linear(2, 32)
        self.fc4 = nn.Linear(32, D)

    def encode(self, x):
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5*logvar)
        eps = torch.randn_like(std)
        return mu + eps*std

    def decode(self, z):
        h3 = F.relu(self.fc3(z))
        return torch.sigmoid(self.fc4(h3))

    def forward(self, x):
        mu, logvar = self.encode(x.view(-1, D))
        z = self.reparameterize(mu, logvar)
        return self.decode(z), mu, logvar


model = VAE()
optimizer = optim.Adam(model.parameters(), lr=1e-2)

# Reconstruction + KL divergence losses summed over all elements and batch
def loss_function(recon_x, x, mu, logvar):
    BCE = F.binary_cross_entropy(recon_x, x.view(-1, D), reduction='sum')
    # 0.5 * sum(1 + log(sigma^2) - mu^2 - sigma^2)
    KLD = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return BCE + KLD, BCE, KLD


prototypes = torch.bernoulli(torch.full((3, D), 0.5))
print(prototypes)
which = torch.randint(3, (128,))
flips = (torch.rand(128, D) < 0.05).float()
data = (prototypes[which] - flips).abs().view(128, 1, 4, 4)
loader = torch.utils.data.DataLoader(data, batch_size=32, shuffle=True)

for epoch in range(1, 7):
    model.train()
    train_loss = 0
    for batch_idx, batch in enumerate(loader):
        optimizer.zero_grad()
        recon_batch, mu, logvar = model(batch)
        loss, bce, kld = loss_function(recon_batch, batch, mu, logvar)
        loss.backward()
        train_loss += loss.item()
        optimizer.step()
        if batch_idx == 0:
            print('Train Epoch: {} [{:.0f}%]\tLoss: {:.4f} BCE {:.4f} KLD {:.4f}'.format(
                epoch, 100. * batch_idx / len(loader), loss.item() / len(batch), bce.item() / len(batch), kld / len(batch)))
    print('====> Epoch: {} Average loss: {:.4f}'.format(epoch, train_loss / len(loader.dataset)))
print(loss, bce, kld, sep='\n')

model.eval()
with torch.no_grad():
    sample = torch.randn(4, 2)
    print(model.decode(sample))
    mu, logvar = model.encode(data.view(-1, D))
    for k in range(3):
        print(k, mu[which == k].mean(dim=0), logvar[which == k].exp().sqrt().mean(0))

# manual KL against the closed form of two Gaussians, by Monte Carlo
torch.manual_seed(0)
m, s = torch.tensor(0.5), torch.tensor(0.8)
z = m + s * torch.randn(20000)
logq = -0.5 * ((z - m) / s) ** 2 - s.log()
logp = -0.5 * z ** 2
print((logq - logp).mean(), 0.5 * (s ** 2 + m ** 2 - 1) - s.log())
