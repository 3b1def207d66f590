"""Denoising diffusion on two moons. After Ho et al. 2020."""
import math

import numpy as np
import torch
from torch import nn
import torch.nn.functional as F

torch.manual_seed(0)
T = 20


def two_moons(n, rng):
    t = rng.uniform(0, np.pi, n)
    which = rng.randint(0, 2, n)
    x = np.where(which, 1 - np.cos(t), np.cos(t)) + rng.normal(0, 0.05, n)
    y = np.where(which, 0.5 - np.sin(t), np.sin(t)) + rng.normal(0, 0.05, n)
    return torch.tensor(np.stack([x, y], axis=1), dtype=torch.float32)


def cosine_beta_schedule(timesteps, s=0.008):
    x = torch.linspace(0, timesteps, timesteps + 1)
    alphas_cumprod = torch.cos(((x / timesteps) + s) / (1 + s) * torch.pi * 0.5) ** 2
    alphas_cumprod = alphas_cumprod / alphas_cumprod[0]
    betas = 1 - (alphas_cumprod[1:] / alphas_cumprod[:-1])
    return torch.clip(betas, 0.0001, 0.9999)


def extract(a, t, x_shape):
    batch_size = t.shape[0]
    out = a.gather(-1, t.cpu())
    return out.reshape(batch_size, *((1,) * (len(x_shape) - 1))).to(t.device)


class SinusoidalPositionEmbeddings(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, time):
        half_dim = self.dim // 2
        embeddings = math.log(10000) / (half_dim - 1)
        embeddings = torch.exp(torch.arange(half_dim, device=time.device) * -embeddings)
        embeddings = time[:, None] * embeddings[None, :]
        return torch.cat((embeddings.sin(), embeddings.cos()), dim=-1)


class Denoiser(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.time = nn.Sequential(SinusoidalPositionEmbeddings(8), nn.Linear(8, width), nn.SiLU())
        self.inp = nn.Linear(2, width)
        self.mid = nn.ModuleList([nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU()) for _ in range(2)])
        self.out = nn.Linear(width, 2)
        nn.init.zeros_(self.out.weight)

    def forward(self, x, t):
        h = self.inp(x) + self.time(t)
        for m in self.mid:
            h = h + m(h)
        return self.out(h)


betas = cosine_beta_schedule(T)
alphas = 1. - betas
alphas_cumprod = torch.cumprod(alphas, axis=0)
alphas_cumprod_prev = F.pad(alphas_cumprod[:-1], (1, 0), value=1.0)
sqrt_alphas_cumprod = torch.sqrt(alphas_cumprod)
sqrt_one_minus = torch.sqrt(1. - alphas_cumprod)
posterior_variance = betas * (1. - alphas_cumprod_prev) / (1. - alphas_cumprod)
print(betas, alphas_cumprod[:-1], posterior_variance, sep="\n")


def q_sample(x_start, t, noise):
    return extract(sqrt_alphas_cumprod, t, x_start.shape) * x_start + extract(sqrt_one_minus, t, x_start.shape) * noise


rng = np.random.RandomState(0)
model = Denoiser()
print(model)
ema = {k: v.clone() for k, v in model.state_dict().items()}
opt = torch.optim.Adam(model.parameters(), lr=3e-3)
for step in range(40):
    x = two_moons(64, rng)
    t = torch.randint(0, T, (64,)).long()
    noise = torch.randn_like(x)
    loss = F.smooth_l1_loss(model(q_sample(x, t, noise), t), noise)
    opt.zero_grad()
    loss.backward()
    opt.step()
    with torch.no_grad():
        for k, v in model.state_dict().items():
            ema[k].mul_(0.9).add_(v, alpha=0.1)
    if step % 8 == 0:
        print("Loss:", round(loss.item(), 5))
print(loss, t[:10], ema["out.bias"])


@torch.no_grad()
def p_sample(model, x, t, t_index):
    betas_t = extract(betas, t, x.shape)
    mean = extract(torch.sqrt(1.0 / alphas), t, x.shape) * (x - betas_t * model(x, t) / extract(sqrt_one_minus, t, x.shape))
    if t_index == 0:
        return mean
    return mean + torch.sqrt(extract(posterior_variance, t, x.shape)) * torch.randn_like(x)


model.load_state_dict(ema)
model.eval()
img = torch.randn(6, 2)
for i in reversed(range(0, T)):
    img = p_sample(model, img, torch.full((6,), i, dtype=torch.long), i)
    img.clamp_(-5, 5)
print(img, img.requires_grad)
