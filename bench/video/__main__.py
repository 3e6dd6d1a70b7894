"""Measure reading a video: `python -m bench.video --frames 100 10000`.

- peak memory of a service, with its decoders, that has classified one MP4, for each length;
- frames per second of a batch, and of the network on frames that are decoded already, on all granted cores. Other load
  on the machine changes both alike; the CPU time per frame changes little.

The clip of the second part is 800 x 600 pixels: H.264 where the program ffmpeg is installed, else MPEG-4.
"""

import tempfile
from pathlib import Path

import numpy as np

from bench.publish import conditions, make_parser, parse
from bench.video.measure import FRAMES, compare, make_clip, measure_peak


def main() -> None:
    """Publish a line for each length, and two for the rates."""
    parser = make_parser(__doc__)
    parser.add_argument("--frames", nargs="*", type=int, default=[100, 10_000], help="lengths of the videos")
    parser.add_argument("--side", type=int, default=480, help="height and width of their frames in pixels")
    options, section = parse(parser, "video")
    lines = [f"{conditions(options.model)}.\n\n"]
    for frames in options.frames:
        size, peak = measure_peak(frames, options.side, options.model)
        lines.append(f"- {frames} frames, a file of {size:.1f} MB: peak {peak:.0f} MB with the decoders\n")
    with tempfile.TemporaryDirectory() as folder:
        clip, compression = make_clip(Path(folder))
        batch, network = compare(clip, options.model)
    share = np.median([a / b for a, b in zip(batch.per_second, network.per_second, strict=True)])
    lines += [
        f"- a batch of {FRAMES} frames, 800 x 600 pixels, {compression}: {batch.text()}\n",
        f"- the network on decoded frames, with crop and color flow: {network.text()}\n",
        f"- share: {share:.2f} by time, {np.median(network.cpu_ms) / np.median(batch.cpu_ms):.2f} by CPU time\n",
    ]
    section.publish("".join(lines))


if __name__ == "__main__":
    main()
