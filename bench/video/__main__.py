"""Measure reading a video: `python -m bench.video --frames 100 10000`.

- peak memory of a service, with its decoders, that has classified one MP4, for each length;
- CPU time per frame to decode a clip, and in the network.

The clip of the second part is 800 x 600 pixels: H.264 where the program ffmpeg is installed, else MPEG-4.
"""

import tempfile
from pathlib import Path

from bench.publish import conditions, make_parser, parse
from bench.video.measure import compare, make_clip, measure_peak


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
        decoded, network = compare(clip, options.model)
    lines += [
        f"- {compression}, 800 x 600 pixels: {decoded:.1f} CPU ms per frame to decode, {network:.1f} to crop it and in "
        "the network\n",
        f"- so a batch on busy cores reaches {network / (network + decoded):.2f} of the rate of frames in memory\n",
    ]
    section.publish("".join(lines))


if __name__ == "__main__":
    main()
