import torch
import torch.nn as nn

class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 4, 3, stride=2, padding=1),   # 4, 6, 6
            nn.ReLU(True),
            nn.Conv2d(4, 8, 3, stride=2, padding=1),   # 8, 3, 3
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(72, 3),
        )
        self.decoder = nn.Sequential(
            nn.Linear(3, 72),
            nn.Unflatten(1, (8, 3, 3)),
            nn.ReLU(),
            nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1),
            nn.ELU(),
            nn.Upsample(scale_factor=2, mode='nearest'),
            nn.Conv2d(4, 1, 3, padding=1),
            nn.Sigmoid(),
        )

    def encode(self, x):
        return self.encoder(x)

    def forward(self, x):
        return self.decoder(self.encode(x))

torch.manual_seed(0)
model = Autoencoder()
print(model)
print('total', sum([p.nelement() for p in model.parameters()]))

# bars, horizontal and vertical
imgs = torch.zeros(24, 1, 12, 12)
for k in range(12):
    imgs[k, :, k, :] = 1.
    imgs[12 + k, :, :, k] = 1.

distance = nn.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3, weight_decay=1e-5)
scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.95)

for epoch in range(12):
    for batch in imgs.split(8):
        output = model(batch)
        loss = distance(output, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    scheduler.step()
    print('epoch [{}/{}], loss:{:.4f}, lr:{:.6f}'.format(epoch + 1, 12, loss.item(), optimizer.param_groups[0]['lr']))

with torch.no_grad():
    z = model.encode(imgs)
    print(z.size(), z.mean(0), z.std(0), z.min(), z.max())
    print(model.decoder(z[:1])[0, 0, :3, :6])
    err = ((model(imgs) - imgs) ** 2).flatten(1).mean(1)
    print('worst', err.argmax().item(), 'best', err.argmin().item())
x = imgs[:2].clone().requires_grad_()
model(x).sum().backward()
print(x.grad.shape, x.grad.abs().sum(dim=(1, 2, 3)))
print(model.decoder[3].weight.grad.abs().mean(), model.encoder[0].bias.grad)
