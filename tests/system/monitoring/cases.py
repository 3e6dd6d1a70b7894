"""For each alert: series that must make it fire and series that must not, in promtool's notation.

The series are what Prometheus would have scraped, one sample a minute, or every ten or sixty minutes for rules about a
day or a week. The quiet cases are near misses: faults that are too small, too short or of another kind.
"""

from dataclasses import dataclass

HERE = 'job="fetal-planes", instance="a"'
THERE = 'job="fetal-planes", instance="b"'
UP = {f"up{{{HERE}}}": "1x2000", f"fetal_planes_ready{{{HERE}}}": "1x2000"}

Series = dict[str, str]


@dataclass(frozen=True)
class Case:
    """When an alert must fire, and when it must not.

    Attributes
    ----------
    fires, quiet
        Scraped series. Those of a service that is up and ready are added unless given here.
    at
        Time of the evaluation.
    minutes
        Minutes between two samples and between two evaluations.
    """

    fires: tuple[Series, ...]
    quiet: tuple[Series, ...]
    at: str = "20m"
    minutes: int = 1


def refused(code: str, samples: str, posts: str = "0+100x60") -> Series:
    """Return the series of refusals with a code, and of uploads."""
    return {
        f'fetal_planes_refused_total{{{HERE}, code="{code}"}}': samples,
        f'fetal_planes_requests_total{{{HERE}, method="POST", route="/classify", status="200"}}': posts,
    }


def listener(name: str, samples: str) -> Series:
    """Return a gauge of the DICOM listener."""
    return {f"fetal_planes_listener_{name}{{{HERE}}}": samples}


def spool(bytes_: str) -> Series:
    """Return the bytes in a spool of a hundred."""
    return listener("spool_bytes", bytes_) | listener("spool_allowed_bytes", "100x60")


def objects(result: str, samples: str) -> Series:
    """Return the objects that a listener answered in one way."""
    return {f'fetal_planes_listener_objects_total{{{HERE}, result="{result}"}}': samples}


def times(name: str, labels: str, limits: dict[str, int]) -> Series:
    """Return a histogram with `limits[limit]` observations per minute up to each limit."""
    return {f'{name}_bucket{{{HERE}, {labels}, le="{limit}"}}': f"0+{count}x60" for limit, count in limits.items()}


def stage(name: str, limits: dict[str, int]) -> Series:
    return times("fetal_planes_stage_seconds", f'stage="{name}"', limits)


def answers(route: str, limits: dict[str, int]) -> Series:
    return times("fetal_planes_request_seconds", f'route="{route}"', limits)


def drift(metric: str, before: int, now: int, frames: int = 60) -> Series:
    """Return a week with `before` of `frames` frames counted per hour, then seven hours with `now`."""
    counts = {f"fetal_planes_confidence_count{{{HERE}}}": (frames, frames), metric: (before, now)}
    return {name: f"0+{first}x168 {first * 168 + then}+{then}x6" for name, (first, then) in counts.items()}


FEW = 45  # frames an hour: fewer than 300 within six
ABSTENTIONS = f'fetal_planes_abstentions_total{{{HERE}, reason="out-of-distribution"}}'
UNSURE = f'fetal_planes_confidence_bucket{{{HERE}, le="0.9"}}'
BRAINS = f'fetal_planes_predictions_total{{{HERE}, plane="fetal_brain"}}'
STARTED = f"process_start_time_seconds{{{HERE}}}"
MEMORY = f"process_resident_memory_bytes{{{HERE}}}"
FILES, MOST_FILES = f"process_open_fds{{{HERE}}}", f"process_max_fds{{{HERE}}}"
DRIFTED, HOUR = "175h", 60


def model(where: str, digest: str) -> str:
    return f'fetal_planes_model{{{where}, name="m", version="1", sha256="{digest}"}}'


def full(what: str, held: int, allowed: int) -> Series:
    return {
        f"fetal_planes_uploads_{what}{{{HERE}}}": f"{held}x60",
        f"fetal_planes_uploads_allowed{'_bytes' if what == 'held_bytes' else ''}{{{HERE}}}": f"{allowed}x60",
    }


CASES = {
    "ServiceDown": Case(
        fires=({f"up{{{HERE}}}": "1x5 0x60"}, {f"up{{{HERE}}}": "_x60"}),
        quiet=({f"up{{{HERE}}}": "1x18 0 1x60"},),
    ),
    "NotReady": Case(
        fires=({f"fetal_planes_ready{{{HERE}}}": "1x5 0x60"},),
        quiet=({f"fetal_planes_ready{{{HERE}}}": "1x18 0x60"},),  # a normal drain
    ),
    "Restarting": Case(
        fires=({STARTED: "1x5 2x5 3x60"},),
        quiet=({STARTED: "1x5 2x60"}, {STARTED.replace("fetal-planes", "another"): "1x5 2x5 3x60"}),
    ),
    "ServerErrors": Case(
        fires=(refused("internal-error", "0x18 1x60"),),
        quiet=(refused("internal-error", "0x5 1x60"), refused("not-found", "0+9x60")),
    ),
    "ReloadFailed": Case(
        fires=({f"fetal_planes_last_reload_successful{{{HERE}}}": "1x5 0x60"},),
        quiet=({f"fetal_planes_last_reload_successful{{{HERE}}}": "1x5 0x5 1x60"},),
    ),
    "ModelsDiffer": Case(
        fires=({model(HERE, "1"): "1x60", model(THERE, "2"): "1x60"},),
        quiet=(
            {model(HERE, "1"): "1x60", model(THERE, "1"): "1x60"},
            {model(HERE, "1"): "1x9", model(HERE, "2"): "_x9 1x60"},
        ),
    ),
    "Overloaded": Case(
        fires=(refused("overloaded", "0+2x60"),),
        quiet=(refused("overloaded", "0+2x60", "0+300x60"), refused("overloaded", "0x16 0+50x60")),
    ),
    "NearlyFull": Case(
        fires=(full("in_flight", 30, 32), full("held_bytes", 900, 1000)),
        quiet=(full("in_flight", 20, 32), full("held_bytes", 500, 1000)),
    ),
    "DeadlinesPassed": Case(
        fires=(refused("deadline-passed", "0+2x60"),),
        quiet=(refused("deadline-passed", "0+1x1 1x60"), refused("deadline-passed", "0+1x60", "0+200x60")),
    ),
    "SlowAnswers": Case(
        fires=(answers("/classify", {"0.1": 90, "1.0": 95, "2.0": 100, "+Inf": 100}),),
        quiet=(
            answers("/classify", {"0.1": 90, "1.0": 100, "2.0": 100, "+Inf": 100}),
            answers("/classify/batch", {"0.1": 0, "1.0": 0, "2.0": 0, "10.0": 90, "+Inf": 100}),  # a batch takes long
        ),
    ),
    "LongQueue": Case(
        fires=(stage("queue", {"0.1": 50, "0.5": 90, "1.0": 100, "+Inf": 100}),),
        quiet=(stage("queue", {"0.1": 50, "0.5": 96, "1.0": 100, "+Inf": 100}),),
    ),
    "SlowStage": Case(
        fires=(stage("decode", {"0.1": 50, "0.5": 90, "1.0": 100, "+Inf": 100}),),
        quiet=(stage("decode", {"0.1": 50, "0.5": 96, "1.0": 100, "+Inf": 100}),),
    ),
    "MemoryGrowing": Case(
        fires=({MEMORY: "100e6x150 200e6x20", STARTED: "1x200"},),
        quiet=(
            {MEMORY: "100e6x150 140e6x20", STARTED: "1x200"},
            {MEMORY: "100e6x155 200e6x2 100e6x20", STARTED: "1x200"},  # a long upload that has ended
            {MEMORY: "100e6x150 200e6x20", STARTED: "1x150 2x50"},  # another process, with another model perhaps
        ),
        at="26h30m",
        minutes=10,
    ),
    "FilesGrowing": Case(
        fires=({FILES: "20x150 95x20", MOST_FILES: "1024x200"}, {FILES: "850x200", MOST_FILES: "1024x200"}),
        quiet=(
            {FILES: "20x150 60x20", MOST_FILES: "1024x200"},
            {FILES: "20x155 900x1 20x20", MOST_FILES: "1e6x200"},  # a short overload
            {FILES: "450x200", MOST_FILES: "1024x200"},
        ),
        at="26h30m",
        minutes=10,
    ),
    "UnreadableUploads": Case(
        fires=(refused("unsupported-format", "0+30x60"), refused("unreadable-frame", "0+30x60")),
        quiet=(refused("unsupported-format", "0+10x60"), refused("unsupported-format", "0+1x60", "0+1x60")),
    ),
    "KeysRefused": Case(
        fires=(refused("no-key", "0+10x60"),),
        quiet=(refused("no-key", "0+2x60"),),
    ),
    "NoTraffic": Case(
        fires=({f"fetal_planes_confidence_count{{{HERE}}}": "7x200"},),
        quiet=({f"fetal_planes_confidence_count{{{HERE}}}": "7x80 8x100"},),
        at="100m",
    ),
    "AbstentionDrift": Case(
        fires=(drift(ABSTENTIONS, 6, 24), drift(ABSTENTIONS, 24, 6)),
        quiet=(drift(ABSTENTIONS, 12, 12), drift(ABSTENTIONS, 24, 27), drift(ABSTENTIONS, 4, 16, FEW)),
        at=DRIFTED,
        minutes=HOUR,
    ),
    "ConfidenceDrift": Case(
        fires=(drift(UNSURE, 12, 30), drift(UNSURE, 30, 12)),
        quiet=(drift(UNSURE, 12, 18), drift(UNSURE, 9, 22, FEW)),
        at=DRIFTED,
        minutes=HOUR,
    ),
    "PlaneMixDrift": Case(
        fires=(drift(BRAINS, 12, 30), drift(BRAINS, 30, 12)),
        quiet=(drift(BRAINS, 12, 20), drift(BRAINS, 9, 22, FEW)),
        at=DRIFTED,
        minutes=HOUR,
    ),
    "SpoolFilling": Case(
        fires=(spool(bytes_="90x60"),),
        quiet=(spool(bytes_="70x60"), spool(bytes_="70x16 90x2 70x60")),
    ),
    "SpoolStuck": Case(
        fires=(listener("spool_oldest_seconds", "3700x60"),), quiet=(listener("spool_oldest_seconds", "3500x60"),)
    ),
    "ResultsUndelivered": Case(
        fires=(listener("deliveries_oldest_seconds", "1000x60"),),
        quiet=(listener("deliveries_oldest_seconds", "800x60"),),
    ),
    "DeadLetters": Case(fires=(listener("dead_letters", "1x60"),), quiet=(listener("dead_letters", "0x60"),)),
    "ObjectsRefused": Case(
        fires=(objects("full", "0x10 1x50"), objects("conflict", "0x10 3x50")),
        quiet=(objects("stored", "0+9x60"), objects("duplicate", "0+1x60"), objects("full", "5x60")),
    ),
}
