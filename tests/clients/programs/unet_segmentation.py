""" Parts of the U-Net model """
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor


class DoubleConv(nn.Module):
    """(convolution => [BN] => ReLU) * 2"""

    def __init__(self, in_channels, out_channels, mid_channels=None):
        super().__init__()
        if not mid_channels:
            mid_channels = out_channels
        self.double_conv = nn.Sequential(
            nn.Conv2d(in_channels, mid_channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(mid_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(mid_channels, out_channels, kernel_size=3, padding=1, bias=False),
            nn.GroupNorm(2, out_channels),
            nn.ReLU(inplace=True)
        )

    def forward(self, x):
        return self.double_conv(x)


class Down(nn.Module):
    """Downscaling with maxpool then double conv"""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(in_channels, out_channels))

    def forward(self, x):
        return self.maxpool_conv(x)


class Up(nn.Module):
    """Upscaling then double conv"""

    def __init__(self, in_channels, out_channels, bilinear=True):
        super().__init__()
        if bilinear:
            self.up = nn.Upsample(scale_factor=2, mode='bilinear', align_corners=True)
            self.conv = DoubleConv(in_channels + out_channels, out_channels, in_channels // 2)
        else:
            self.up = nn.ConvTranspose2d(in_channels, in_channels // 2, kernel_size=2, stride=2)
            self.conv = DoubleConv(in_channels // 2 + out_channels, out_channels)

    def forward(self, x1, x2):
        x1 = self.up(x1)
        # input is CHW
        diffY = x2.size()[2] - x1.size()[2]
        diffX = x2.size()[3] - x1.size()[3]
        x1 = F.pad(x1, [diffX // 2, diffX - diffX // 2, diffY // 2, diffY - diffY // 2])
        return self.conv(torch.cat([x2, x1], dim=1))


class UNet(nn.Module):
    def __init__(self, n_channels, n_classes):
        super().__init__()
        self.inc = DoubleConv(n_channels, 4)
        self.down1 = Down(4, 8)
        self.down2 = Down(8, 8)
        self.up1 = Up(8, 8, bilinear=True)
        self.up2 = Up(8, 4, bilinear=False)
        self.outc = nn.Conv2d(4, n_classes, kernel_size=1)

    def forward(self, x):
        x1 = self.inc(x)
        x2 = self.down1(x1)
        x3 = self.down2(x2)
        return self.outc(self.up2(self.up1(x3, x2), x1))


def dice_coeff(input: Tensor, target: Tensor, epsilon: float = 1e-6):
    inter = 2 * (input * target).sum(dim=(-1, -2))
    sets_sum = input.sum(dim=(-1, -2)) + target.sum(dim=(-1, -2))
    sets_sum = torch.where(sets_sum == 0, inter, sets_sum)
    return ((inter + epsilon) / (sets_sum + epsilon)).mean()


def dice_loss(input: Tensor, target: Tensor):
    return 1 - dice_coeff(input.flatten(0, 1), target.flatten(0, 1))


torch.manual_seed(0)
model = UNet(1, 3)
print(model.up1, model.up2.up)
print(sum(p.numel() for p in model.parameters() if p.requires_grad))

# discs and squares on a 13 x 14 canvas
yy, xx = torch.meshgrid(torch.arange(13.), torch.arange(14.), indexing='ij')
images, masks = [], []
for i in range(6):
    mask = torch.zeros(13, 14, dtype=torch.long)
    mask[((yy - 3 - i % 3) ** 2 + (xx - 4) ** 2) < 7] = 1
    mask[8:12, 7 + i % 2:11 + i % 2] = 2
    masks.append(mask)
    images.append(mask.float() * 0.5 + 0.2 * torch.randn(13, 14))
images, masks = torch.stack(images).unsqueeze(1), torch.stack(masks)
print(images.shape, masks.unique(return_counts=True), masks[0, 1:5])

optimizer = torch.optim.RMSprop(model.parameters(), lr=5e-3, weight_decay=1e-8, momentum=0.9)
scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, 'max', patience=0, factor=0.5)
criterion = nn.CrossEntropyLoss(weight=torch.tensor([0.5, 1.0, 1.5]))
for epoch in range(5):
    model.train()
    pred = model(images)
    loss = criterion(pred, masks)
    loss = loss + dice_loss(F.softmax(pred, dim=1).float(), F.one_hot(masks, 3).permute(0, 3, 1, 2).float())
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    model.eval()
    with torch.no_grad():
        out = model(images).argmax(dim=1)
        score = dice_coeff(F.one_hot(out, 3).permute(0, 3, 1, 2)[:, 1:].float(), F.one_hot(masks, 3).permute(0, 3, 1, 2)[:, 1:].float())
    scheduler.step(score)
    print(f'epoch {epoch} loss {loss.item():.3f} lr {optimizer.param_groups[0]["lr"]}')
print(pred.shape, loss.grad_fn is not None, score.shape)

z = torch.arange(8.0).view(1, 2, 2, 2).requires_grad_()
for m in (nn.Upsample(scale_factor=2), nn.Upsample(size=(3, 3), mode='bilinear', align_corners=True), nn.Upsample(scale_factor=2, mode='bilinear'), nn.ConstantPad2d(1, 9.), nn.ReflectionPad2d(1), nn.ReplicationPad2d((1, 0, 0, 1)), nn.PixelUnshuffle(2), nn.InstanceNorm2d(2), nn.AdaptiveMaxPool2d(1), nn.LPPool2d(2, 2), nn.Softmax2d(), nn.ChannelShuffle(2), nn.Unfold((2, 2))):
    out = m(z)
    z.grad = None
    (out * torch.linspace(0, 1, out.numel()).pow(2).view_as(out)).sum().backward()
    print(m, tuple(out.shape), out.detach()[0, 0], z.grad[0, 0], sep="\n")
