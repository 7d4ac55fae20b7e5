"""From points of a space to recipes, and the spaces that ship."""

from dataclasses import replace

import pytest
from hydra import compose, initialize_config_dir

from scaling.command import config_folder
from scaling.config import tune_config
from scaling.tuning import space
from scaling.tuning.config import Dimension
from tests.planning.conftest import RECIPE, plan


def test_a_point_replaces_numbers_and_multiplies_rates() -> None:
    recipe = space.with_values(RECIPE, {"beta2": 0.95, "batch_tokens": 1024.0, "lr_multiple": 2.0, "matrix_lr": 0.001})
    assert recipe == replace(
        RECIPE,
        beta2=0.95,
        batch_tokens=1024,
        matrix_lr=0.002,
        embedding_lr=2 * RECIPE.embedding_lr,
        vector_lr=2 * RECIPE.vector_lr,
    )
    assert isinstance(recipe.batch_tokens, int)


def test_a_name_that_is_no_number_of_the_recipe_is_refused() -> None:
    for name in ("schedule", "learning_rate"):
        with pytest.raises(ValueError, match=f"space has '{name}', which is no number of the recipe: there is"):
            space.require_known(RECIPE, [name])


def test_a_grid_is_every_combination_at_equal_distances() -> None:
    dimensions = {
        "matrix_lr": Dimension(low=0.001, high=0.004, log=True, grid_points=3),
        "beta2": Dimension(choices=(0.9, 0.99)),
    }
    points = list(space.grid(dimensions))
    assert len(points) == 6
    assert [p["matrix_lr"] for p in points[::2]] == pytest.approx([0.001, 0.002, 0.004])


def test_the_default_is_a_point_where_the_space_holds_it() -> None:
    assert space.default_values(RECIPE, {"lr_multiple": Dimension(low=0.5, high=2.0)}) == {"lr_multiple": 1.0}
    assert space.default_values(RECIPE, {"beta2": Dimension(choices=(0.9, 0.95))}) is None


@pytest.mark.parametrize("path", sorted((config_folder() / "space").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_space_that_ships_holds_its_recipe(path: object) -> None:
    name = path.stem  # type: ignore[attr-defined]
    recipe = "muon" if name == "muon" else "wsd"
    with initialize_config_dir(str(config_folder().resolve()), version_base="1.3"):
        config, options = tune_config(compose("tune", [f"space={name}", f"recipe={recipe}"]))
    space.require_known(config.recipe, options.space)
    own = space.default_values(config.recipe, options.space)
    assert own is not None
    assert space.with_values(config.recipe, own) == config.recipe


def test_a_rate_can_follow_the_parameters() -> None:
    """Rates at N over those at the reference: the ratio of parameters to the exponent, beside muP's 1/width."""
    flat, rising = plan(), plan(recipe={"lr_exponent": 0.5})
    for before, after, point in zip(flat.runs, rising.runs, flat.points[::4], strict=True):
        growth = (point.params / RECIPE.reference_params) ** 0.5
        assert after.optimizer.matrix_lr == pytest.approx(growth * before.optimizer.matrix_lr)
        assert after.optimizer.embedding_lr == pytest.approx(growth * before.optimizer.embedding_lr)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"low": 1.0}, "either choices, or low and high"),
        ({"low": 2.0, "high": 1.0}, "low must be below high"),
        ({"low": 0.0, "high": 1.0, "log": True}, "it must be positive"),
        ({"choices": ()}, "no choices"),
    ],
)
def test_impossible_dimensions_are_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Dimension(**values)  # type: ignore[arg-type]
