"""REINFORCE with a baseline on a five-armed bandit, then on a tiny corridor."""
import random

import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim

SEED = 5
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

arms = np.array([0.1, 0.9, 0.3, 0.5, 0.7])
preferences = torch.zeros(5, requires_grad=True)
optimizer = optim.SGD([preferences], lr=0.4)
baseline = 0.0
counts = np.zeros(5, dtype=int)

for t in range(120):
    log_probs = torch.log_softmax(preferences, dim=0)
    action = torch.multinomial(log_probs.exp(), 1).item()
    reward = float(np.random.rand() < arms[action])
    counts[action] += 1
    advantage = reward - baseline
    baseline += 0.05 * advantage
    loss = -log_probs[action] * advantage
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if t % 20 == 0:
        print(t, action, reward, f"{loss.item():+.4f}", log_probs.exp().detach().numpy().round(3), preferences.grad)
print(counts, f"{baseline:.4f}")
print(preferences)


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.affine1 = nn.Linear(4, 16)
        self.dropout = nn.Dropout(p=0.1)
        self.affine2 = nn.Linear(16, 2)
        self.saved_log_probs = []
        self.rewards = []

    def forward(self, x):
        x = self.dropout(self.affine1(x)).relu()
        return torch.nn.functional.softmax(self.affine2(x), dim=-1)


policy = Policy()
optimizer = optim.Adam(policy.parameters(), lr=1e-2)
eps = np.finfo(np.float32).eps.item()


def select_action(state):
    state = torch.from_numpy(state).float().unsqueeze(0)
    probs = policy(state)
    action = torch.multinomial(probs, 1)
    policy.saved_log_probs.append(probs.log().gather(1, action).squeeze(1))
    return action.item()


def finish_episode(gamma=0.95):
    R, returns, policy_loss = 0, [], []
    for r in policy.rewards[::-1]:
        R = r + gamma * R
        returns.insert(0, R)
    returns = torch.tensor(returns)
    returns = (returns - returns.mean()) / (returns.std() + eps)
    for log_prob, R in zip(policy.saved_log_probs, returns):
        policy_loss.append(-log_prob * R)
    optimizer.zero_grad()
    policy_loss = torch.cat(policy_loss).sum()
    policy_loss.backward()
    optimizer.step()
    del policy.rewards[:]
    del policy.saved_log_probs[:]
    return policy_loss


for episode in range(8):
    position, total = 0, 0.0
    for step in range(12):
        state = np.zeros(4)
        state[position] = 1
        if select_action(state) == 1:
            position = min(position + 1, 3)
        else:
            position = max(position - 1, 0)
        reward = 1.0 if position == 3 else -0.1
        policy.rewards.append(reward)
        total += reward
    loss = finish_episode()
    print(f"Episode {episode}\treturn {total:.2f}\tloss {loss.item():.4f}")
print(loss)
with torch.no_grad():
    policy.eval()
    print(policy(torch.eye(4)))
