"""An exam as one HTML page: no script, nothing from elsewhere, fit for A4. All that came with an upload is escaped."""

import base64
from collections.abc import Iterable, Mapping
from html import escape

from service.analysis.exam import FrameRef
from service.schemas.batch import Source
from service.schemas.exam import ExamFrame, ExamPlane, ExamReport, ReviewFrame

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

_STYLE = """
:root { font: 11pt/1.4 system-ui, sans-serif; color-scheme: light }
body { max-width: 190mm; margin: 8mm auto; padding: 0 4mm; color: #111; background: #fff }
h1 { margin-bottom: 0 } h2 { margin: 6mm 0 2mm; border-bottom: .3mm solid #999 } h2 small { font-weight: normal }
ul.shelf { display: flex; flex-wrap: wrap; gap: 3mm; padding: 0; margin: 0; list-style: none }
figure { margin: 0; width: 43mm; break-inside: avoid } figure.best { width: 90mm }
figure img { width: 43mm; height: 33mm; object-fit: contain; background: #000; border: .3mm solid #999 }
figcaption { font-size: 8.5pt; overflow-wrap: anywhere }
.notice { padding: 2mm 3mm; border: .4mm solid #111; break-inside: avoid }
.missing { border-left-width: 2mm; font-weight: bold }
table { border-collapse: collapse } td, th { padding: .5mm 3mm .5mm 0; text-align: left; overflow-wrap: anywhere }
footer { margin-top: 8mm; font-size: 8.5pt; overflow-wrap: anywhere }
section { break-inside: auto } h2, h3 { break-after: avoid }
@page { size: A4; margin: 14mm }
@media print { body { margin: 0; padding: 0; max-width: none } img, figure { print-color-adjust: exact } }
"""

_WHY = {
    "color-flow": "Color flow over the tissue",
    "out-of-distribution": "Unlike the frames of the training",
    "uncertain": "No plane is probable enough",
    "close": "Two planes are close",
    "no-plane": "Cine without a frame that was told surely",
}


def render(
    report: ExamReport, thumbnails: Mapping[FrameRef, bytes], evidence: Mapping[FrameRef, tuple[bytes, bytes]]
) -> str:
    """Write the page.

    Parameters
    ----------
    thumbnails
        JPEGs of stills, by file and frame; a frame without one is told in words.
    evidence
        JPEGs of the best frames, each without and with its heat map.
    """
    labels = {plane.plane: plane.label for plane in report.planes}
    shown = [plane for plane in report.planes if plane.frames or plane.expected]
    return "".join(
        [
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Exam</title>'
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><style>{_STYLE}</style>',
            f"<h1>Exam</h1><p>{report.files} files, {report.frames} frames.</p>",
            '<p class="notice">Research use only. Not a medical device. '
            "That a plane is there means that a frame was recognized as it; nothing here judges its quality.</p>",
            _completeness(report, labels),
            *[_plane(plane, thumbnails, evidence) for plane in shown],
            _review(report.review, thumbnails),
            _cines(report),
            _refused(report),
            f"<footer>Model {escape(report.model.name)} {escape(report.model.version)}, sha256 "
            f"{escape(report.model.sha256)}. Request {escape(report.request_id)}.</footer></html>",
        ]
    )


def _completeness(report: ExamReport, labels: Mapping[str, str]) -> str:
    parts = []
    if not report.complete:
        parts.append('<p class="notice missing">Not all frames were looked at: the service\'s limit came first.</p>')
    if report.missing:
        missing = escape(", ".join(labels[plane] for plane in report.missing))
        parts.append(f'<p class="notice missing">Missing: {missing}</p>')
    elif report.expected:
        parts.append('<p class="notice">Every expected plane is there.</p>')
    expected = escape(", ".join(labels[plane] for plane in report.expected)) or "none"
    return "".join(parts) + f"<p>Expected: {expected}.</p>"


def _plane(
    plane: ExamPlane, thumbnails: Mapping[FrameRef, bytes], evidence: Mapping[FrameRef, tuple[bytes, bytes]]
) -> str:
    title = f"<h2>{escape(plane.label)} <small>{len(plane.frames)}</small></h2>"
    if plane.best is None:
        return f'<section>{title}<p class="missing">Missing.</p></section>'
    figures = [_best(plane.best, evidence), *[_figure(frame, thumbnails) for frame in plane.frames[1:]]]
    return f"<section>{title}{_shelf(figures)}</section>"


def _best(frame: ExamFrame, evidence: Mapping[FrameRef, tuple[bytes, bytes]]) -> str:
    pictures = evidence.get(_place(frame.source), ())
    images = "".join(
        _image(picture, alt) for picture, alt in zip(pictures, ("The best frame", "Its evidence"), strict=False)
    )
    return f'<figure class="best">{images}<figcaption><b>Best</b>: {_caption(frame)}</figcaption></figure>'


def _figure(frame: ExamFrame | ReviewFrame, thumbnails: Mapping[FrameRef, bytes], note: str = "") -> str:
    picture = thumbnails.get(_place(frame.source))
    image = _image(picture, "") if picture else ""
    return f"<figure>{image}<figcaption>{note}{_caption(frame)}</figcaption></figure>"


def _caption(frame: ExamFrame | ReviewFrame) -> str:
    pairs = [(frame.label, frame.probability)]
    if isinstance(frame, ExamFrame) and frame.sub_plane is not None:
        pairs.append((frame.sub_plane.label, frame.sub_plane.probability))
    if frame.runner_up is not None:
        pairs.append((frame.runner_up.label, frame.runner_up.probability))
    told = ", ".join(f"{label} {probability:.1%}" for label, probability in pairs if probability is not None)
    return f"{escape(told)}{'<br>' if told else ''}{_name(frame.source)}"


def _name(source: Source) -> str:
    name = source.name if source.name else f"file {source.file}"
    return escape(name + (f", frame {source.frame}" if source.frame else ""))


def _review(frames: list[ReviewFrame], thumbnails: Mapping[FrameRef, bytes]) -> str:
    if not frames:
        return ""
    figures = [_figure(frame, thumbnails, f"<b>{_WHY[frame.why]}</b><br>") for frame in frames]
    return f"<section><h2>To be looked at by hand <small>{len(frames)}</small></h2>{_shelf(figures)}</section>"


def _cines(report: ExamReport) -> str:
    rows = [
        f"<tr><td>{_name(Source(file=cine.file, name=cine.name, frame=None))}<td>{segment.start} to {segment.end}"
        f"<td>{escape(segment.label or 'not told')}<td>"
        + (f"{segment.confidence:.1%}" if segment.confidence is not None else "")
        for cine in report.cines
        for segment in cine.segments
    ]
    head = "<tr><th>File<th>Frames<th>Plane<th>Confidence"
    return f"<section><h2>Cines</h2><table>{head}{''.join(rows)}</table></section>" if rows else ""


def _refused(report: ExamReport) -> str:
    rows = [f"<tr><td>{_name(problem.source)}<td>{escape(problem.detail)}" for problem in report.refused]
    return f"<section><h2>Not read</h2><table>{''.join(rows)}</table></section>" if rows else ""


def _shelf(figures: Iterable[str]) -> str:
    return f'<ul class="shelf">{"".join(f"<li>{figure}</li>" for figure in figures)}</ul>'


def _image(picture: bytes, alt: str) -> str:
    return f'<img alt="{alt}" src="data:image/jpeg;base64,{base64.b64encode(picture).decode()}">'


def _place(source: Source) -> FrameRef:
    return source.file, source.frame or 0
