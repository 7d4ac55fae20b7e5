"""A grid with points added to it: every budget then stands beside its size, and nothing that was planned moves."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace

from scaling.planning.candidates import Room, make_site
from scaling.planning.config import GridConfig, ReplicateConfig, SizeConfig
from scaling.planning.proposals import Proposals
from scaling.specs import Plan, PlannedPoint


@dataclass(frozen=True)
class Addition:
    """A point to add; held out, its loss is predicted before it is trained. `nominal_flops`: its isoFLOP budget."""

    size: SizeConfig
    tokens: int
    held_out: bool
    nominal_flops: float | None = None

    def budget(self, unit: float) -> float:
        """As a grid writes it: in its own units, of which a token is `unit`."""
        return self.tokens * unit if self.nominal_flops is None else self.nominal_flops


def additions(proposals: Proposals) -> list[Addition]:
    return [Addition(p.size, p.tokens, p.purpose == "form", p.nominal_flops) for p in proposals.points]


def extended_grid(room: Room, plan: Plan, added: Sequence[Addition], *, release: bool = False) -> GridConfig:
    """The grid whose plan has the points of `plan` and those added.

    The plan's held-out points stay so, or with `release` are fitted from now on: once predicted and scored, a point
    has done its duty. Raises ValueError for a grid over unique tokens.
    """
    grid = room.grid
    if grid.unique_tokens:
        raise ValueError(
            f"grid.unique_tokens is {list(grid.unique_tokens)}, and a point is added to a grid of fresh text alone: "
            "empty it, with grid.kind one of tokens, tokens_per_param and isoflop"
        )
    known = {size.name: size for size in grid.sizes}
    by_size: dict[str, list[PlannedPoint]] = {}
    for point in plan.points:
        if not point.replicate:
            by_size.setdefault(point.size, []).append(point)
    new = {addition.size.name: addition.size for addition in added if addition.size.name not in known}
    replicated = {replicate.size for replicate in grid.replicates}
    sizes = []
    for name, size in {**known, **new}.items():
        there = by_size.get(name, [])
        here = [addition for addition in added if addition.size.name == name]
        flops_per_token, params = _units(size, room)
        unit = {"tokens": 1.0, "tokens_per_param": 1.0 / params, "isoflop": float(flops_per_token)}[grid.kind]
        budgets = [_nominal(point, grid) for point in there] + [addition.budget(unit) for addition in here]
        held_out = [_nominal(point, grid) for point in there if point.held_out and not release]
        held_out += [addition.budget(unit) for addition in here if addition.held_out]
        if budgets or name in replicated:
            sizes.append(replace(size, budgets=_ascending(budgets) or size.budgets, held_out=_ascending(held_out)))
    replicates = tuple(replace(r, budgets=r.budgets or known[r.size].budgets or grid.budgets) for r in grid.replicates)
    return replace(grid, sizes=tuple(sizes), replicates=replicates, max_flops=None, holdout_share=0.0, holdout_min=0)


def _units(size: SizeConfig, room: Room) -> tuple[int, int]:
    site = make_site(size, room)
    return site.flops_per_token, site.params


def _nominal(point: PlannedPoint, grid: GridConfig) -> float:
    if grid.kind == "isoflop":
        assert point.nominal_flops is not None, "an isoFLOP plan has nominal FLOPs"
        return point.nominal_flops
    return point.nominal_tokens / point.params if grid.kind == "tokens_per_param" else point.nominal_tokens


def _ascending(budgets: Iterable[float]) -> tuple[float, ...]:
    return tuple(sorted(set(budgets)))


def grid_overrides(grid: GridConfig) -> str:
    """A grid's sizes and replicates as the overrides of a command line."""
    sizes = ", ".join(_flow(size) for size in grid.sizes)
    parts = [f"'grid.sizes=[{sizes}]'", "grid.holdout_share=0", "grid.max_flops=null"]
    if grid.replicates:
        parts.append(f"'grid.replicates=[{', '.join(_flow(replicate) for replicate in grid.replicates)}]'")
    return " ".join(parts)


def _flow(value: SizeConfig | ReplicateConfig) -> str:
    """A YAML flow mapping without what stands at its default."""
    items = []
    for entry in fields(value):
        content = getattr(value, entry.name)
        if content == entry.default:
            continue
        text = f"[{', '.join(f'{x:.17g}' for x in content)}]" if isinstance(content, tuple) else str(content)
        items.append(f"{entry.name}: {text}")
    return "{" + ", ".join(items) + "}"
