"""Mistakes with layers, losses, optimizers, data and devices."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from tests.mistakes.table import Mistake, Table, check

table = Table()


@table("mat1 and mat2 shapes cannot be multiplied (1x4 and 3x2)", "linear", line="layer(x)")
def linear_with_other_features(torch: Any) -> None:
    layer, x = torch.nn.Linear(3, 2), torch.ones(1, 4)
    layer(x)


@table("same dtype", "torch.int64", "torch.float32", ".to(torch.float32)", line="layer(x)")
def linear_with_integers(torch: Any) -> None:
    layer, x = torch.nn.Linear(3, 2), torch.ones(1, 3).long()
    layer(x)


@table("same dtype", "torch.float64", "torch.float32", ".to(", line="layer(x)")
def linear_with_doubles(torch: Any) -> None:
    layer, x = torch.nn.Linear(3, 2), torch.ones(1, 3).double()
    layer(x)


@table("mat1 and mat2 shapes cannot be multiplied (8x36 and 100x10)", line="return self.last(")
def linear_behind_a_convolution(torch: Any) -> None:
    class Net(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Conv2d(1, 4, 3)
            self.last = torch.nn.Linear(100, 10)

        def forward(self, x: Any) -> Any:
            x = self.first(x).flatten(1)
            return self.last(x)

    Net()(torch.ones(8, 1, 5, 5))


@table("expected input[1, 2, 5, 5] to have 3 channels, but got 2 channels", line="layer(x)")
def convolution_with_other_channels(torch: Any) -> None:
    layer, x = torch.nn.Conv2d(3, 1, 3), torch.ones(1, 2, 5, 5)
    layer(x)


@table("Kernel size can't be greater than actual input size", "(3 x 3)", "(5 x 5)", line="layer(x)")
def convolution_of_a_small_image(torch: Any) -> None:
    layer, x = torch.nn.Conv2d(1, 1, 5), torch.ones(1, 1, 3, 3)
    layer(x)


@table("Expected 3D (unbatched) or 4D (batched) input to conv2d", "[5, 5]", line="layer(x)")
def convolution_of_a_matrix(torch: Any) -> None:
    layer, x = torch.nn.Conv2d(1, 1, 3), torch.ones(5, 5)
    layer(x)


@table("in_channels must be divisible by groups", line="Conv2d(")
def convolution_groups(torch: Any) -> None:
    torch.nn.Conv2d(3, 4, 3, groups=2)


@table("index out of range in self", "embedding", "3", "num_embeddings", line="layer(x)")
def embedding_out_of_range(torch: Any) -> None:
    layer, x = torch.nn.Embedding(3, 2), torch.tensor([0, 3])
    layer(x)


@table("index out of range in self", "embedding", "4", "num_embeddings", line="layer(x)")
def embedding_of_a_lazy_index_out_of_range(torch: Any) -> None:
    layer, x = torch.nn.Embedding(3, 2), torch.tensor([0, 3]).view(2, 1) + 1
    layer(x)


@table("Long, Int", "embedding", "FloatTensor", ".long()", line="layer(x)")
def embedding_of_floats(torch: Any) -> None:
    layer, x = torch.nn.Embedding(3, 2), torch.ones(2)
    layer(x)


@table("Expected more than 1 value per channel", "[1, 2]", "eval()", line="layer(x)")
def batch_norm_of_one_value(torch: Any) -> None:
    layer, x = torch.nn.BatchNorm1d(2), torch.ones(1, 2)
    layer(x)


@table("expected 4D input (got 2D input)", line="layer(x)")
def batch_norm_dimensions(torch: Any) -> None:
    layer, x = torch.nn.BatchNorm2d(3), torch.ones(2, 3)
    layer(x)


@table("running_mean should contain 2 elements not 3", line="layer(x)")
def batch_norm_features(torch: Any) -> None:
    layer, x = torch.nn.BatchNorm1d(3), torch.ones(4, 2)
    layer(x)


@table("normalized_shape=[4]", "[*, 4]", "[2, 3]", line="layer(x)")
def layer_norm_features(torch: Any) -> None:
    layer, x = torch.nn.LayerNorm(4), torch.ones(2, 3)
    layer(x)


@table("dropout probability has to be between 0 and 1, but got 1.5", "part of the", line="Dropout(")
def dropout_probability(torch: Any) -> None:
    torch.nn.Dropout(1.5)


@table("input.size(-1) must be equal to input_size", "Expected 3, got 4", line="layer(x)")
def lstm_features(torch: Any) -> None:
    layer, x = torch.nn.LSTM(3, 5), torch.ones(2, 1, 4)
    layer(x)


@table("embed_dim must be divisible by num_heads", line="MultiheadAttention(")
def attention_heads(torch: Any) -> None:
    torch.nn.MultiheadAttention(5, 2)


@table("cannot assign module before Module.__init__() call", "super().__init__()", line="self.fc")
def forgotten_super_init(torch: Any) -> None:
    class Net(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.fc = torch.nn.Linear(1, 1)

    Net()


@table('missing the required "forward" function', "Net", line="Net()(")
def forgotten_forward(torch: Any) -> None:
    class Net(torch.nn.Module):  # type: ignore[misc, name-defined]
        pass

    Net()(torch.ones(1))


@table("'Linear' object has no attribute 'wieght'", line=None)
def misspelt_parameter(torch: Any) -> None:
    torch.nn.Linear(1, 1).wieght


@table(
    "cannot assign", "as parameter 'weight'", "torch.nn.Parameter or None", line="layer.weight ="
)
def parameter_replaced_by_a_tensor(torch: Any) -> None:
    layer = torch.nn.Linear(2, 2)
    layer.weight = torch.zeros(2, 2)


@table("is not a Module subclass", "function", line="Sequential(")
def sequential_of_a_function(torch: Any) -> None:
    torch.nn.Sequential(torch.nn.Linear(2, 2), torch.relu)


@table(
    'Missing key(s) in state_dict: "1.bias"', 'Unexpected key(s) in state_dict: "2.bias"',
    "size mismatch for 0.weight", "[2, 3]", "[2, 2]", line="load_state_dict(",
)  # fmt: skip
def state_dict_with_three_mismatches(torch: Any) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1))
    state = model.state_dict()
    state["0.weight"], state["2.bias"] = torch.zeros(2, 3), state.pop("1.bias")
    model.load_state_dict(state)


@table(
    "expected scalar type Long but found Float", "[2]", "target.long()", line="cross_entropy(x, y)"
)
def cross_entropy_of_float_classes(torch: Any) -> None:
    x, y = torch.ones(2, 3), torch.ones(2)
    torch.nn.functional.cross_entropy(x, y)


@table("Target 3 is out of bounds", "3 classes", "[0, 2]", line="cross_entropy(x, y)")
def cross_entropy_out_of_range(torch: Any) -> None:
    x, y = torch.ones(2, 3), torch.tensor([0, 3])
    torch.nn.functional.cross_entropy(x, y)


@table("Target -1 is out of bounds", "ignore_index", line="cross_entropy(x, y)")
def cross_entropy_of_a_lazy_negative_class(torch: Any) -> None:
    x, y = torch.ones(2, 3), torch.tensor([[0], [2]]).squeeze(1) - 1
    torch.nn.functional.cross_entropy(x, y)


@table("0D or 1D target tensor expected", "squeeze(1)", line="cross_entropy(x, y)")
def cross_entropy_of_a_column(torch: Any) -> None:
    x, y = torch.ones(2, 3), torch.ones(2, 1).long()
    torch.nn.functional.cross_entropy(x, y)


@table("input batch_size (2) to match target batch_size (3)", line="cross_entropy(x, y)")
def cross_entropy_of_another_batch(torch: Any) -> None:
    x, y = torch.ones(2, 3), torch.tensor([0, 1, 2])
    torch.nn.functional.cross_entropy(x, y)


@table("Expected floating point type for target with class probabilities", line="loss(x, y)")
def cross_entropy_of_integer_one_hot(torch: Any) -> None:
    loss, x, y = torch.nn.CrossEntropyLoss(), torch.ones(2, 3), torch.eye(3)[:2].long()
    loss(x, y)


@table("weight tensor should be defined either for all 3 classes", "[2]", line="loss(x, y)")
def cross_entropy_weight(torch: Any) -> None:
    loss, x = torch.nn.CrossEntropyLoss(weight=torch.ones(2)), torch.ones(2, 3)
    y = torch.tensor([0, 1])
    loss(x, y)


@table("[3]", "[3, 1]", "size", line="binary_cross_entropy(x, y)")
def binary_cross_entropy_shapes(torch: Any) -> None:
    x, y = torch.ones(3), torch.ones(3, 1)
    torch.nn.functional.binary_cross_entropy(x, y)


@table("between 0 and 1", line="binary_cross_entropy(x, y)")
def binary_cross_entropy_of_logits(torch: Any) -> None:
    x, y = torch.tensor([1.5]), torch.ones(1)
    torch.nn.functional.binary_cross_entropy(x, y).item()


@table("Target size", "[3]", "[3, 1]", line="loss(x, y)")
def binary_cross_entropy_with_logits_shapes(torch: Any) -> None:
    loss, x, y = torch.nn.BCEWithLogitsLoss(), torch.ones(3, 1), torch.ones(3)
    loss(x, y)


@table("average is not a valid value for reduction", "'mean'", line="mse_loss(")
def unknown_reduction(torch: Any) -> None:
    torch.nn.functional.mse_loss(torch.ones(2), torch.ones(2), reduction="average")


@table("size of tensor a (3)", "tensor b (2)", "mse_loss", line="mse_loss(x, y)")
def mse_of_shapes_that_do_not_fit(torch: Any) -> None:
    x, y = torch.ones(3), torch.ones(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.nn.functional.mse_loss(x, y)


@table("optimizer got an empty parameter list", line="SGD(")
def optimizer_of_nothing(torch: Any) -> None:
    torch.optim.SGD([], lr=0.1)


@table("should be an iterable of Tensors", "Linear", "model.parameters()", line="SGD(")
def optimizer_of_a_model(torch: Any) -> None:
    torch.optim.SGD(torch.nn.Linear(1, 1), lr=0.1)


@table("missing 1 required positional argument: 'kernel_size'", "Conv2d.__init__()", line="Conv2d(")
def convolution_without_a_size(torch: Any) -> None:
    torch.nn.Conv2d(3, 8)


@table("missing 1 required positional argument: 'metrics'", line="scheduler.step()")
def plateau_without_a_metric(torch: Any) -> None:
    optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=0.1)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    scheduler.step()


@table("only Tensors of floating point dtype can require gradients", line="Parameter(")
def parameter_of_integers(torch: Any) -> None:
    torch.nn.Parameter(torch.ones(2, dtype=torch.int64))


@table("Fan in and fan out can not be computed", line="xavier_uniform_(")
def initializing_a_vector(torch: Any) -> None:
    torch.nn.init.xavier_uniform_(torch.ones(3))


@table("params argument given to the optimizer should be an iterable", "Tensor", line="SGD(")
def optimizer_of_one_tensor(torch: Any) -> None:
    x = torch.ones(1, requires_grad=True)
    torch.optim.SGD(x, lr=0.1)


@table("can't optimize a non-leaf Tensor", line="SGD(")
def optimizer_of_a_result(torch: Any) -> None:
    x = torch.ones(1, requires_grad=True)
    torch.optim.SGD([x * 2], lr=0.1)


@table("Invalid learning rate: -1", line="SGD(")
def negative_learning_rate(torch: Any) -> None:
    torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=-1)


@table("Invalid beta parameter at index 0: 1.0", line="Adam(")
def adam_betas(torch: Any) -> None:
    torch.optim.Adam([torch.ones(1, requires_grad=True)], betas=(1.0, 0.9))


@table("some parameters appear in more than one parameter group", line="SGD(")
def one_parameter_in_two_groups(torch: Any) -> None:
    x = torch.ones(1, requires_grad=True)
    groups = [{"params": [x]}, {"params": [x]}]
    torch.optim.SGD(groups, lr=0.1)


@table("different number of parameter groups", "2", "1", line="load_state_dict")
def optimizer_state_of_another_model(torch: Any) -> None:
    x, y = torch.ones(1, requires_grad=True), torch.ones(2, requires_grad=True)
    one = torch.optim.SGD([{"params": [x]}, {"params": [y]}], lr=0.1)
    torch.optim.SGD([x], lr=0.1).load_state_dict(one.state_dict())


@table("Linear is not an Optimizer", line="StepLR(")
def schedule_of_a_model(torch: Any) -> None:
    torch.optim.lr_scheduler.StepLR(torch.nn.Linear(1, 1), 10)


@table("Size mismatch between tensors", line="TensorDataset(")
def data_of_different_lengths(torch: Any) -> None:
    torch.utils.data.TensorDataset(torch.ones(2), torch.ones(3))


@table("stack expects each tensor to be equal size", "[1]", "[2]", "pad_s", line="next(iter(")
def batch_of_different_shapes(torch: Any) -> None:
    loader = torch.utils.data.DataLoader([torch.ones(1), torch.ones(2)], batch_size=2)
    next(iter(loader))


@table("default_collate", "NoneType", line="next(")
def batch_of_none(torch: Any) -> None:
    loader = torch.utils.data.DataLoader([None], batch_size=1)
    next(iter(loader))


@table("batch_size should be a positive integer value, but got batch_size=0", line="DataLoader(")
def batches_of_nothing(torch: Any) -> None:
    torch.utils.data.DataLoader([1, 2], batch_size=0)


@table("sampler option is mutually exclusive with shuffle", line="DataLoader(")
def shuffle_and_sampler(torch: Any) -> None:
    torch.utils.data.DataLoader([1], shuffle=True, sampler=[0])


@table(
    "Sum of input lengths does not equal the length of the input dataset",
    "10",
    line="random_split(",
)
def random_split_sizes(torch: Any) -> None:
    torch.utils.data.random_split(range(10), [3, 3])


@table("second time", "retain_graph=True", line="loss = (x * x)")
def backward_twice(torch: Any) -> None:
    x = torch.ones(2, requires_grad=True)
    loss = (x * x).sum()
    loss.backward()
    loss.backward()


@table("does not require grad", "requires_grad=True", line="loss.backward()")
def backward_without_a_graph(torch: Any) -> None:
    loss = torch.ones(2).sum()
    loss.backward()


@table("grad can be implicitly created only for scalar outputs", "[2]", line="loss.backward()")
def backward_of_a_vector(torch: Any) -> None:
    loss = torch.ones(2, requires_grad=True) * 2
    loss.backward()


@table("a leaf Variable that requires grad", "no_grad()", line="x += 1")
def in_place_on_a_leaf(torch: Any) -> None:
    x = torch.ones(2, requires_grad=True)
    x += 1


@table("a view of a leaf Variable that requires grad", "no_grad()", line="x[0] = 3.0")
def assignment_to_a_leaf(torch: Any) -> None:
    x = torch.ones(2, requires_grad=True)
    x[0] = 3.0


@pytest.mark.parametrize("mistake", table, ids=table.names)
def test_mistake(mistake: Mistake) -> None:
    check(mistake)
