"""DenseNet for one-dimensional signals (binary events), after Huang et al. 2017."""
from collections import OrderedDict

import torch
import torch.nn as nn
import torch.nn.functional as F


class _DenseLayer(nn.Sequential):
    def __init__(self, num_input_features, growth_rate, bn_size, drop_rate):
        super(_DenseLayer, self).__init__()
        self.add_module('norm1', nn.BatchNorm1d(num_input_features)),
        self.add_module('relu1', nn.ReLU(inplace=True)),
        self.add_module('conv1', nn.Conv1d(num_input_features, bn_size * growth_rate, kernel_size=1, stride=1, bias=False)),
        self.add_module('norm2', nn.BatchNorm1d(bn_size * growth_rate)),
        self.add_module('relu2', nn.ReLU(inplace=True)),
        self.add_module('conv2', nn.Conv1d(bn_size * growth_rate, growth_rate, kernel_size=3, stride=1, padding=1, bias=False)),
        self.drop_rate = drop_rate

    def forward(self, x):
        new_features = super(_DenseLayer, self).forward(x)
        if self.drop_rate > 0:
            new_features = F.dropout(new_features, p=self.drop_rate, training=self.training)
        return torch.cat([x, new_features], 1)


class _DenseBlock(nn.Sequential):
    def __init__(self, num_layers, num_input_features, bn_size, growth_rate, drop_rate):
        super(_DenseBlock, self).__init__()
        for i in range(num_layers):
            layer = _DenseLayer(num_input_features + i * growth_rate, growth_rate, bn_size, drop_rate)
            self.add_module('denselayer%d' % (i + 1), layer)


class _Transition(nn.Sequential):
    def __init__(self, num_input_features, num_output_features):
        super(_Transition, self).__init__()
        self.add_module('norm', nn.BatchNorm1d(num_input_features))
        self.add_module('relu', nn.ReLU(inplace=True))
        self.add_module('conv', nn.Conv1d(num_input_features, num_output_features, kernel_size=1, stride=1, bias=False))
        self.add_module('pool', nn.AvgPool1d(kernel_size=2, stride=2))


class DenseNet1d(nn.Module):
    def __init__(self, growth_rate=12, block_config=(8, 8, 8, 8), num_init_features=24, bn_size=2, drop_rate=0.1):
        super(DenseNet1d, self).__init__()
        self.features = nn.Sequential(OrderedDict([
            ('conv0', nn.Conv1d(2, num_init_features, kernel_size=7, stride=2, padding=3, bias=False)),
            ('norm0', nn.BatchNorm1d(num_init_features)),
            ('relu0', nn.ReLU(inplace=True)),
            ('pool0', nn.MaxPool1d(kernel_size=3, stride=2, padding=1)),
        ]))
        num_features = num_init_features
        for i, num_layers in enumerate(block_config):
            block = _DenseBlock(num_layers, num_features, bn_size, growth_rate, drop_rate)
            self.features.add_module('denseblock%d' % (i + 1), block)
            num_features = num_features + num_layers * growth_rate
            if i != len(block_config) - 1:
                trans = _Transition(num_features, num_features // 2)
                self.features.add_module('transition%d' % (i + 1), trans)
                num_features = num_features // 2
        self.features.add_module('norm5', nn.BatchNorm1d(num_features))
        self.classifier = nn.Linear(num_features, 1)

        for m in self.modules():
            if isinstance(m, nn.Conv1d):
                nn.init.kaiming_normal_(m.weight.data)
            elif isinstance(m, nn.BatchNorm1d):
                m.weight.data.fill_(1)
                m.bias.data.zero_()
            elif isinstance(m, nn.Linear):
                m.bias.data.zero_()

    def forward(self, x):
        features = self.features(x)
        out = F.relu(features, inplace=True)
        out = F.adaptive_avg_pool1d(out, 1).view(features.size(0), -1)
        return torch.sigmoid(self.classifier(out)).squeeze(1)


torch.manual_seed(3)
model = DenseNet1d()
print(model.features.denseblock1.denselayer1)
print(model.features.transition1)
print('parameters:', sum(p.numel() for p in model.parameters()), 'tensors:', len(list(model.parameters())),
      'entries:', len(model.state_dict()))
print(list(model.state_dict().keys())[:12], list(model.state_dict())[-3:])

x = torch.randn(8, 2, 64)
y = (x[:, 0].mean(1) > 0).float()
print(y)
x[y == 1, 1] += torch.sin(torch.linspace(0, 12.0, 64))

criterion = nn.BCELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for step in range(3):
    model.train()
    optimizer.zero_grad()
    out = model(x)
    loss = criterion(out, y)
    loss.backward()
    biggest = max(p.grad.abs().max().item() for p in model.parameters())
    torch.nn.utils.clip_grad_value_(model.parameters(), 0.05)
    clipped = max(p.grad.abs().max().item() for p in model.parameters())
    optimizer.step()
    print('step %d loss %.4f max |grad| %.3f -> %.3f' % (step, loss.item(), biggest, clipped))
    print('   out', [round(o, 2) for o in out.tolist()])

print('%.4f' % model.features.norm0.running_mean.abs().mean().item(), model.features.norm0.num_batches_tracked)
print('first conv grad %.4f' % model.features.conv0.weight.grad.norm().item())
print('last bias grad', model.classifier.bias.grad)
model.eval()
with torch.no_grad():
    out = model(x)
print(out.shape, out.requires_grad, 'accuracy', ((out > 0.5).float() == y).float().mean().item() >= 0)
