"""What peers.py prints and draws."""

import sys

import numpy as np

import peers_models


def processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":")[1].strip()
    except OSError:
        pass
    return "unknown"


def progress(options, done, total):
    if sys.stderr.isatty():
        sys.stderr.write("\rround %d of %d%s" % (done, total, "\r" + " " * 30 + "\r" if done == total else ""))
        sys.stderr.flush()


def print_head(result):
    print("%s; %s" % (result["machine"], result["system"]))
    print(", ".join("%s %s" % (name, number or "is not installed")
                    for name, number in result["packages"].items()))


def round_medians(row):
    return np.array([np.median(ms) for ms in row["rounds"]])


def find(one, name, precision):
    for row in one["rows"]:
        if (row["name"], row["precision"]) == (name, precision):
            return row
    return None


def summarise(one):
    """Adds to each row the median, min, max (ms), the share of the peak of its precision, and attn's
    time over its own; to the result the fastest peer by precision."""
    one["peak"] = {unit: float(np.median([peak[unit] for peak in one["peaks"]]))
                   for unit in ("f32", "bf16", "int8") if one["peaks"]}
    one["fastest"] = {}
    for row in one["rows"]:
        samples = np.concatenate(row["rounds"])
        row["median"], row["min"], row["max"] = (float(f(samples)) for f in (np.median, np.min, np.max))
        row["share"] = None
        if one["peak"].get(row["precision"]):
            peaks = np.array([peak[row["precision"]] for peak in one["peaks"]])
            row["share"] = float(np.median(one["gflop"] * 1e12 / round_medians(row) / peaks))
        attn = find(one, "attn", row["precision"])
        row["ratio"] = None
        if attn and attn is not row:
            ratios = round_medians(attn) / round_medians(row)
            row["ratio"] = [float(v) for v in np.percentile(ratios, [10, 50, 90])]
        best = one["fastest"].get(row["precision"])
        if row["name"] != "attn" and row["agrees"] and (
                not best or row["median"] < find(one, best, row["precision"])["median"]):
            one["fastest"][row["precision"]] = row["name"]
    return one


def print_table(one):
    peak = ", ".join("%s %.0f" % (unit, value * 1e-9) for unit, value in one["peak"].items() if value)
    print("\n%s, %d thread(s): %.2f GFLOP; peak %s GFLOP/s" % (
        one["case"], one["threads"], one["gflop"], peak or "unknown"))
    print("  %-10s %-5s %9s %9s %9s %7s   %-22s %9s %8s" % (
        "", "", "median ms", "min", "max", "of peak", "attn's time / its time", "error", "MB"))
    for row in sorted(one["rows"], key=lambda r: (r["precision"] != "f32", r["precision"], r["median"])):
        ratio = "%.3f (%.3f to %.3f)" % tuple(row["ratio"][i] for i in (1, 0, 2)) if row["ratio"] else ""
        share = "%.1f %%" % (100 * row["share"]) if row["share"] else ""
        mark = "*" if one["fastest"].get(row["precision"]) == row["name"] else " "
        print("%s %-10s %-5s %9.3f %9.3f %9.3f %7s   %-22s %9.2g %8.0f" % (
            mark, row["name"], row["precision"], row["median"], row["min"], row["max"], share, ratio,
            row["error"], row["resident"] / 1e6))
    for note in one["notes"]:
        print("  note: %s" % note)


def aims(one, others):
    """(what, value, aim, whether more is better, what share of the peak meeting it would take)."""
    case, attn = peers_models.CASES[one["case"]], find(one, "attn", "f32")
    for precision, best in one["fastest"].items():
        row = find(one, best, precision)
        if not row["ratio"]:
            continue
        aim = {"f32": case.ratio1 if one["threads"] == 1 else case.ratio2,
               "bf16": peers_models.BF16_RATIO, "int8": peers_models.INT8_RATIO}[precision]
        yield "%s: time / %s's" % (precision, best), row["ratio"][1], aim, False, \
            row["share"] / aim if row["share"] else None
    if attn and attn["share"] and one["threads"] == 1:
        yield "f32: share of the peak", attn["share"], case.share, True, None
    for other in others:
        single = find(other, "attn", "f32")
        if attn and single and case.speedup and other["case"] == one["case"] and \
                (other["threads"], one["threads"]) == (1, 2):
            yield "f32: times its one thread", single["median"] / attn["median"], case.speedup, True, None


def print_aims(results):
    print("\n%-14s %-8s %-30s %8s %8s" % ("", "threads", "", "measured", "aim"))
    for one in results:
        for what, value, aim, least, needs in aims(one, results):
            met = value >= aim if least else value <= aim
            note = "" if met else "   missed"
            if not met and needs:
                note += ": takes %.0f %% of the peak" % (100 * needs)
            print("%-14s %-8d %-30s %8.3f %s %5.2f%s" % (
                one["case"], one["threads"], what, value, ">=" if least else "<=", aim, note))


def plot(result, path):
    """The time of each contestant over that of attn in f32: a group of bars for each case."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = []
    for one in result["results"]:
        for row in one["rows"]:
            if (row["name"], row["precision"]) not in names:
                names.append((row["name"], row["precision"]))
    names.sort(key=lambda n: (("f32", "bf16", "int8").index(n[1]), n[0] != "attn", n[0]))
    threads = sorted({one["threads"] for one in result["results"]})
    figure, axes = pyplot.subplots(len(threads), 1, figsize=(13, 4 * len(threads)), squeeze=False)
    colours = {"attn": "#d62728", "ort": "#1f77b4", "ort-qdq": "#6baed6", "openvino": "#9467bd",
               "ncnn": "#2ca02c", "torch": "#ff7f0e"}
    hatch = {"f32": "", "bf16": "//", "int8": ".."}
    for axis, count in zip(axes[:, 0], threads):
        group = [one for one in result["results"] if one["threads"] == count]
        width = 0.86 / len(names)
        for i, (name, precision) in enumerate(names):
            at, values, low, high = [], [], [], []
            for j, one in enumerate(group):
                row, attn = find(one, name, precision), find(one, "attn", "f32")
                if not row or not attn:
                    continue
                ratios = round_medians(row) / round_medians(attn)
                p10, median, p90 = np.percentile(ratios, [10, 50, 90])
                at.append(j - 0.43 + (i + 0.5) * width)
                values.append(median)
                low.append(median - p10)
                high.append(p90 - median)
            axis.bar(at, values, width, yerr=[low, high], label="%s %s" % (name, precision),
                     color=colours.get(name, "grey"), hatch=hatch[precision], edgecolor="white",
                     error_kw={"linewidth": 0.8})
        axis.set_xticks(range(len(group)), [one["case"] for one in group])
        axis.axhline(1, color="black", linewidth=0.8)
        axis.set_ylabel("time / attn f32")
        axis.set_title("%d thread%s" % (count, "" if count == 1 else "s"))
    axes[0, 0].legend(fontsize=7, ncols=6)
    figure.suptitle("%s: medians of interleaved rounds, 10th to 90th percentile" % result["machine"])
    figure.tight_layout()
    figure.savefig(path, dpi=110)
