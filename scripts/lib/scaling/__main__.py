"""Strong and weak scaling study of a deck: runs all configurations and writes the report. Started by scripts/scaling."""
import argparse
import json
import pathlib
import shutil
import sys

import report
from study import ROOT, Study, batch_of


def numbers(text):
    try:
        found = [int(word) for word in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of numbers such as 1,2,4") from None
    if not found or min(found) < 1 or sorted(set(found)) != found:
        raise argparse.ArgumentTypeError(f"'{text}' is not a growing list of numbers from 1 on")
    return found


def share(text):
    try:
        found = float(text)
    except ValueError:
        found = -1
    if not found > 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")
    return found


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/scaling", description=__doc__, epilog="Other arguments, such as --model.input=4x64x64x64, go to every run.")
    parser.add_argument("mode", choices=["strong", "weak"], help="strong: the global batch size is fixed; weak: the batch size per rank is fixed")
    parser.add_argument("deck")
    parser.add_argument("--ranks", type=numbers, default=[1, 2], metavar="1,2,4", help="numbers of MPI ranks (default 1,2)")
    parser.add_argument("--threads", type=numbers, default=[1], metavar="1,2", help="threads per rank (default 1)")
    parser.add_argument("--repeats", type=int, default=5, help="repeats of each configuration (default 5)")
    parser.add_argument("--steps", type=int, default=40, help="steps per run (default 40)")
    parser.add_argument("--warm-up", type=int, default=8, help="first steps of each run that are not measured (default 8)")
    parser.add_argument("--out", help="folder of the study; it also keeps finished runs (default runs/scaling/MODE-DECK)")
    parser.add_argument("--machine", default=str(ROOT / "scripts" / "machines" / "lumi-c.json"),
                        help="machine file for the extrapolation (default scripts/machines/lumi-c.json)")
    parser.add_argument("--nodes", type=numbers, default=[1, 4, 16, 64, 256, 1024], help="numbers of nodes for the extrapolation (default: up to 1024)")
    parser.add_argument("--max-spread", type=share, default=0.2, metavar="SHARE",
                        help="largest (slowest - fastest) / median of the repeats of a configuration; with more, the study counts as disturbed and the report "
                             "does not extrapolate it (default 0.2)")
    parser.add_argument("--note", default="", help="a sentence for the report, such as other load on the machine")
    parser.add_argument("--slurm", action="store_true",
                        help="submit the runs to Slurm, one job per configuration; run the same command again to get the report")
    parser.add_argument("--sbatch", default="", metavar="'-p batch -t 30'", help="options for sbatch")
    parser.add_argument("--wait", action="store_true", help="with --slurm: wait for the jobs, then write the report")
    parser.add_argument("--poll", type=float, default=5, help=argparse.SUPPRESS)
    parser.add_argument("--program", default=str(ROOT / "build" / "release" / "trireme"), help="the trireme program (default build/release/trireme)")
    options, options.overrides = parser.parse_known_args()
    for word in options.overrides:
        if not (word.startswith("--") and "." in word.split("=")[0] and "=" in word):
            parser.error(f"unknown option '{word}'; keys of the deck are given as --section.key=value")
    options.deck = str(pathlib.Path(options.deck))
    if not pathlib.Path(options.deck).is_file():
        parser.error(f"there is no deck '{options.deck}'")
    if options.repeats < 1 or options.steps <= options.warm_up + 1:
        parser.error("--repeats is at least 1, and --steps more than --warm-up and one")
    if options.mode == "weak" and any(ranks % options.ranks[0] for ranks in options.ranks):
        parser.error("weak scaling needs multiples of the fewest ranks")
    options.batch = batch_of(options.deck, options.overrides)
    options.overrides = [word for word in options.overrides if not word.startswith("--data.batch=")]
    options.out = options.out or str(pathlib.Path("runs") / "scaling" / "-".join([options.mode, *pathlib.Path(options.deck).with_suffix("").parts[-2:]]))
    options.program = shutil.which(options.program) or options.program
    try:
        options.machine = json.loads(pathlib.Path(options.machine).read_text())
    except (OSError, ValueError) as error:
        parser.error(f"machine file '{options.machine}': {error}")
    return options


def main():
    options = arguments()
    study = Study(options)
    study.folder.mkdir(parents=True, exist_ok=True)
    missing = study.missing()
    print(f"==> {options.mode} scaling of {options.deck}: {len(study.runs())} runs, {len(study.runs()) - len(missing)} of them are there already", flush=True)
    if options.slurm:
        study.submit()
        if options.wait:
            study.wait()
        if study.missing():
            if study.waiting():
                print("    the same command again writes the report when the jobs are done")
                return
            sys.exit(f"error: {len(study.missing())} runs did not finish; logs are in {study.folder / 'jobs'}")
    else:
        study.run_here()
    file, refused = report.write(study)
    for sentence in refused:
        print(f"==> no extrapolation: {sentence}")
    print(f"==> report: {file}")


if __name__ == "__main__":
    main()
