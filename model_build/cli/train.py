"""The commands `train`, `average-weights` and `validate`."""

import argparse
import sys
from pathlib import Path

from model_build.cli.options import DATA, RECIPE, STRETCHED, TRAINING, Subparsers, add_command, device


def register(subparsers: Subparsers) -> None:
    """Add the commands to the parser."""
    text = "train a network; --resume continues an interrupted run"
    train = add_command(subparsers, "train", _train, text, DATA, STRETCHED, RECIPE, TRAINING)
    train.add_argument("run", type=Path, help="run directory: checkpoint, log and model are written to it")
    train.add_argument("--seed", type=int, help="override the seed of the recipe")
    train.add_argument("--grad-accum-steps", type=int, help="override grad_accum_steps of the recipe")
    train.add_argument("--resume", action="store_true", help="continue from the last checkpoint of the run directory")
    text = "drop training frames that show the same picture as a validation or test frame"
    train.add_argument("--drop-near-duplicates", action="store_true", help=text)
    text = "finished run whose weights to start from (default: ImageNet weights); see `import-weights`"
    train.add_argument("--start", type=Path, metavar="RUN", help=text)
    text = "finished run whose network teaches, for a recipe that has a distillation"
    train.add_argument("--teacher", type=Path, metavar="RUN", help=text)
    text = "published weights of SonoNet-16 (.npz), whose features the teacher's probe is fitted to"
    train.add_argument("--sononet", type=Path, metavar="FILE", help=text)
    text = "write RUN/tensorboard (needs: pip install tensorboard)"
    train.add_argument("--tensorboard", action="store_true", help=text)

    text = "average the weights of runs (a model soup) into a new run"
    average = add_command(subparsers, "average-weights", _average_weights, text, DATA, STRETCHED)
    average.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run directories with the same network")
    average.add_argument("--out", type=Path, required=True, help="run directory to write")

    validate = add_command(subparsers, "validate", _validate, "compare runs on their validation patients", DATA)
    validate.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run directories with the same split")
    validate.add_argument("--out", type=Path, required=True, help="CSV file to write")
    text = "also score the teacher of the first distilled run: the run whose network taught it; needs --sononet"
    validate.add_argument("--teacher", type=Path, metavar="RUN", help=text)
    validate.add_argument("--sononet", type=Path, metavar="FILE", help="published weights of SonoNet-16 (.npz)")


def _train(options: argparse.Namespace) -> None:
    from model_build.recipe import load_recipe
    from model_build.training.distillation import TeacherFiles
    from model_build.training.distributed import join_distributed
    from model_build.training.run import train_run
    from model_build.training.trainer import RunOptions

    recipe = load_recipe(options.recipe)
    if options.seed is not None:
        recipe = recipe.model_copy(update={"seed": options.seed})
    if options.grad_accum_steps is not None:
        if options.grad_accum_steps < 1:
            raise ValueError(f"--grad-accum-steps is {options.grad_accum_steps}; it must be at least 1")
        training = recipe.training.model_copy(update={"grad_accum_steps": options.grad_accum_steps})
        recipe = recipe.model_copy(update={"training": training})
    with join_distributed(device(options)) as distributed:
        run_options = RunOptions(
            distributed,
            workers=options.workers,
            resume=options.resume,
            weights=options.weights,
            start=options.start,
            teacher=TeacherFiles(options.teacher, options.sononet) if options.teacher else None,
            cache=options.cache,
            drop_near_duplicates=options.drop_near_duplicates,
            tensorboard=options.tensorboard,
        )
        train_run(recipe, options.data, options.run, run_options, options.stretched)


def _average_weights(options: argparse.Namespace) -> None:
    from model_build.training.weight_averaging import average_weights

    average_weights(options.runs, options.out, options.data, options.stretched)


def _validate(options: argparse.Namespace) -> None:
    from model_build.evaluation.tables import write_table
    from model_build.evaluation.validation import VIEWS, validate

    others = {}
    if options.teacher:
        from model_build.training.distillation import TeacherFiles, teacher_of

        others["teacher"] = teacher_of(options.runs, TeacherFiles(options.teacher, options.sononet))
    rows = validate(options.runs, options.data, others)
    write_table(options.out, rows)
    for row in rows:
        scores = ", ".join(f"{row[f'top1_at_{suffix}']:.4f} at {suffix}" for suffix in VIEWS)
        sys.stdout.write(f"{row['run']}: top-1 {scores}\n")
