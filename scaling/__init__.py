"""A scaling-law study: plan a grid of decoders, train it, fit the laws, say what may be concluded.

The map, in the order in which a study flows (a room imports from the layers below its own):

library  `library`: fits, forecasts and studies as objects, to which `scaling` and `scaling.laws` give names
entry    `prepare` `plan` `sweep` `train` `fit` `status` `recommend` `compare` `tune` (`tune_corners`) `truth`
         `gpu_check`: a short module for each command; `cluster`: what a Slurm job runs; `command`, `keys`, `usage`,
         `reference`, `meanings`, `config_folder`: shared by them
stages   `stages`: what several commands do: plan, check, calibrate, launch, look, finish, go on in rounds; `gpu_check`
         inside it: whether a GPU computes what a CPU does
edge     `config`: YAML to frozen dataclasses, validated before anything runs; `experiments`: and back to YAML
verbs    `planning`: rules for learning rate, batch and shapes; grids; what a plan costs
         `tuning`: a recipe found at a proxy size and held against noise; the rates of a grid's corners
         `launching`: run folders on the slots of a machine
         `training`: one trajectory from its spec to its records
         `analysis`: records, or any table of losses, to observations, laws, forecasts, results
         `checks`: pitfalls, each a function from plan or records to a finding
         `report`: figures, tables, pages, TensorBoard's analysis run
         `sinks`: points that have ended, to W&B or MLflow
nouns    `specs`: what shall be trained; `records`, `curves`: what happened; `findings`: what a check saw
         `machine`: a worker's place; `datasheets`, `verdicts`: what vendors say of a GPU, and what its check found
         `speeds`: what a step takes on this machine; `corners`: a grid's learning rates, checked
         `trainers`: a trainer of somebody else, what it is told and where its numbers stand
         `tables`: anyone's table of losses, read with an account of every line
         `shapes`: which sizes of a plan differ in their shape and not in N
         `results`: what a study found; `decisions`: what `recommend` and `compare` answer; `store`: its ledger and
         database; `values`, `json_text`: dataclasses from and to JSON
         `folders`: whose a folder is, who writes it now; `terminal`: what commands say
         `names`, `numbers`, which everyone may use: what a mistyped name may have meant, numbers as they are read
         `exits`: exit codes; `lazy`: public names that are imported when they are used
leaves   `model`: the decoder, its parameter and FLOP counts
         `data`: corpora, tokenizers, token files
         `laws`: functional forms, fits, intervals (numpy and scipy alone)
"""

from scaling.lazy import lazy_names

TYPE_CHECKING = False  # and true to a type checker, as that of `typing`, which takes longer to import than all else
if TYPE_CHECKING:
    from scaling.library.commands import plan, recommend, sweep
    from scaling.library.study import Study, load

__version__ = "0.2.0"
__all__ = ["Study", "load", "plan", "recommend", "sweep"]

lazy_names(
    __name__,
    {
        **dict.fromkeys(("plan", "recommend", "sweep"), "scaling.library.commands"),
        **dict.fromkeys(("Study", "load"), "scaling.library.study"),
    },
)
