"""What torch finds in a slot, as JSON: `python -m scaling.training.describe '{"device": "auto", "precision": "auto"}'`.

A process of its own: who plans imports no torch, and who forks has not touched a GPU. Where there is no such device it
says so in a line on standard error, with an exit code.
"""

import json
import sys

import torch

from scaling.training.config import Runtime
from scaling.training.device import choose_device, choose_precision, device_name, device_words


def describe(runtime: Runtime) -> dict[str, object]:
    device = choose_device(runtime)
    precision = choose_precision(runtime, device)
    on_gpu = device.type == "cuda"
    return {
        "name": device_name(device),
        "words": device_words(device, precision),
        "torch": torch.__version__,
        "precision": precision,
        "memory_bytes": torch.cuda.mem_get_info(device)[1] if on_gpu else 0,
    }


def main() -> None:
    try:
        print(json.dumps(describe(Runtime(**json.loads(sys.argv[1])))))
    except (ValueError, RuntimeError) as error:
        print(str(error).split("\n", maxsplit=1)[0], file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
