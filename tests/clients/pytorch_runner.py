"""Runs programs under PyTorch, each in a fork of a process that has imported it once.

Reads lines "PROGRAM OUTPUT" from standard input and answers each with the program's exit status.
"""

from __future__ import annotations

import os
import runpy
import sys
import traceback

import torch

# As much as `import torch` alone has not loaded yet, but most programs need.
import torch.optim
import torch.utils.data


def run(program: str, output: str) -> int:
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 0
    with open(output, "w") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
    os.chdir(os.path.dirname(output))
    sys.argv = [program]
    try:
        runpy.run_path(program, run_name="__main__")
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    torch.set_num_threads(1)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    for line in sys.stdin:
        print(run(*line.split()), file=answers, flush=True)
