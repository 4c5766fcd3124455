"""Writes the report of a study: report.md, its plots, and scaling.csv with every repeat."""
import csv
import datetime
import os
import platform
import statistics

import fits
import measurements
import model
import plots


def table(repeats):
    """A row for each number of ranks: medians of the repeats, and the least and greatest of step, speed-up and efficiency. {ranks: [figures, ...]}."""
    figures = model.medians(repeats)
    first = min(repeats)
    rows = []
    for ranks in sorted(repeats):
        row = dict(figures[ranks], ranks=ranks, repeats=len(repeats[ranks]))
        grown = row["batch"] / figures[first]["batch"]  # work of a step against that on the fewest ranks
        # The spread is that of these repeats against the median on the fewest ranks.
        times = {"": row["step"], "_low": max(run["step"] for run in repeats[ranks]), "_high": min(run["step"] for run in repeats[ranks])}
        for end, seconds in times.items():
            row[f"speedup{end}"] = grown * figures[first]["step"] / seconds
            row[f"efficiency{end}"] = row[f"speedup{end}"] * first / ranks
        row["step_low"], row["step_high"] = times["_high"], times["_low"]
        rows.append(row)
    return rows


def with_interval(value, draws, form="{:.3f}"):
    low, high = fits.interval(draws)
    return f"{form.format(value)} ({form.format(low)} to {form.format(high)})"


def laws(repeats, mode):
    """Lines of the table of fits for one number of threads: the value and its 90 % interval from the repeats. Empty for one number of ranks."""
    if len(repeats) < 2:
        return []
    if max(len(runs) for runs in repeats.values()) < 2:
        form = lambda value, draws: f"{value:.3f} (one repeat: no interval)"  # noqa: E731
    else:
        form = with_interval

    def statistic(sample):
        figures = model.medians(sample)
        ranks = sorted(figures)
        first = ranks[0]
        relative = [n / first for n in ranks]
        step = [figures[n]["step"] for n in ranks]
        if mode == "strong":
            serial, parallel = fits.amdahl(relative, step)
            found = {"Amdahl: serial fraction": serial / (serial + parallel)}
            speedup = [step[0] / t for t in step]
        else:
            speedup = [figures[n]["batch"] / figures[first]["batch"] * step[0] / figures[n]["step"] for n in ranks]
            found = {"Gustafson: serial fraction": fits.gustafson(relative, speedup)}
        for n, s in zip(relative[1:], speedup[1:]):
            found[f"Karp-Flatt on {int(n * first)} ranks"] = fits.karp_flatt(n, s)
        return found
    drawn = fits.bootstrap(repeats, statistic)
    return [(name, form(value, [d[name] for d in drawn])) for name, value in statistic(repeats).items()]


def write_csv(file, repeats):
    with open(file, "w", newline="") as stream:
        writer = None
        for threads, by_ranks in repeats.items():
            for ranks, runs in sorted(by_ranks.items()):
                for number, figures in enumerate(runs):
                    row = {"ranks": ranks, "threads": threads, "repeat": number, **{k: v for k, v in figures.items() if k not in ("ranks", "threads")}}
                    if writer is None:
                        writer = csv.DictWriter(stream, fieldnames=list(row))
                        writer.writeheader()
                    writer.writerow(row)


def markdown(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])


def network_lines(network):
    if not network:
        return "The network was not measured, because the study has only one rank."
    message = fits.alpha_beta([m["bytes"] for m in network["messages"]], [m["seconds"] for m in network["messages"]])
    total = fits.alpha_beta([m["bytes"] for m in network["all_reduces"]], [m["seconds"] for m in network["all_reduces"]])
    return markdown(["measured by `trireme bench network`", "α, µs", "1/β, GB/s"],
                    [[f"message between {network['ranks']} ranks on {network['nodes']} node(s)", f"{message[0] * 1e6:.2f}", f"{1e-9 / message[1]:.2f}" if message[1] else "-"],
                     [f"all-reduce over {network['ranks']} ranks", f"{total[0] * 1e6:.2f}", f"{1e-9 / total[1]:.2f}" if total[1] else "-"]])


def limits(rows, mode):
    """One sentence for each number of ranks: what the time that is lost against ideal scaling went to."""
    first = rows[0]
    lines = []
    for row in rows[1:]:
        grown = row["batch"] / first["batch"] * first["ranks"] / row["ranks"]  # of a rank's work
        lost = {part: row[part] - first[part] * grown for part in measurements.PARTS}
        total = row["step"] - first["step"] * grown
        named = sorted(((seconds, part) for part, seconds in lost.items() if seconds > 0.02 * row["step"]), reverse=True)
        told = ", ".join(f"{part} +{seconds * 1e3:.2f} ms" for seconds, part in named) or "no part takes more than 2 % of the step longer"
        lines.append(f"- {row['ranks']} ranks: {total * 1e3:+.2f} ms per step compared with ideal scaling ({100 * total / row['step']:.0f} % of the step): {told}.")
    return "\n".join(lines) or "- The study has only one number of ranks."


def section(study, threads, repeats, rows):
    options = study.options
    spread = lambda row, key, form: f"{form.format(row[key])} ({form.format(row[key + '_low'])} to {form.format(row[key + '_high'])})"  # noqa: E731
    milliseconds = [{**row, **{key: 1e3 * row[key] for key in ("step", "step_low", "step_high", *measurements.PARTS)}} for row in rows]
    fitted = laws(repeats, options.mode)
    every = next((word.split("=")[1] for word in options.overrides if word.startswith("--checkpoint.every=")), None)
    text = [f"## {threads} thread{'s' if threads > 1 else ''} per rank\n",
            markdown(["ranks", "batch", "step, ms", "samples/s", "speed-up", "efficiency"],
                     [[row["ranks"], row["batch"], spread(row, "step", "{:.2f}"), f"{row['batch'] / rows[i]['step']:.0f}", spread(row, "speedup", "{:.2f}"),
                       spread(row, "efficiency", "{:.2f}")] for i, row in enumerate(milliseconds)]),
            "\nMedian of the repeats (minimum to maximum).\n\n### Time of a step by part, ms\n",
            markdown(["ranks", *measurements.PARTS, "checkpoint, ms", "noise"],
                     [[row["ranks"], *(f"{row[part]:.2f}" for part in measurements.PARTS), f"{rows[i]['checkpoint'] * 1e3:.1f}", f"{100 * row['noise']:.1f} %"]
                      for i, row in enumerate(milliseconds)]),
            f"\nA checkpoint is written every {every} steps." if every and every != "0" else "\nThe cost of checkpoints per step is the time of a checkpoint divided by `checkpoint.every`.",
            "Each part is the median of its repeats. Noise: variation of a rank's work from step to step.\n\n### What limits the scaling\n", limits(rows, options.mode), "\n### Fits\n",
            markdown(["law", "value (90 % interval of 1,000 bootstrap samples of the repeats)"], fitted) if fitted else
            "The study has only one number of ranks, so there is nothing to fit."]
    return "\n".join(text)


def extrapolation(study, repeats, refused):
    """The section for the fewest threads, and its plot; or why there is none."""
    options, machine = study.options, study.options.machine
    picture = study.folder / "extrapolation.png"
    if refused:
        picture.unlink(missing_ok=True)  # of an earlier report
        return "\n".join([f"## {machine['name']}: no extrapolation\n", *(f"- {sentence}" for sentence in refused)])
    nodes = [n for n in options.nodes if options.mode == "weak" or n <= options.batch]
    predicted = {speed: model.predictions(repeats, options.mode, machine, nodes, speed) for speed in machine.get("speeds", [1])}
    plots.extrapolation(picture, f"{options.mode.capitalize()} scaling of {options.deck} on {machine['name']}, model (band: 90 % interval)", predicted)
    contention = ("Ranks on one machine compete for cores and memory bandwidth. The model counts this as serial work; separate nodes would not have it."
                  if options.mode == "strong" else "Ranks on one machine compete for cores and memory bandwidth. The model leaves this out, because each node has its own.")
    text = [f"## {machine['name']}: model\n",
            f"α = {machine['alpha_s'] * 1e6:g} µs, 1/β = {machine['bandwidth_bytes_per_s'] / 1e9:g} GB/s. {machine['source']} {machine.get('speeds_source', '')}",
            f"`scripts/lib/scaling/model.py` describes the model. {contention}\n"]
    for speed, rows in predicted.items():
        text += ["If a node is as fast as a rank here:\n" if speed == 1 else f"\nIf a node is {speed:g} times as fast as a rank here:\n",
                 markdown(["nodes", "step, ms", "compute", "reduction", "imbalance", "data and other", "efficiency"],
                          [[n, f"{p['step'] * 1e3:.3g} ({p['low'] * 1e3:.3g} to {p['high'] * 1e3:.3g})", f"{p['compute'] * 1e3:.3g}", f"{p['reduction'] * 1e3:.3g}",
                            f"{p['imbalance'] * 1e3:.3g}", f"{(p['data'] + p['other']) * 1e3:.3g}", f"{p['efficiency']:.2f} ({p['worst']:.2f} to {p['best']:.2f})"]
                           for n, p in rows.items()])]
    if len(nodes) < len(options.nodes):
        text.append(f"\nA batch of {options.batch} cannot be divided among more than {options.batch} nodes: strong scaling of data parallelism ends there.")
    text.append("\n![Extrapolation](extrapolation.png)")
    return "\n".join(text)


def write(study):
    """Writes the report. Returns its file, and why it does not extrapolate (sentences; empty where it does)."""
    options = study.options
    repeats = study.repeats()
    network = study.network()
    tables = {threads: table(by_ranks) for threads, by_ranks in repeats.items()}
    title = f"{options.mode.capitalize()} scaling of {options.deck}"
    write_csv(study.folder / "scaling.csv", repeats)
    plots.scaling(study.folder / "scaling.png", title, tables, options.mode)
    plots.split(study.folder / "split.png", "Time of a step by part", tables)
    command = " ".join(["scripts/scaling", options.mode, options.deck, "--ranks", ",".join(map(str, options.ranks)), "--threads", ",".join(map(str, options.threads)),
                        "--repeats", str(options.repeats), "--steps", str(options.steps), "--warm-up", str(options.warm_up), *options.overrides])
    text = [f"# {title}\n",
            f"{datetime.date.today()}, {os.cpu_count()} cores ({platform.machine()}){', Slurm' if options.slurm else ''}. {options.note}".rstrip() + "\n",
            f"```bash\n{command}\n```\n",
            f"{options.repeats} repeats, taking turns, with {options.steps} steps each. The first {options.warm_up} steps are not measured; of the others "
            "the middle half by duration counts. Batch size: "
            + (f"{options.batch} over all ranks." if options.mode == "strong" else
               f"{options.batch} on the smallest number of ranks, growing in proportion to the ranks."),
            "\n![Time, speed-up and efficiency](scaling.png)\n\n![Split](split.png)\n"]
    text += [section(study, threads, repeats[threads], rows) + "\n" for threads, rows in tables.items()]
    refused = model.refusals(repeats[min(repeats)], options.max_spread)
    text += ["## Network of this machine\n", network_lines(network) + "\n", extrapolation(study, repeats[min(repeats)], refused), "\n[scaling.csv](scaling.csv) contains every repeat.\n"]
    file = study.folder / "report.md"
    file.write_text("\n".join(text))
    return file, refused
