"""`python -m scaling_call package.module:function`: hands a trainer.call the point, and the loss that it returns back."""

import importlib
import os
import sys

from scaling_point import point

sys.path.insert(0, os.getcwd())
module, _, name = sys.argv[1].partition(":")
answer = getattr(importlib.import_module(module), name)(point)
if answer is not None:
    point.finish(loss=answer)
