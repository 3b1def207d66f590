"""Linear and softmax regression from scratch, in the way textbooks write them."""

import random

import torch

torch.manual_seed(0)
random.seed(0)


class Accumulator:
    def __init__(self, n):
        self.data = [0.0] * n

    def add(self, *args):
        self.data = [a + float(b) for a, b in zip(self.data, args)]

    def __getitem__(self, i):
        return self.data[i]


def synthetic_data(w, b, count):
    X = torch.normal(0, 1, (count, len(w)))
    y = torch.matmul(X, w) + b
    y += torch.normal(0, 0.01, y.shape)
    return X, y.reshape((-1, 1))


def data_iter(batch_size, features, labels):
    indices = list(range(len(features)))
    random.shuffle(indices)
    for i in range(0, len(features), batch_size):
        j = torch.tensor(indices[i : i + batch_size])
        yield features[j], labels[j]


def squared_loss(y_hat, y):
    return (y_hat - y.reshape(y_hat.shape)) ** 2 / 2


def sgd(params, lr, batch_size):
    with torch.no_grad():
        for param in params:
            param -= lr * param.grad / batch_size
            param.grad.zero_()


true_w, true_b = torch.tensor([2, -3.4]), 4.2
features, labels = synthetic_data(true_w, true_b, 200)
w = torch.normal(0, 0.01, size=(2, 1), requires_grad=True)
b = torch.zeros(1, requires_grad=True)
for epoch in range(3):
    for X, y in data_iter(10, features, labels):
        loss = squared_loss(torch.matmul(X, w) + b, y)
        loss.sum().backward()
        sgd([w, b], 0.03, 10)
    with torch.no_grad():
        train_loss = squared_loss(torch.matmul(features, w) + b, labels)
        print(f"epoch {epoch + 1}, loss {float(train_loss.mean()):f}")
print(f"error in w: {true_w - w.reshape(true_w.shape)}")
print(f"error in b: {true_b - b}")


def softmax(X):
    X_exp = torch.exp(X)
    partition = X_exp.sum(1, keepdim=True)
    return X_exp / partition


def accuracy(y_hat, y):
    if len(y_hat.shape) > 1 and y_hat.shape[1] > 1:
        y_hat = y_hat.argmax(axis=1)
    right = y_hat.type(y.dtype) == y
    return float(right.type(y.dtype).sum())


def cross_entropy(y_hat, y):
    return -torch.log(y_hat[range(len(y_hat)), y])


X = torch.randn(64, 20)
y = (X[:, :3].sum(1) > 0).long() + (X[:, 3] > 1).long()
W = torch.normal(0, 0.01, size=(20, 3), requires_grad=True)
bias = torch.zeros(3, requires_grad=True)


def net(X):
    return softmax(torch.matmul(X.reshape((-1, W.shape[0])), W) + bias)


for epoch in range(5):
    metric = Accumulator(3)
    loss = cross_entropy(net(X), y)
    loss.mean().backward()
    sgd([W, bias], 0.5, 1)
    metric.add(float(loss.sum()), accuracy(net(X), y), y.numel())
    print(f"loss {metric[0] / metric[2]:.5f}, accuracy {metric[1] / metric[2]:.3f}")
print("the random numbers of the script:", random.random(), random.sample(range(100), 5))
