"""Containers: indexing, editing, errors and text beside PyTorch's."""

from __future__ import annotations

import pytest

from tests.nn.oracle import assert_same_answer

STATEMENTS = """
nn.Sequential()
nn.Sequential(1)
nn.Sequential({'a': nn.Identity()})
nn.Sequential(nn.Identity())[3]
nn.Sequential(nn.Identity())['a']
nn.Sequential(nn.Identity(), nn.Linear(1, 2))[-1]
nn.Sequential(nn.Identity()).insert(5, nn.Identity())
nn.Sequential(nn.Identity()).insert(-1, nn.Flatten())
nn.Sequential(nn.Identity()).insert(0, 3)
nn.Sequential(nn.Identity()).append(3)
nn.Sequential(nn.Identity()).append(nn.Flatten()).extend([nn.Linear(1, 1)])
nn.Sequential(nn.Identity(), nn.Linear(2, 2)) * 2
2 * nn.Sequential(nn.Identity())
nn.Sequential(nn.Identity()) * 0
nn.Sequential(nn.Identity()) * 1.5
nn.Sequential(nn.Identity()) + nn.Sequential(nn.Flatten())
nn.Sequential(nn.Identity()) + [nn.Flatten()]
nn.Sequential(nn.Identity(), nn.Flatten()).pop(0)
nn.Sequential(__import__('collections').OrderedDict(a=nn.Identity(), b=nn.Linear(2, 1)))
nn.Sequential(__import__('collections').OrderedDict(a=nn.Identity(), b=nn.Linear(2, 1)))[1:]
nn.Sequential(__import__('collections').OrderedDict(a=nn.Identity())).append(nn.Flatten())
(lambda s: (s.__delitem__(0), s))(nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(1, 1)))
(lambda s: (s.__delitem__(slice(0, 2)), s))(nn.Sequential(*map(nn.Flatten, range(3))))
(lambda s: (s.__setitem__(0, nn.Flatten()), s))(nn.Sequential(nn.Identity(), nn.Flatten()))
nn.ModuleList()
nn.ModuleList([1])
nn.ModuleList(1)
nn.ModuleList([nn.Identity()])[1.5]
nn.ModuleList([nn.Identity()])(3)
nn.ModuleList([nn.Identity()]) + [nn.Flatten()]
nn.ModuleList([nn.Flatten(), nn.Flatten(), nn.Sequential(nn.Flatten()), nn.Linear(1, 1)])
nn.ModuleList([nn.Identity(), nn.Flatten(), nn.Identity()])[::2]
(lambda s: (s.insert(1, nn.Linear(1, 1)), s))(nn.ModuleList([nn.Identity(), nn.Flatten()]))
nn.ModuleList([nn.Identity(), nn.Flatten()]).pop(0)
nn.ModuleDict()
nn.ModuleDict([1, 2])
nn.ModuleDict([(1, 2, 3)])
nn.ModuleDict(3)
nn.ModuleDict({1: nn.Identity()})
nn.ModuleDict({'keys': nn.Identity()})
nn.ModuleDict({'a.b': nn.Identity()})
nn.ModuleDict({'': nn.Identity()})
nn.ModuleDict({'a': nn.Identity()}).pop('b')
nn.ModuleDict([('a', nn.Identity()), ('b', nn.Linear(1, 2))])
[list(nn.ModuleDict({'a': nn.Identity()}).keys()), 'a' in nn.ModuleDict({'a': nn.Identity()})]
nn.ParameterList()
nn.ParameterList([o(2), o(2, 3), 3, 'a', o(())])
nn.ParameterList([o(2)]).extend(o(3))
nn.ParameterList(3)
nn.ParameterList()(3)
nn.ParameterList([o(1), o(2), o(3)])[1:]
[p.requires_grad for p in nn.ParameterList([o(1), o(2)]).append(nn.Parameter(o(1), False))]
list(nn.ParameterList([o(1), 3]).state_dict())
nn.ParameterDict({'a': o(2), 'b': 3})
nn.ParameterDict({1: 2})
nn.ParameterDict(3)
nn.ParameterDict([3])
nn.ParameterDict([(1, 2, 3)])
nn.ParameterDict()(3)
nn.ParameterDict({'a': o(1)}).pop('b')
nn.ParameterDict({'forward': o(1)})
list(nn.ParameterDict({'a': o(1), 'b': 1}).items())
list(nn.ParameterDict({'a': o(1)}) | nn.ParameterDict({'b': o(1)}))
nn.ParameterDict({'a': o(1), 'b': 1}).popitem()
nn.ParameterDict().setdefault('a', o(2))
list(nn.ParameterDict().fromkeys(['a', 'b'], 1).keys())
""".strip().split("\n")


@pytest.mark.parametrize("statement", STATEMENTS)
def test_answers_are_those_of_pytorch(statement: str) -> None:
    assert_same_answer(statement)
