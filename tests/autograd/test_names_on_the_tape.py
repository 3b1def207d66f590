"""The names of nodes on the tape, and of those that they lead to, are PyTorch's."""

from __future__ import annotations

import re
from typing import Any

import pytest

import tidu

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")

# Of `x` and `y`, leaves (3, 3); `c`, a result; `p`, positive definite; a mask `m`; places `i` (2)
# and `j` (3, 3); classes `t`.
EXPRESSIONS = """
T.div(x,y,rounding_mode="floor") ; T.div(x,y,rounding_mode="trunc")
T.div(x,2.,rounding_mode="floor") ; x.div(2.,rounding_mode="trunc") ; x//y ; x%y ; x%2 ; x/2 ; x*2
x+2 ; x-2 ; 2-x ; 2/x ; x**2 ; x**y ; 2**x ; -x ; T.std_mean(x)[0] ; T.var_mean(x,0)[1] ; x.std()
x.var(0) ; c.normal_() ; c.normal_(1,2) ; c.uniform_() ; c.exponential_() ; c.bernoulli_(0.5)
c.random_(3) ; c.log_normal_() ; c.cauchy_() ; c.geometric_(0.5) ; c.zero_() ; c.fill_(2)
c.fill_(y.sum()) ; c.copy_(y) ; c.add_(y) ; c.add_(1) ; c.add_(y,alpha=2) ; c.sub_(y) ; c.mul_(y)
c.mul_(2) ; c.div_(y) ; c.pow_(2) ; c.clamp_(0,1) ; c.clamp_min_(0) ; c.relu_() ; c.sigmoid_()
c.tanh_() ; c.exp_() ; c.sqrt_() ; c.abs_() ; c.neg_() ; c.round_() ; c.floor_() ; c.ceil_()
c.trunc_() ; c.sign_() ; c.masked_fill_(m,0.) ; c.masked_fill_(m,y.sum()) ; c.index_fill_(0,i,0.)
c.index_add_(0,i,y[:2]) ; c.index_copy_(0,i,y[:2]) ; c.scatter_(0,j,y) ; c.scatter_(0,j,1.)
c.scatter_add_(0,j,y) ; c.index_put_((i,),y[:2]) ; c.masked_scatter_(m,y) ; c.lerp_(y,0.5)
c.addcmul_(x,y) ; c.addcdiv_(x,y) ; c.addmm_(x,y) ; c.t_() ; c.transpose_(0,1) ; c.squeeze_()
c.unsqueeze_(0) ; c.cumsum_(0) ; c.erf_() ; c.fmod_(2.) ; c.remainder_(2.) ; c.tril_() ; c.triu_()
c.nan_to_num_() ; c.logit_() ; c.hardshrink() ; c.fill_diagonal_(1.) ; c.renorm_(2,0,1.)
c.__setitem__(0,1.) or c ; c.__setitem__(0,y[0]) or c ; c.__setitem__(m,1.) or c
c.__setitem__(m,y[m]) or c ; c.__setitem__(i,y[:2]) or c
c.__setitem__((slice(None),1),y[:,1]) or c ; c.__iadd__(1) ; c.detach() ; x[0] ; x[0:2] ; x[:,1]
x[i] ; x[m] ; x[None] ; x[...,0] ; x[i,j[0,:2]] ; x.T ; x.H ; x.mT ; x.t() ; x.transpose(0,1)
x.permute(1,0) ; x.swapaxes(0,1) ; x.movedim(0,1) ; x.view(9) ; x.view(3,3) ; x.reshape(9)
x.flatten() ; x.ravel() ; x.unflatten(0,(3,1)) ; x.squeeze() ; x.squeeze(0) ; x.unsqueeze(0)
x.expand(2,3,3) ; x.expand_as(x) ; x.repeat(2,1) ; x.tile(2) ; x.repeat_interleave(2)
x.repeat_interleave(2,0) ; x.roll(1) ; x.roll(1,0) ; x.flip(0) ; x.fliplr() ; x.rot90()
x.narrow(0,0,2) ; x.select(0,1) ; x.chunk(2)[0] ; x.split(2)[0] ; x.split([1,2])[0]
x.unbind()[0] ; x.diagonal() ; x.diag() ; T.diag(x[0]) ; T.diag_embed(x[0]) ; x.tril() ; x.triu()
x.as_strided((2,2),(1,1)) ; x.contiguous() ; x.t().contiguous() ; x.clone() ; x.to(T.float64)
x.double() ; x.float() ; x.type(T.float64) ; x.half() ; x.cpu() ; x.gather(0,j)
x.index_select(0,i) ; x.take(i) ; x.masked_select(m) ; x.masked_fill(m,0.) ; T.where(m,x,y)
T.where(m,x,0.) ; T.where(m,0.,x) ; T.cat([x,y]) ; T.cat((x,c,y),1) ; T.stack([x,y])
T.hstack([x,y]) ; T.vstack([x,y]) ; T.dstack([x,y]) ; T.column_stack([x,y])
T.meshgrid(x[0],y[0],indexing="ij")[0] ; T.cartesian_prod(x[0],y[0]) ; x.sum() ; x.sum(0)
x.mean() ; x.mean(0) ; x.prod() ; x.prod(0) ; x.max() ; x.max(0)[0] ; x.min(1)[0] ; x.amax(0)
x.median() ; x.median(0)[0] ; x.mode()[0] ; x.kthvalue(1)[0] ; x.sort()[0] ; x.topk(2)[0]
x.cummax(0)[0] ; x.cumsum(0) ; x.cumprod(0) ; x.logsumexp(0) ; x.norm() ; x.norm(1)
x.norm(dim=0) ; T.norm(x) ; T.linalg.norm(x) ; T.linalg.vector_norm(x) ; T.linalg.matrix_norm(x)
T.linalg.norm(x,"nuc") ; T.norm(x,"nuc") ; T.dist(x,y) ; x@y ; x@y[0] ; x[0]@y[0] ; T.mm(x,y)
T.mv(x,y[0]) ; T.dot(x[0],y[0]) ; T.bmm(x[None],y[None]) ; T.addmm(x,x,y)
T.addmm(x[0],x,y,alpha=2) ; T.addmv(x[0],x,y[0]) ; T.baddbmm(x[None],x[None],y[None])
T.addr(x,x[0],y[0]) ; T.outer(x[0],y[0]) ; T.ger(x[0],y[0]) ; T.inner(x,y) ; T.kron(x,y)
T.einsum("ij->i",x) ; T.tensordot(x,y,1) ; T.linalg.multi_dot([x,y,x]) ; x.matrix_power(2)
T.linalg.inv(p) ; T.inverse(p) ; T.det(p) ; T.linalg.det(p) ; T.logdet(p) ; T.slogdet(p)[1]
T.linalg.solve(p,x) ; T.linalg.cholesky(p) ; T.cholesky(p) ; T.linalg.qr(x)[0]
T.linalg.eigh(p)[0] ; T.linalg.svd(x)[1] ; T.linalg.svdvals(x) ; T.linalg.pinv(x) ; T.trace(x)
x.abs() ; x.exp() ; x.log() ; x.sqrt() ; x.rsqrt() ; x.square() ; x.reciprocal() ; x.sin()
x.cos() ; x.tan() ; x.tanh() ; x.sigmoid() ; x.relu() ; x.erf() ; x.lgamma() ; x.digamma()
x.floor() ; x.ceil() ; x.round() ; x.round(decimals=1) ; x.trunc() ; x.frac() ; x.sign() ; x.sgn()
x.clamp(0,1) ; x.clamp(min=0) ; x.clamp(max=y) ; x.clamp(min=x,max=y) ; x.clip(0,1)
T.maximum(x,y) ; T.minimum(x,y) ; T.max(x,y) ; T.fmax(x,y) ; T.fmod(x,y) ; T.remainder(x,y)
T.atan2(x,y) ; T.hypot(x,y) ; T.pow(x,3) ; T.pow(2.,x) ; T.float_power(x,2) ; T.logaddexp(x,y)
T.lerp(x,y,0.3) ; T.lerp(x,y,x) ; T.addcmul(x,x,y) ; T.addcdiv(x,x,y,value=2) ; T.xlogy(x,y)
T.add(x,y,alpha=2) ; T.sub(x,y,alpha=2) ; T.rsub(x,y) ; T.true_divide(x,y) ; T.softmax(x,0)
T.log_softmax(x,0) ; F.softmin(x,0) ; F.gumbel_softmax(x) ; F.relu(x) ; F.relu6(x)
F.leaky_relu(x) ; F.elu(x) ; F.selu(x) ; F.celu(x) ; F.gelu(x) ; F.silu(x) ; F.mish(x)
F.softplus(x) ; F.softsign(x) ; F.tanhshrink(x) ; F.hardtanh(x) ; F.hardswish(x)
F.hardsigmoid(x) ; F.logsigmoid(x) ; F.glu(x[:2,:2]) ; F.threshold(x,0,1) ; F.normalize(x)
F.dropout(x,0.5) ; F.dropout(x,0.5,False) ; F.dropout1d(x[None],0.5) ; F.alpha_dropout(x,0.5)
F.linear(x,y) ; F.linear(x,y,x[0]) ; F.linear(x[None],y,x[0]) ; F.linear(x[None],y)
F.linear(x[0],y,x[0]) ; F.conv1d(x[None],T.ones(2,3,2))
F.conv2d(x[None,None],T.ones(2,1,2,2),T.ones(2))
F.conv_transpose2d(x[None,None],T.ones(1,2,2,2)) ; F.max_pool2d(x[None],2)
F.avg_pool2d(x[None],2) ; F.adaptive_avg_pool2d(x[None],1) ; F.adaptive_avg_pool2d(x[None],2)
F.lp_pool1d(x,2,2) ; F.pad(x,(1,1)) ; F.pad(x[None],(1,1),mode="reflect")
F.pad(x[None,None],(1,1,1,1),mode="replicate") ; F.interpolate(x[None],scale_factor=2)
F.interpolate(x[None,None],scale_factor=2,mode="bilinear")
F.pixel_shuffle(x[None,:1,:1].expand(4,1,1),2) ; F.unfold(x[None,None],2) ; F.layer_norm(x,(3,))
F.scaled_dot_product_attention(x[None,None],y[None,None],y[None,None])
F.layer_norm(x,(3,),y[0],x[0]) ; F.batch_norm(x,None,None,training=True)
F.batch_norm(x,T.zeros(3),T.ones(3),y[0],x[0]) ; F.group_norm(x[None],1)
F.local_response_norm(x[None],2) ; F.embedding(i,x) ; F.embedding_bag(i[None],x) ; F.one_hot(i)
F.mse_loss(x,y) ; F.mse_loss(x,y,reduction="none") ; F.l1_loss(x,y) ; F.smooth_l1_loss(x,y)
F.huber_loss(x,y) ; F.cross_entropy(x,t) ; F.cross_entropy(x,y.softmax(1)) ; F.nll_loss(x,t)
F.nll_loss(x,t,reduction="none") ; F.binary_cross_entropy(x.sigmoid(),y.sigmoid())
F.binary_cross_entropy(x.sigmoid(),m.float()) ; F.binary_cross_entropy_with_logits(x,m.float())
F.binary_cross_entropy_with_logits(x,m.float(),pos_weight=T.ones(3)) ; F.kl_div(x,y)
F.kl_div(x,y,reduction="batchmean") ; F.kl_div(x,y,log_target=True) ; F.poisson_nll_loss(x,y)
F.gaussian_nll_loss(x,y,x*x) ; F.hinge_embedding_loss(x,m.float()*2-1)
F.margin_ranking_loss(x,y,m.float()*2-1) ; F.cosine_embedding_loss(x,y,T.ones(3))
F.triplet_margin_loss(x,y,x+y) ; F.multi_margin_loss(x,t) ; F.multilabel_margin_loss(x,j)
F.multilabel_soft_margin_loss(x,m.float()) ; F.soft_margin_loss(x,m.float())
F.ctc_loss(x[:,None].log_softmax(2),T.tensor([[1]]),[3],[1]) ; T.cdist(x,y)
F.grid_sample(x[None,None],y[None,None,:,:2],align_corners=False) ; T.nan_to_num(x) ; T.diff(x)
T.std(x,0) ; T.corrcoef(x) ; T.cov(x) ; T.logcumsumexp(x,0) ; T.renorm(x,2,0,1.) ; T.nansum(x)
T.nanmean(x) ; T.quantile(x,0.5) ; T.aminmax(x)[0] ; T.histc(x.detach()) ; T.heaviside(x,y)
T.copysign(x,y) ; T.special.expit(x) ; T.special.erfcx(x) ; T.special.xlog1py(x,y)
T.special.i0e(x) ; T.special.logit(x) ; T.polygamma(1,x)
T.bucketize(x.detach(),y[0].detach().sort()[0])
T.searchsorted(y[0].detach().sort()[0],x.detach()) ; T.scatter_reduce(x,0,j,y,"amax")
T.index_add(x,0,i,y[:2]) ; T.take_along_dim(x,j,0) ; T.broadcast_to(x,(2,3,3)) ; T.atleast_3d(x)
T.deg2rad(x) ; T.rrelu(x,training=True) ; 2*x ; 2+x ; 2.5*c
"""


def _names(node: Any) -> Any:
    if node is None:
        return None
    above = [None if f is None else type(f).__name__ for f, _ in node.next_functions]
    return type(node).__name__, above


def _recorded(library: Any, expression: str) -> Any:
    library.manual_seed(0)
    numbers = library.tensor([[0.1, 0.5, 0.3], [0.7, 0.2, 0.9], [0.4, 0.8, 0.6]])
    x = numbers.clone().requires_grad_()
    names = {
        "T": library,
        "F": library.nn.functional,
        "x": x,
        "y": (numbers + 0.1).requires_grad_(),
        "c": x * 1,
        "p": x @ x.t() + library.eye(3),
        "m": numbers > 0.5,
        "i": library.tensor([0, 2]),
        "j": library.tensor([[0, 1, 2], [2, 1, 0], [1, 1, 0]]),
        "t": library.tensor([0, 2, 1]),
    }
    return _names(eval(expression, names).grad_fn)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("expression", re.split(r" ; |\n", EXPRESSIONS.strip()))
def test_nodes_and_what_they_lead_to_have_the_names_of_pytorch(expression: str) -> None:
    assert _recorded(tidu, expression) == _recorded(torch, expression)


def test_the_whole_tape_can_be_walked_through_by_next_functions() -> None:
    """What is a part of an operation is stepped over, and the rest is found behind it."""
    for library in (torch, tidu):
        x = library.ones(2, 3, requires_grad=True)
        y = library.stack([x, x.roll(1, 0)]).repeat(2, 1, 1).add(x.sum(), alpha=3).median(0)[0]
        found, waiting = [], [y.grad_fn]
        while waiting:
            node = waiting.pop()
            if node is not None:
                found.append(type(node).__name__)
                waiting += [following for following, _ in node.next_functions]
        wanted = ["AccumulateGrad"] * 3 + ["AddBackward0", "MedianBackward1", "RepeatBackward0"]
        assert sorted(found) == [*wanted, "RollBackward0", "StackBackward0", "SumBackward0"]
