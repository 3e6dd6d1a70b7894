"""Measure what a start of the service costs: `python -m bench.start`.

- CPU time and resident size of the process that serves when it is ready, and of its decoders apart;
- CPU time of the first request of each kind next to later ones, which shows what a start has put off.
"""

import statistics
import sys

from bench.publish import conditions, make_parser, median_and_range, parse
from bench.start.measure import measure_first_requests, measure_start


def main() -> None:
    """Publish the medians of several starts, and a row for each kind of request."""
    parser = make_parser(__doc__)
    parser.add_argument("--starts", type=int, default=9)
    options, section = parse(parser, "start")
    starts = []
    for number in range(options.starts):
        starts.append(measure_start(options.model))
        sys.stderr.write(f"start {number + 1}: {starts[-1].cpu_s:.2f} CPU s, {starts[-1].resident:.0f} MiB\n")
    served, resident, decoders, pss = zip(*starts, strict=True)
    note = f" in {options.starts} starts"
    lines = [
        f"{conditions(options.model)}; two workers.\n\n",
        f"- ready after {median_and_range(served, 2, note)} CPU s; the fork server and three decoders: "
        f"{median_and_range(decoders, 2)}\n",
        f"- resident size {statistics.median(resident):.0f} MiB; proportional size of the fork server and the "
        f"decoders together {statistics.median(pss):.0f} MiB\n\n",
        "| Request | First, CPU ms | Later, CPU ms | Resident size, MiB |\n| --- | --- | --- | --- |\n",
    ]
    lines += [
        f"| {each.kind} | {each.first_ms:.0f} | {each.later_ms:.1f} | {each.resident:.0f} |\n"
        for each in measure_first_requests(options.model)
    ]
    section.publish("".join(lines))


if __name__ == "__main__":
    main()
