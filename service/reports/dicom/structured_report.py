"""The classification as a Comprehensive SR of template TID 1500, Measurement Report (PS3.16)."""

from collections.abc import Sequence

import numpy as np
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    SourceImageForMeasurementGroup,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID

from service import __version__
from service.analysis.pipeline import Pipeline
from service.analysis.results import FrameResult
from service.imaging.dicom.attributes import INSTANCE, PATIENT_AND_STUDY_TYPE_2
from service.inference.package import ModelPackage
from service.reports.dicom import DicomObject
from service.reports.dicom.secondary_capture import MANUFACTURER
from service.reports.dicom.source import Source, derive_uid, read_source
from service.schemas.manifest import Plane
from service.schemas.protocols import ProtocolInfo

SCHEME = "99FETALPLANES"

_SERIES_NUMBER = 9701
# "LN" is LOINC. Codes that no public scheme defines are private ones, declared in Coding Scheme Identification
# (PS3.3, C.12.1).
_PROCEDURE = CodedConcept("11525-3", "LN", "US Pelvis and Fetus for pregnancy")
_SUB_PLANE = CodedConcept("sub_plane", SCHEME, "Standard plane within the image view")
_RELIABILITY = CodedConcept("reliability", SCHEME, "Reliability of the classification")
_RELIABILITIES = {
    None: CodedConcept("answered", SCHEME, "Answered: the model did not abstain"),
    "uncertain": CodedConcept("uncertain", SCHEME, "Abstained: no plane is probable enough"),
    "color-flow": CodedConcept("color-flow", SCHEME, "Abstained: color flow covers the tissue"),
    "out-of-distribution": CodedConcept("out-of-distribution", SCHEME, "Abstained: unlike the training frames"),
}


def write_report(pipeline: Pipeline, result: FrameResult, protocol: ProtocolInfo | None = None) -> DicomObject:
    """Return the structured report of a classified frame; raises what `read_source` raises.

    The report has one measurement group (TID 1501):

    - a qualitative evaluation Image View with the first prediction, and its Certainty of Finding in percent;
    - a measurement in percent for the probability of each plane;
    - a qualitative evaluation that states whether the model abstained, and why;
    - for planes with sub-planes: a qualitative evaluation with the most probable sub-plane and a measurement for
      each sub-plane, conditional on the first prediction being right;
    - the protocol of the exam, if there is one, as a parameter of the algorithm.
    """
    source, package = read_source(result.frame), pipeline.engine.package
    uid = source.derive_uid(package.identity, "report")
    return _write([(source, result)], package, protocol, uid, source.frame or 1)


def write_study_report(
    pipeline: Pipeline, results: Sequence[FrameResult], protocol: ProtocolInfo | None = None
) -> DicomObject:
    """Return one structured report of several frames of a study; raises what `read_source` raises.

    It has a measurement group for each frame, as `write_report` has, in the order of their instances and frames. The
    same frames give the same object.
    """
    sources = [(read_source(result.frame), result) for result in results]
    sources.sort(key=lambda each: (each[0].series, each[0].instance, each[0].frame or 0))
    package = pipeline.engine.package
    frames = [f"{source.instance} {source.frame}" for source, _ in sources]
    uid = derive_uid(sources[0][0].study, package.identity, "study report", *frames)
    return _write(sources, package, protocol, uid, 1)


def _write(
    results: Sequence[tuple[Source, FrameResult]],
    package: ModelPackage,
    protocol: ProtocolInfo | None,
    uid: UID,
    number: int,
) -> DicomObject:
    source = results[0][0]  # all are of one study
    evidence = {each.instance: _evidence(each) for each, _ in results}
    report = ComprehensiveSR(
        evidence=list(evidence.values()),
        content=_content(results, package, protocol)[0],
        series_instance_uid=derive_uid(source.study, package.identity, "reports"),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=uid,
        instance_number=number,
        manufacturer=MANUFACTURER,
        manufacturer_model_name="fetal-planes",
        software_versions=(__version__, package.manifest.version),
        series_description="RESEARCH USE ONLY, unverified: fetal plane report",
        content_qualification="RESEARCH",
        coding_schemes=[
            CodingSchemeIdentificationItem(
                designator=SCHEME, name="Fetal planes", responsible_organization="Fetal Planes"
            )
        ],
        is_complete=True,
        is_final=False,
        is_verified=False,
    )
    return source.write(report)


def _evidence(source: Source) -> Dataset:
    """Return the evidence for highdicom's constructor, with UIDs but with empty patient attributes.

    highdicom validates what it copies. `Source.write` copies the values later, unchanged.
    """
    evidence = Dataset()
    for keyword, uid in zip(INSTANCE, (source.study, source.series, source.instance, source.sop_class), strict=True):
        setattr(evidence, keyword, uid)
    for keyword in PATIENT_AND_STUDY_TYPE_2:
        setattr(evidence, keyword, None)
    return evidence


def _content(
    results: Sequence[tuple[Source, FrameResult]], package: ModelPackage, protocol: ProtocolInfo | None
) -> MeasurementReport:
    source = results[0][0]
    observer = DeviceObserverIdentifyingAttributes(
        uid=derive_uid(package.identity, "device"),
        name="fetal-planes",
        manufacturer_name=MANUFACTURER,
        model_name=source.text(f"{package.manifest.name} {package.manifest.version}", package.manifest.version),
    )
    context = ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=observer)
    return MeasurementReport(
        observation_context=ObservationContext(observer_device_context=context),
        procedure_reported=_PROCEDURE,
        imaging_measurements=[_findings(each, result, package, protocol) for each, result in results],
    )


def _findings(
    source: Source, result: FrameResult, package: ModelPackage, protocol: ProtocolInfo | None
) -> MeasurementsAndQualitativeEvaluations:
    manifest, probabilities = package.manifest, result.scores.probabilities
    first = result.ranked[0]
    # A measurement group (TID 1501) lists qualitative evaluations and measurements; both are coded name-value pairs.
    certainty = Measurement(codes.DCM.CertaintyOfFinding, _percent(probabilities.max()), codes.UCUM.Percent)
    view = [
        QualitativeEvaluation(
            codes.DCM.ImageView, CodedConcept(first.plane, SCHEME, source.text(first.label, first.plane))
        )
    ]
    measured = list(zip(manifest.planes, probabilities, strict=True))
    if manifest.sub_planes is not None and result.sub_plane is not None and result.sub_planes is not None:
        best = result.sub_plane
        view.append(
            QualitativeEvaluation(_SUB_PLANE, CodedConcept(best.plane, SCHEME, source.text(best.label, best.plane)))
        )
        measured += zip(manifest.sub_planes.sub_planes, result.sub_planes, strict=True)
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=source.derive_uid("tracking"), identifier="Standard plane"),
        algorithm_id=AlgorithmIdentification(
            name=source.text(manifest.name, "fetal-planes"),
            version=manifest.version,
            parameters=[
                f"model sha256 {package.sha256}",
                f"precision {package.precision}",
                f"fetal-planes {__version__}",
                *_protocol_parameters(source, protocol),
            ],
        ),
        qualitative_evaluations=[*view, QualitativeEvaluation(_RELIABILITY, _RELIABILITIES[result.abstain_reason])],
        measurements=[certainty, *(_measurement(source, plane, probability) for plane, probability in measured)],
        source_images=[
            SourceImageForMeasurementGroup(source.sop_class, source.instance, [source.frame] if source.frame else None)
        ],
    )


def _protocol_parameters(source: Source, protocol: ProtocolInfo | None) -> list[str]:
    if protocol is None:
        return []
    version = source.text(f"protocol version {protocol.version}", "protocol version: not in this character set")
    return [source.text(f"protocol {protocol.name}", f"protocol {protocol.id}"), version]


def _measurement(source: Source, plane: Plane, probability: np.float32) -> Measurement:
    meaning = source.text(f"Probability of {plane.label}", f"Probability of {plane.id}")
    concept = CodedConcept(f"p_{plane.id}", SCHEME, meaning)
    return Measurement(concept, _percent(probability), codes.UCUM.Percent)


def _percent(probability: np.float32) -> float:
    return round(100 * min(1.0, float(probability)), 4)
