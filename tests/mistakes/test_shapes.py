"""Mistakes with shapes, dtypes, indices and single tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.mistakes.table import Mistake, Table, check

table = Table()


@table("add", "[2, 3]", "[2]", "dimension -1", "equal, or one of them 1", line="a + b")
def broadcast_add(torch: Any) -> None:
    a, b = torch.ones(2, 3), torch.ones(2)
    a + b


@table("mul", "[4, 2, 3]", "[3, 3]", "dimension -2", line="a * b")
def broadcast_in_the_middle(torch: Any) -> None:
    a, b = torch.ones(4, 2, 3), torch.ones(3, 3)
    a * b


@table("where", "[2]", "[3]", "dimension -1", line="torch.where(")
def broadcast_where(torch: Any) -> None:
    torch.where(torch.ones(2) > 0, torch.ones(3), torch.zeros(3))


@table("add", "[3]", "[2]", "dimension -1", line="a += b")
def broadcast_in_place(torch: Any) -> None:
    a, b = torch.ones(3), torch.ones(2)
    a += b


@table("output with shape [3]", "broadcast shape [2, 3]", "in-place", line="a.add_(b)")
def in_place_result_is_larger(torch: Any) -> None:
    a, b = torch.ones(3), torch.ones(2, 3)
    a.add_(b)


@table("mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)", line="a @ b")
def matmul_inner_sizes(torch: Any) -> None:
    a, b = torch.ones(2, 3), torch.ones(2, 3)
    a @ b


@table("inconsistent tensor size", "matmul", "[3]", "[2]", line="a @ b")
def matmul_of_vectors(torch: Any) -> None:
    a, b = torch.ones(3), torch.ones(2)
    a @ b


@table("[2, 4] but got: [2, 3]", "matmul", "[2, 3, 4]", "[2, 3, 5]", line="torch.bmm(a, b)")
def bmm_inner_sizes(torch: Any) -> None:
    a, b = torch.ones(2, 3, 4), torch.ones(2, 3, 5)
    torch.bmm(a, b)


@table("[4, 2, 3]", "[3, 3, 2]", "dimension", line="torch.matmul(a, b)")
def matmul_batches(torch: Any) -> None:
    a, b = torch.ones(4, 2, 3), torch.ones(3, 3, 2)
    torch.matmul(a, b)


@table("self must be a matrix", line="torch.mm(")
def mm_of_a_vector(torch: Any) -> None:
    torch.mm(torch.ones(3), torch.ones(3, 2))


@table("einsum", "subscript j", "size", line="torch.einsum(")
def einsum_sizes(torch: Any) -> None:
    torch.einsum("ij,jk->ik", torch.ones(2, 3), torch.ones(2, 3))


@table("einsum", "number of", line="torch.einsum(")
def einsum_subscripts(torch: Any) -> None:
    torch.einsum("ij,jk->ik", torch.ones(2), torch.ones(2, 3))


@table("shape '[4, 2]' is invalid for input of size 6", line="x.view(4, 2)")
def view_of_another_size(torch: Any) -> None:
    x = torch.ones(2, 3)
    x.view(4, 2)


@table("shape '[5, -1]' is invalid for input of size 6", line="x.reshape(5, -1)")
def reshape_not_divisible(torch: Any) -> None:
    x = torch.ones(2, 3)
    x.reshape(5, -1)


@table("only one dimension can be inferred", "[-1, -1]", line="x.reshape(-1, -1)")
def reshape_with_two_unknowns(torch: Any) -> None:
    x = torch.ones(2, 3)
    x.reshape(-1, -1)


@table(
    "view size is not compatible with input tensor's size and stride",
    "reshape",
    line="x.t().view(6)",
)
def view_of_a_transposed_tensor(torch: Any) -> None:
    x = torch.ones(2, 3)
    x.t().view(6)


@table("cat", "[2, 3]", "[2, 2]", "cat with dim=1", line="torch.cat(")
def cat_sizes(torch: Any) -> None:
    torch.cat([torch.ones(2, 3), torch.ones(2, 2)])


@table("cat", "[2, 3, 1]", "[2, 2, 2]", "slicing", "functional.pad", line="torch.cat(")
def cat_sizes_in_two_dimensions(torch: Any) -> None:
    torch.cat([torch.ones(2, 3, 1), torch.ones(2, 2, 2)])


@table("cat", "dimensions", "unsqueeze", line="torch.cat(")
def cat_ranks(torch: Any) -> None:
    torch.cat([torch.ones(2, 3), torch.ones(3)])


@table("cat", "dimensions", "unsqueeze", line="torch.cat(")
def cat_of_a_row_to_columns(torch: Any) -> None:
    torch.cat([torch.ones(2, 3), torch.ones(2)], 1)


@table("position 1", "zero-dimensional", "stack", line="torch.cat(")
def cat_of_a_number(torch: Any) -> None:
    torch.cat([torch.ones(1), torch.ones(())])


@table("cat", "empty", line="torch.cat(")
def cat_of_nothing(torch: Any) -> None:
    torch.cat([])


@table("stack expects each tensor to be equal size", "[2]", "[3]", "entry 1", line="torch.stack(")
def stack_sizes(torch: Any) -> None:
    torch.stack([torch.ones(2), torch.ones(3)])


@table("stack expects a non-empty TensorList", line="torch.stack(")
def stack_of_nothing(torch: Any) -> None:
    torch.stack([])


@table("element 1", "numpy.ndarray", "as_tensor", line="torch.stack(")
def stack_with_an_array(torch: Any) -> None:
    torch.stack([torch.ones(2), np.ones(2)])


@table("cat", "must be tuple of Tensors, not Tensor", line="torch.cat(")
def cat_of_a_tensor(torch: Any) -> None:
    torch.cat(torch.ones(2, 2))


@table("split", "sum", "5", "[2, 2]", line="x.split(")
def split_sizes(torch: Any) -> None:
    x = torch.ones(5)
    x.split([2, 2])


@table("chunk", "greater than 0", line="x.chunk(0)")
def chunk_into_none(torch: Any) -> None:
    x = torch.ones(5)
    x.chunk(0)


@table("expand", "[2, 3]", "[4, 3]", "dimension 0", line="x.expand(4, 3)")
def expand_a_size(torch: Any) -> None:
    x = torch.ones(2, 3)
    x.expand(4, 3)


@table("permute", "2", "1", line="x.permute(0)")
def permute_too_few(torch: Any) -> None:
    x = torch.ones(2, 3)
    x.permute(0)


@table("Dimension out of range", "[-2, 1]", "got 2", line="x.sum(dim=2)")
def sum_over_no_dimension(torch: Any) -> None:
    x = torch.ones(2, 3)
    x.sum(dim=2)


@table("Dimension out of range", "[-2, 1]", "got 2", line="x.transpose(0, 2)")
def transpose_no_dimension(torch: Any) -> None:
    x = torch.ones(2, 3)
    x.transpose(0, 2)


@table("Dimension out of range", "[-2, 1]", "got 4", line="x.unsqueeze(4)")
def unsqueeze_too_far(torch: Any) -> None:
    x = torch.ones(3)
    x.unsqueeze(4)


@table("Dimension out of range", "[-2, 1]", "got 5", line="torch.softmax(")
def softmax_over_no_dimension(torch: Any) -> None:
    torch.softmax(torch.ones(2, 3), dim=5)


@table("dim 0 appears multiple times", line="x.sum(dim=(0, 0))")
def sum_over_one_dimension_twice(torch: Any) -> None:
    x = torch.ones(2, 3)
    x.sum(dim=(0, 0))


@table("negative dimension -1", "[2, -1]", line="torch.zeros(")
def negative_size(torch: Any) -> None:
    torch.zeros(2, -1)


@table("max()", "numel() == 0", "dim", line="torch.zeros(0).max()")
def max_of_nothing(torch: Any) -> None:
    torch.zeros(0).max()


@table("too many values to unpack", line=None)
def unpack_a_shape(torch: Any) -> None:
    _, _ = torch.ones(2, 3, 4).shape


@table("index 3 is out of bounds for dimension 0 with size 3", line="x[3]")
def index_out_of_range(torch: Any) -> None:
    x = torch.ones(3)
    x[3]


@table("too many indices for tensor of dimension 1", line="x[0, 0]")
def too_many_indices(torch: Any) -> None:
    x = torch.ones(3)
    x[0, 0]


@table("invalid index of a 0-dim tensor", "item()", line="x[0]")
def index_of_a_single_number(torch: Any) -> None:
    x = torch.tensor(1.0)
    x[0]


@table("index 5 is out of bounds for dimension 0 with size 3", line="x[index]")
def index_tensor_out_of_range(torch: Any) -> None:
    x, index = torch.ones(3), torch.tensor([0, 5])
    x[index]


@table("index 5 is out of bounds for", "size 3", line="y = x[index]")
def lazy_index_tensor_out_of_range(torch: Any) -> None:
    x, index = torch.ones(3), torch.tensor([0, 4]) + 1
    y = x[index]
    y.tolist()


@table("long, int, byte or bool", "float32", "long()", line="x[index]")
def index_with_floats(torch: Any) -> None:
    x, index = torch.ones(3), torch.zeros(1)
    x[index]


@table("shape of the mask [2]", "shape of the indexed tensor [3]", "index 0", line="x[mask]")
def mask_of_another_size(torch: Any) -> None:
    x, mask = torch.ones(3), torch.tensor([True, False])
    x[mask]


@table("index 7 is out of bounds for dimension 1 with size 3", "gather", line="x.gather(")
def gather_out_of_range(torch: Any) -> None:
    x = torch.ones(2, 3)
    x.gather(1, torch.tensor([[0], [7]]))


@table("index 8 is out of bounds for dimension 1 with size 3", "gather", line="y = x.gather(")
def lazy_gather_out_of_range(torch: Any) -> None:
    x, index = torch.ones(2, 3), torch.tensor([[0], [7]]) + 1
    y = x.gather(1, index)
    y.tolist()


@table("gather", "int64", "float32", "long()", line="x.gather(")
def gather_with_floats(torch: Any) -> None:
    x = torch.ones(2, 2)
    x.gather(0, torch.zeros(1, 1))


@table("same number of dimensions", "gather", "[2]", "[2, 3]", line="x.gather(")
def gather_ranks(torch: Any) -> None:
    x = torch.ones(2, 3)
    x.gather(1, torch.tensor([0, 1]))


@table("index 9 is out of bounds for dimension 0 with size 3", "scatter", line="x.scatter_(")
def scatter_out_of_range(torch: Any) -> None:
    x = torch.zeros(3)
    x.scatter_(0, torch.tensor([9]), torch.ones(1))


@table("index out of range in self", "index_select", "4", line="x.index_select(")
def index_select_out_of_range(torch: Any) -> None:
    x = torch.ones(3)
    x.index_select(0, torch.tensor([4]))


@table("shape mismatch", "[3]", "[2]", line="x[index] = value")
def assign_another_shape(torch: Any) -> None:
    x, index, value = torch.zeros(4), torch.tensor([0, 1]), torch.ones(3)
    x[index] = value


@table("[3]", "[2]", "assign", line="x[:2] = value")
def assign_another_shape_to_a_slice(torch: Any) -> None:
    x, value = torch.zeros(4), torch.ones(3)
    x[:2] = value


@table("step must be greater than zero", "flip", line="x[::-1]")
def negative_step(torch: Any) -> None:
    x = torch.ones(3)
    x[::-1]


@table("a Tensor with 2 elements cannot be converted to Scalar", "[2]", line="x.item()")
def item_of_many(torch: Any) -> None:
    x = torch.ones(2)
    x.item()


@table("Boolean value of Tensor with more than one value is ambiguous", "any()", line="if x > 0:")
def bool_of_many(torch: Any) -> None:
    x = torch.ones(2)
    if x > 0:
        pass


@table("Boolean value of Tensor with no values is ambiguous", line="bool(x)")
def bool_of_none(torch: Any) -> None:
    x = torch.zeros(0)
    bool(x)


@table("iteration over a 0-d tensor", line="for _ in x:")
def iterate_a_single_number(torch: Any) -> None:
    x = torch.tensor(1)
    for _ in x:
        pass


@table("len() of a 0-d tensor", line="len(x)")
def len_of_a_single_number(torch: Any) -> None:
    x = torch.tensor(1)
    len(x)


@table("expected sequence of length 2 at dim 1 (got 1)", line="torch.tensor(")
def ragged_lists(torch: Any) -> None:
    torch.tensor([[1, 2], [3]])


@table("str", line="torch.tensor(")
def tensor_of_text(torch: Any) -> None:
    torch.tensor("a")


@table("matmul", "float", "double", ".to(", line="a @ b")
def matmul_dtypes(torch: Any) -> None:
    a, b = torch.ones(2, 2), torch.ones(2, 2).double()
    a @ b


@table("mean()", "floating point", "Long", "float()", line="torch.arange(3).mean()")
def mean_of_integers(torch: Any) -> None:
    torch.arange(3).mean()


@table("result type Float can't be cast to", "Long", "in-place", line="x.add_(0.5)")
def integers_plus_a_half_in_place(torch: Any) -> None:
    x = torch.arange(3)
    x.add_(0.5)


@table("result type Float can't be cast to", "Long", "in-place", line="x /= 2")
def integers_divided_in_place(torch: Any) -> None:
    x = torch.arange(3)
    x /= 2


@table("not implemented for 'Float'", "and", line="torch.ones(2) & torch.ones(2)")
def bitwise_of_floats(torch: Any) -> None:
    torch.ones(2) & torch.ones(2)


@table("Subtraction", "bool", "^", line="a - b")
def bools_subtracted(torch: Any) -> None:
    a, b = torch.tensor([True]), torch.tensor([False])
    a - b


@table("unsupported operand type(s) for +", "str", line=None)
def tensor_plus_text(torch: Any) -> None:
    x = torch.ones(2)
    x + "1"


@table("relu", "Tensor", "list", line="relu([")
def function_of_a_list(torch: Any) -> None:
    torch.nn.functional.relu([1.0, 2.0])


@table("sum()", "dimension", line="dimension=0")
def unknown_keyword(torch: Any) -> None:
    torch.ones(2).sum(dimension=0)


@table("'Tensor' object has no attribute 'shpae'", line=None)
def misspelt_attribute(torch: Any) -> None:
    torch.ones(2).shpae


@table("numpy", "detach()", line="x.numpy()")
def numpy_of_what_requires_grad(torch: Any) -> None:
    x = torch.ones(2, requires_grad=True)
    x.numpy()


@table("Expected one of cpu, cuda", "gpu", line="torch.ones(2, device=")
def unknown_device(torch: Any) -> None:
    torch.ones(2, device="gpu")


@pytest.mark.parametrize("mistake", table, ids=table.names)
def test_mistake(mistake: Mistake) -> None:
    check(mistake)
