"""The kernels that are loaded in this process: compiled for a plan, or found on disk."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence

from tidu.compiler import cache, llvm
from tidu.compiler.modules import Function, Module, modules
from tidu.compiler.statistics import statistics

# How many kernels are put into one module: each module costs a millisecond whatever is in it.
_KERNELS_IN_MODULE = 8


class Kernels:
    """Their addresses by their names, and the key of the module that each is in, on disk."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.addresses: dict[str, int] = {}
        self.keys: dict[str, str] = {}

    def get(self, functions: Mapping[str, Function]) -> dict[str, int]:
        """The addresses of all kernels, with these among them."""
        with self.lock:
            missing = {n: f for n, f in functions.items() if n not in self.addresses}
            if missing:
                texts = modules(missing, _KERNELS_IN_MODULE)
                self._note(llvm.load(_compiled(texts), missing))
                for module in texts:
                    self.keys.update(dict.fromkeys(module.names, cache.key_of(module.text)))
            return self.addresses

    def modules_of(self, names: Iterable[str]) -> dict[str, list[str]]:
        """The modules of some kernels by their keys, each with those of the names that it has."""
        found: dict[str, list[str]] = {}
        for name in names:
            found.setdefault(self.keys[name], []).append(name)
        return found

    def find(self, wanted: Mapping[str, Sequence[str]]) -> bool:
        """Load kernels from disk, of modules as `modules_of` tells. Whether they are all there."""
        with self.lock:
            missing = {
                key: names
                for key, names in wanted.items()
                if not all(name in self.addresses for name in names)
            }
            found = [(key, names, cache.load(key)) for key, names in missing.items()]
            if not all(code for _, _, code in found):
                return False
            for key, names, code in found:
                assert code is not None
                new = [name for name in names if name not in self.addresses]
                # One by one: modules of different processes may have kernels in common.
                self._note(llvm.load([code], new))
                self.keys.update(dict.fromkeys(new, key))
            return True

    def _note(self, addresses: dict[str, int]) -> None:
        self.addresses.update(addresses)
        statistics.kernels += len(addresses)

    def after_fork(self) -> None:
        """The thread that held the lock is not in the child."""
        self.lock = threading.Lock()


kernels = Kernels()
os.register_at_fork(after_in_child=kernels.after_fork)


def _compiled(texts: Sequence[Module]) -> list[bytes]:
    """The object code of modules; two threads share the work, which is done without the GIL."""
    objects = [b""] * len(texts)
    errors: list[Exception] = []

    def work(first: int) -> None:
        try:
            for i in range(first, len(texts), 2):
                objects[i] = cache.object_code(texts[i].text)
        except Exception as error:
            errors.append(error)

    helper = threading.Thread(target=work, args=(1,), daemon=True)
    helper.start()
    work(0)
    helper.join()
    if errors:
        raise errors[0]
    return objects
