import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.optim.lr_scheduler import StepLR


class LeNet(nn.Module):

    def __init__(self, num_classes=4):
        super(LeNet, self).__init__()
        # 1 input image channel, 6 output channels, 5x5 square convolution kernel
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.bn1 = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 12, 3, stride=1)
        self.bn2 = nn.BatchNorm2d(12, momentum=0.05)
        self.drop2d = nn.Dropout2d(0.2)
        self.fc1 = nn.Linear(12 * 5 * 5, 32)
        self.dropout = nn.Dropout(p=0.25)
        self.fc2 = nn.Linear(32, num_classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), (2, 2))
        x = self.drop2d(F.relu(self.bn2(self.conv2(x))))
        # If the size is a square you can only specify a single number
        x = F.max_pool2d(x, 2)
        x = x.view(-1, self.num_flat_features(x))
        x = self.dropout(F.relu(self.fc1(x)))
        return self.fc2(x)

    def num_flat_features(self, x):
        size = x.size()[1:]  # all dimensions except the batch dimension
        num_features = 1
        for s in size:
            num_features *= s
        return num_features


torch.manual_seed(2024)
net = LeNet()
print(net)
params = list(net.parameters())
print(len(params))
print(params[0].size())  # conv1's .weight

N = 24
labels = torch.arange(N) % 4
images = 0.3 * torch.randn(N, 1, 24, 24)
for i, c in enumerate(labels):
    r, s = divmod(c.item(), 2)
    images[i, 0, 12 * r:12 * r + 12, 12 * s:12 * s + 12] += 1.0
print(images.mean(), images.std(), labels)

criterion = nn.CrossEntropyLoss()
optimizer = optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True)
scheduler = StepLR(optimizer, step_size=2, gamma=0.5)

for epoch in range(4):
    net.train()
    running_loss = 0.0
    for i in range(0, N, 8):
        inputs, targets = images[i:i + 8], labels[i:i + 8]
        optimizer.zero_grad()
        outputs = net(inputs)
        loss = criterion(outputs, targets)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
    print('[%d] loss: %.4f lr %.4f' % (epoch + 1, running_loss / 3, scheduler.get_last_lr()[0]))
    scheduler.step()
    net.eval()
    with torch.no_grad():
        outputs = net(images)
        _, predicted = torch.max(outputs.data, 1)
        correct = (predicted == labels).sum().item()
    print('    accuracy: %d %%, eval loss %.4f' % (100 * correct / N, criterion(outputs, labels)))

print(predicted)
print(net.bn1.running_mean, net.bn1.running_var, net.bn2.num_batches_tracked, sep='\n')
print('conv1.weight.grad', net.conv1.weight.grad[0, 0])
print('fc2.bias.grad', net.fc2.bias.grad)
for k, v in net.state_dict().items():
    print(f'{k:24} {tuple(v.shape)!s:16} {v.dtype} {v.float().mean():.4f}')
