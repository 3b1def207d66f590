"""The Mersenne Twister as native code: a block of 624 words in a few hundred nanoseconds. And what
dropout makes of them.

Words of a block depend on words 227 or 397 places away, so a vector of them is computed at once.
"""

from __future__ import annotations

import ctypes
from functools import cache as cache_once
from typing import TYPE_CHECKING, Any

from tidu.base.deferred import DeferredModule
from tidu.base.random import mersenne

if TYPE_CHECKING:
    from tidu.compiler import cache, llvm
else:
    cache = DeferredModule("tidu.compiler.cache")
    llvm = DeferredModule("tidu.compiler.llvm")

_BLOCK, _FAR = mersenne.BLOCK, 397
_NEAR = _BLOCK - _FAR  # 227


def _renew(lanes: int, first: str, other: str, kind: str) -> str:
    """Text: word %i (and its neighbors) from the next one and the one `other` places away."""

    def number(n: int) -> str:
        return str(n) if lanes == 1 else f"splat (i32 {n})"

    p = f"%{first}"
    return f"""
  {p}.at = getelementptr i32, ptr %key, i64 {p}
  {p}.next = add i64 {p}, 1
  {p}.next.at = getelementptr i32, ptr %key, i64 {p}.next
  {p}.far = add i64 {p}, {other}
  {p}.far.at = getelementptr i32, ptr %key, i64 {p}.far
  {p}.this = load {kind}, ptr {p}.at, align 4
  {p}.following = load {kind}, ptr {p}.next.at, align 4
  {p}.old = load {kind}, ptr {p}.far.at, align 4
  {p}.upper = and {kind} {p}.this, {number(-(1 << 31))}
  {p}.lower = and {kind} {p}.following, {number((1 << 31) - 1)}
  {p}.both = or {kind} {p}.upper, {p}.lower
  {p}.half = lshr {kind} {p}.both, {number(1)}
  {p}.odd = and {kind} {p}.both, {number(1)}
  {p}.all = sub {kind} {number(0)}, {p}.odd
  {p}.matrix = and {kind} {p}.all, {number(0x9908B0DF - (1 << 32))}
  {p}.mixed = xor {kind} {p}.half, {p}.matrix
  {p}.new = xor {kind} {p}.mixed, {p}.old
  store {kind} {p}.new, ptr {p}.at, align 4"""


def _loop(name: str, before: str, start: int, stop: int, step: int, body: str, after: str) -> str:
    return f"""
{name}:
  %{name}.i = phi i64 [{start}, %{before}], [%{name}.more, %{name}]{body}
  %{name}.more = add i64 %{name}.i, {step}
  %{name}.left = icmp slt i64 %{name}.more, {stop}
  br i1 %{name}.left, label %{name}, label %{after}
"""


def _words_text(lanes: int) -> str:
    """Blocks of words, by vectors of so many."""
    wide = f"<{lanes} x i32>"
    # Loops run once at least, so at least one word is left for those that make them one by one.
    whole_near = (_NEAR - 1) // lanes * lanes
    whole_far = _NEAR + (_BLOCK - 2 - _NEAR) // lanes * lanes

    def splat(n: int) -> str:
        return f"splat (i32 {n})"

    temper = f"""
  %t.at = getelementptr i32, ptr %key, i64 %temper.i
  %t.0 = load {wide}, ptr %t.at, align 4
  %t.a = lshr {wide} %t.0, {splat(11)}
  %t.1 = xor {wide} %t.0, %t.a
  %t.b = shl {wide} %t.1, {splat(7)}
  %t.c = and {wide} %t.b, {splat(0x9D2C5680 - (1 << 32))}
  %t.2 = xor {wide} %t.1, %t.c
  %t.d = shl {wide} %t.2, {splat(15)}
  %t.e = and {wide} %t.d, {splat(0xEFC60000 - (1 << 32))}
  %t.3 = xor {wide} %t.2, %t.e
  %t.f = lshr {wide} %t.3, {splat(18)}
  %t.4 = xor {wide} %t.3, %t.f
  %t.out = getelementptr i32, ptr %into, i64 %temper.i
  store {wide} %t.4, ptr %t.out, align 4"""
    return f"""
; `blocks` blocks of words from the state `key`, which is left at the end of the last.
define void @tidu_mersenne(ptr %key, ptr %out, i64 %blocks) nounwind {{
entry:
  %some = icmp sgt i64 %blocks, 0
  br i1 %some, label %block, label %done

block:
  %b = phi i64 [0, %entry], [%b.next, %filled]
  %start = mul i64 %b, {_BLOCK}
  %into = getelementptr i32, ptr %out, i64 %start
  br label %near
{_loop("near", "block", 0, whole_near, lanes, _renew(lanes, "near.i", str(_FAR), wide), "near1")}
{_loop("near1", "near", whole_near, _NEAR, 1, _renew(1, "near1.i", str(_FAR), "i32"), "far")}
{_loop("far", "near1", _NEAR, whole_far, lanes, _renew(lanes, "far.i", str(-_NEAR), wide), "far1")}
{_loop("far1", "far", whole_far, _BLOCK - 1, 1, _renew(1, "far1.i", str(-_NEAR), "i32"), "last")}
last:
  ; The word after the last is the first.
  %last.i = add i64 {_BLOCK - 1}, 0
  %wrap.at = getelementptr i32, ptr %key, i64 {_BLOCK}
  %first = load i32, ptr %key, align 4
  store i32 %first, ptr %wrap.at, align 4{_renew(1, "last.i", str(-_NEAR), "i32")}
  br label %temper
{_loop("temper", "last", 0, _BLOCK, lanes, temper, "filled")}
filled:
  %b.next = add i64 %b, 1
  %more = icmp slt i64 %b.next, %blocks
  br i1 %more, label %block, label %done

done:
  ret void
}}
"""


def _compare(lanes: int) -> str:
    """Text: whether the low 53 bits of pair %i (and its neighbors) are below the limit."""
    place = "one" if lanes == 1 else "many"
    kind = "i32" if lanes == 1 else f"<{lanes} x i32>"
    flags, bytes_ = ("i1", "i8") if lanes == 1 else (f"<{lanes} x i1>", f"<{lanes} x i8>")
    pairs = f"<{2 * lanes} x i32>"

    def every_other(first: int) -> str:
        if lanes == 1:
            return f"extractelement {pairs} %{place}.pairs, i64 {first}"
        order = ", ".join(f"i32 {first + 2 * lane}" for lane in range(lanes))
        return f"shufflevector {pairs} %{place}.pairs, {pairs} poison, <{lanes} x i32> <{order}>"

    def number(name: str) -> str:
        return f"%{name}" if lanes == 1 else f"%{name}.splat"

    mask = (1 << 21) - 1
    return f"""
  %{place}.first = mul i64 %{place}.i, 2
  %{place}.at = getelementptr i32, ptr %words, i64 %{place}.first
  %{place}.pairs = load {pairs}, ptr %{place}.at, align 4
  %{place}.upper = {every_other(0)}
  %{place}.low = {every_other(1)}
  %{place}.high = and {kind} %{place}.upper, {mask if lanes == 1 else f"splat (i32 {mask})"}
  %{place}.less = icmp ult {kind} %{place}.high, {number("top")}
  %{place}.equal = icmp eq {kind} %{place}.high, {number("top")}
  %{place}.rest = icmp ult {kind} %{place}.low, {number("bottom")}
  %{place}.tie = and {flags} %{place}.equal, %{place}.rest
  %{place}.below = or {flags} %{place}.less, %{place}.tie
  %{place}.byte = zext {flags} %{place}.below to {bytes_}
  %{place}.out = getelementptr i8, ptr %out, i64 %{place}.i
  store {bytes_} %{place}.byte, ptr %{place}.out, align 1"""


def _below_text(lanes: int) -> str:
    wide = f"<{lanes} x i32>"

    def splat(name: str) -> str:
        return f"""
  %{name}.one = insertelement {wide} poison, i32 %{name}, i64 0
  %{name}.splat = shufflevector {wide} %{name}.one, {wide} poison, {wide} zeroinitializer"""

    return f"""
; For each of `count` pairs of words: whether the low 53 bits are less than top and bottom together.
define void @tidu_below(ptr %words, ptr %out, i64 %count, i32 %top, i32 %bottom) nounwind {{
entry:{splat("top")}{splat("bottom")}
  br label %many

many:
  %many.i = phi i64 [0, %entry], [%many.next, %many.work]
  %many.next = add i64 %many.i, {lanes}
  %many.fit = icmp sle i64 %many.next, %count
  br i1 %many.fit, label %many.work, label %one

many.work:{_compare(lanes)}
  br label %many

one:
  %one.i = phi i64 [%many.i, %many], [%one.next, %one.work]
  %one.left = icmp slt i64 %one.i, %count
  br i1 %one.left, label %one.work, label %done

one.work:{_compare(1)}
  %one.next = add i64 %one.i, 1
  br label %one

done:
  ret void
}}
"""


_BERNOULLI_TEXT = f"""
; What `tidu_below` says of the next `count` pairs of words: of those in `words` from `start` on,
; which is even, then of blocks made from the state `key`. `words` has room for one block, of which
; the last is left there, after `odd` words: 1 where pairs lie partly in one block and partly in the
; next, else 0.
define void @tidu_bernoulli(
  ptr %key, ptr %words, i64 %odd, i64 %start, ptr %out, i64 %count, i32 %top, i32 %bottom
) nounwind {{
entry:
  %room = add i64 {_BLOCK}, %odd
  %waiting = sub i64 %room, %start
  %pairs = lshr i64 %waiting, 1
  %here = call i64 @llvm.smin.i64(i64 %pairs, i64 %count)
  %first = getelementptr i32, ptr %words, i64 %start
  %made = getelementptr i32, ptr %words, i64 %odd
  %last = getelementptr i32, ptr %words, i64 {_BLOCK}
  call void @tidu_below(ptr %first, ptr %out, i64 %here, i32 %top, i32 %bottom)
  br label %next

next:
  %done = phi i64 [%here, %entry], [%more, %block]
  %left = sub i64 %count, %done
  %some = icmp sgt i64 %left, 0
  br i1 %some, label %carry, label %end

carry:
  %parted = icmp eq i64 %odd, 1
  br i1 %parted, label %parts, label %block

parts:
  %carried = load i32, ptr %last, align 4
  store i32 %carried, ptr %words, align 4
  br label %block

block:
  %now = call i64 @llvm.smin.i64(i64 %left, i64 {_BLOCK // 2})
  %into = getelementptr i8, ptr %out, i64 %done
  call void @tidu_mersenne(ptr %key, ptr %made, i64 1)
  call void @tidu_below(ptr %words, ptr %into, i64 %now, i32 %top, i32 %bottom)
  %more = add i64 %done, %now
  br label %next

end:
  ret void
}}

declare i64 @llvm.smin.i64(i64, i64)
"""


def text(lanes: int) -> str:
    """The module, for vectors of so many words."""
    return _words_text(lanes) + _below_text(lanes) + _BERNOULLI_TEXT


@cache_once
def _functions() -> tuple[Any, Any]:
    names = ["tidu_mersenne", "tidu_bernoulli"]
    found = llvm.load([cache.object_code(text(llvm.vector_bytes() // 4))], names)
    pointer, long, word = ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint32
    kinds = (
        (pointer, pointer, long),
        (pointer, pointer, long, long, pointer, long, word, word),
    )
    words, below = (
        ctypes.CFUNCTYPE(None, *kind)(found[name]) for name, kind in zip(names, kinds, strict=True)
    )
    return words, below


def fill(key: mersenne.Array, out: mersenne.Array) -> None:
    """Whole blocks of words into `out`; `key` has room for one word more than the state."""
    _functions()[0](key.ctypes.data, out.ctypes.data, out.size // _BLOCK)


def fill_below(
    key: mersenne.Array, words: mersenne.Array, start: int, out: mersenne.Array, limit: int
) -> None:
    """Whether the low 53 bits of pairs of words are less than `limit`; see `mersenne.Source`."""
    _functions()[1](
        key.ctypes.data, words.ctypes.data, words.size - _BLOCK, start,
        out.ctypes.data, out.size, limit >> 32, limit & 0xFFFFFFFF,
    )  # fmt: skip


def install() -> None:
    """Let random streams make their words, and booleans, with these."""
    mersenne.source.fill = fill
    mersenne.source.fill_below = fill_below
