"""What vendors say of their GPUs: dense products, memory, bandwidth, power. None of it was measured here.

From the vendors' data sheets; where those give products with structured sparsity, half of that.
"""

from dataclasses import dataclass

TERA, GIGA, GIB = 1e12, 1e9, 2**30


@dataclass(frozen=True)
class DataSheet:
    """`name` is a part of what `torch.cuda.get_device_name` and nvidia-smi say; `bf16` and `fp16` are dense FLOP/s with
    float32 sums (None: no such units), `tf32_share` the part of bf16's that TensorFloat-32 has."""

    name: str
    bf16: float | None
    fp16: float
    memory_bytes: int
    bytes_per_second: float
    watts: float
    tf32_share: float = 0.5

    def flops_per_second(self, precision: str) -> float | None:
        """None where it has no units for that, or the sheet is silent."""
        if precision == "bf16":
            return self.bf16
        if precision == "tf32":
            return None if self.bf16 is None else self.bf16 * self.tf32_share
        return self.fp16 if precision == "fp16" else None


def _sheet(
    name: str, tflops: float, gib: int, gbytes: float, watts: float, *, bf16: bool = True, tf32_share: float = 0.5
) -> DataSheet:
    speed = tflops * TERA
    return DataSheet(name, speed if bf16 else None, speed, gib * GIB, gbytes * GIGA, watts, tf32_share)


# The longer names first: "H100 PCIe" is no "H100".
SHEETS = (
    _sheet("H100 PCIe", 756, 80, 2000, 350),
    _sheet("H100 NVL", 835, 94, 3900, 400),
    _sheet("H100", 989, 80, 3350, 700),
    _sheet("GH200", 989, 96, 4000, 700),
    _sheet("H200", 989, 141, 4800, 700),
    _sheet("H800", 989, 80, 3350, 700),
    _sheet("GB200", 2500, 186, 8000, 1200),
    _sheet("B200", 2250, 180, 8000, 1000),
    _sheet("A100", 312, 80, 2039, 400),
    _sheet("A800", 312, 80, 2039, 400),
    _sheet("A10G", 70, 24, 600, 300),
    _sheet("A10", 125, 24, 600, 150),
    _sheet("A30", 165, 24, 933, 165),
    _sheet("A40", 150, 48, 696, 300),
    _sheet("L40S", 362, 48, 864, 350),
    _sheet("L40", 181, 48, 864, 300),
    _sheet("L4", 121, 24, 300, 72),
    _sheet("RTX A6000", 155, 48, 768, 300),
    _sheet("RTX 6000 Ada", 364, 48, 960, 300),
    # Of GeForce cards with float32 sums; half of what they do with float16's.
    _sheet("RTX 3090", 71, 24, 936, 350),
    _sheet("RTX 4090", 165, 24, 1008, 450),
    _sheet("RTX 5090", 210, 32, 1792, 575),
    _sheet("V100", 125, 32, 900, 300, bf16=False),
    _sheet("T4", 65, 16, 320, 70, bf16=False),
    _sheet("MI300X", 1307, 192, 5300, 750),
)


def data_sheet(device_name: str) -> DataSheet | None:
    """Of the GPU that a driver calls `device_name`; None for one that is not in the table, or a part or a slower kin of
    one that is."""
    words = device_name.replace("-", " ").split()
    if {"Laptop", "Max", "MIG"} & set(words):
        return None
    for sheet in SHEETS:
        parts = sheet.name.split()
        if any(words[i : i + len(parts)] == parts for i in range(len(words))):
            return sheet
    return None
