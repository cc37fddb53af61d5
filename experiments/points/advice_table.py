"""The advice on a batch as JSON and for people."""

from codesign.numerics.units import GIBI, MILLI
from experiments.points.advice import Advised
from experiments.points.operating_point import OperatingPoint
from experiments.points.records import AdviceReport, Replicas
from experiments.terminal.screen import results


def record(point: OperatingPoint, found: Advised, floor: float) -> AdviceReport:
    """The advice in SI units."""
    steps, index, largest = found.steps, found.advice.index, found.largest
    one = found.batches / steps.time
    rows: list[Replicas] = [
        {
            "replicas": each.replicas,
            "batch": int(found.advice.batch),
            "time_per_token_s": each.time_per_token,
            "tokens_per_second": each.tokens_per_second,
            "tokens_per_second_at_most": each.most,
            "gain_over_largest_batch": each.tokens_per_second / float(one[largest]) - 1.0,
            "keeps_promise": each.time_per_token <= found.promise,
        }
        for each in found.shared
    ]
    return {
        "model": point.workload.model.name,
        "device": point.device.name,
        "chips": point.arguments.chips,
        "context": point.arguments.context,
        "execution": point.arguments.execution,
        "promise_s": found.promise,
        "efficiency_floor": floor,
        "batch": int(found.advice.batch),
        "stopped_by": found.advice.stopped_by or "largest batch looked at",
        "time_per_token_s": float(steps.time[index]),
        "tokens_per_second": float(one[index]),
        "efficiency": found.efficiency,
        "device_idle_share": float(steps.idle[index] / steps.time[index]),
        "elasticities_of_batch": found.elasticities,
        "largest_batch_that_fits": int(found.batches[largest]),
        "largest_batch_tokens_per_second": float(one[largest]),
        "largest_batch_time_per_token_s": float(steps.time[largest]),
        "memory_needed_bytes": float(steps.needed[index]),
        "memory_freed_bytes": float(steps.needed[largest] - steps.needed[index]),
        "replicas": rows,
    }


def show(answer: AdviceReport) -> None:
    """Print the advice to standard output, the batch first."""
    from rich.table import Table

    console = results()
    moves = answer["elasticities_of_batch"]
    lines = [
        (
            f"Batch {answer['batch']:,}: {answer['time_per_token_s'] / MILLI:.3g} ms a token"
            f" (promise {answer['promise_s'] / MILLI:.3g}), {answer['tokens_per_second']:,.0f}"
            f" token/s, efficiency {answer['efficiency']:.2f} (floor"
            f" {answer['efficiency_floor']:g}); stopped by: {answer['stopped_by']}."
        ),
        (
            f"{answer['model']} on {answer['chips']} × {answer['device']}, context"
            f" {answer['context']:,}, execution {answer['execution']}; the device waits"
            f" {100 * answer['device_idle_share']:.0f} % of a step."
        ),
        (
            f"Largest batch that fits (or was looked at): {answer['largest_batch_that_fits']:,}, at"
            f" {answer['largest_batch_time_per_token_s'] / MILLI:.3g} ms and"
            f" {answer['largest_batch_tokens_per_second']:,.0f} token/s; memory freed against it"
            f" {answer['memory_freed_bytes'] / GIBI:.3g} GiB."
        ),
    ]
    if answer["stopped_by"] == "promise":
        lines.append(
            f"1 % on the promise moves the batch by {moves['promise']:.2f} %, on bandwidth by"
            f" {moves['memory_bandwidth']:.2f} %, on FLOP/s by {moves['peak_flops'] + 0.0:.2f} %."
        )
    for line in lines:
        console.print(line, markup=False)
    table = Table(title="Replicas in the memory that there is", pad_edge=False)
    for name in ("replicas", "ms a token", "token/s", "at most", "over largest", "keeps promise"):
        table.add_column(name, justify="right")
    for row in answer["replicas"]:
        table.add_row(
            str(row["replicas"]),
            f"{row['time_per_token_s'] / MILLI:.3g}",
            f"{row['tokens_per_second']:,.0f}",
            f"{row['tokens_per_second_at_most']:,.0f}",
            f"{100 * row['gain_over_largest_batch']:+.1f} %",
            "yes" if row["keeps_promise"] else "no",
        )
    console.print(table)
    console.print(
        "Decode only: prefills between steps are not in it. Replicas gain by the gaps in which the"
        " device waits (mean-value analysis; at most: no schedule does better). Up to eight of"
        " those that fit are shown.",
        markup=False,
    )
