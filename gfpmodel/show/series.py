"""Per-cpu list lengths over time as a figure, with the same facts as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from gfpmodel.show.figures import BLUE, ORANGE, upright, with_table
from gfpmodel.show.pictures import Picture, table

#: How each type's line is drawn: told apart without colour, too.
LINES = {
    "unmovable": {"color": BLUE, "linestyle": "-"},
    "movable": {"color": ORANGE, "linestyle": "--"},
    "reclaimable": {"color": "0.35", "linestyle": ":"},
}
Samples = Sequence[Mapping[str, float]]


def lists_figure(panels: Mapping[str, Samples]) -> Figure:
    """Draw a panel for each trace, all to one scale: pages on each list against seconds, and where one was empty."""
    figure = Figure(figsize=(4.1, 1.2 * len(panels) + 0.5), facecolor="white", layout="constrained")
    rows = figure.subplots(len(panels), squeeze=False, sharey=True)[:, 0]
    for axes, (name, samples) in zip(rows, panels.items(), strict=True):
        seconds = [(sample["t_ms"] - samples[0]["t_ms"]) / 1000 for sample in samples]
        for which, style in LINES.items():
            axes.plot(seconds, [sample[which] for sample in samples], linewidth=1.1, label=which, **style)
        empty = [at for at, sample in zip(seconds, samples, strict=True) if not sample["unmovable"]]
        axes.scatter(empty, [0] * len(empty), 36, marker="v", facecolor="white", edgecolor="black", zorder=4,
                     clip_on=False, label="unmovable list empty")  # fmt: skip
        axes.set_title(name, fontsize=9, loc="left")
        axes.set_ylabel("pages", fontsize=9)
        axes.tick_params(labelsize=9)
        axes.set_xlim(0, seconds[-1])
        axes.spines[["top", "right"]].set_visible(False)
    most = max(sample[which] for samples in panels.values() for sample in samples for which in LINES)
    axes.set_ylim(0, 1.05 * max(most, 1))
    axes.set_xlabel("seconds", fontsize=9)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=2, fontsize=9)
    return figure


def lists_over_time(panels: Mapping[str, Samples]) -> Picture:
    """Show how long one cpu's lists were over time: samples (t_ms and pages by type) of each named trace."""
    rows = []
    for name, samples in panels.items():
        for which in LINES:
            pages = sorted(int(sample[which]) for sample in samples)
            rows.append((name, which, pages[0], pages[len(pages) // 2], pages[-1], pages.count(0), len(pages)))
    facts = table(["trace", "list", "least", "median", "most", "times empty", "samples"], rows)
    ranges = "; ".join(f"{name} {which} {least} to {most}" for name, which, least, _, most, _, _ in rows)
    alt = f"Pages on one cpu's lists by type over time. {ranges}"
    return with_table(upright(lists_figure(panels), alt), facts)
