"""Studies of persons who do not exist, to look at in a viewer: `write` makes them, the same ones at every call."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from dicouch.scripts.examples import head, others

# Whether nothing is missing that the extra "demo" installs.
COMPLETE = head.COMPLETE


@dataclass(frozen=True)
class Study:
    """A study that is made.

    Attributes
    ----------
    uid, title : str
        Study Instance UID, and what it shows.
    mode : str
        The mode of OHIF that shows it: the first step of the path below ``/ohif``.
    make : callable
        Returns its data sets, with file meta information.
    """

    uid: str
    title: str
    mode: str
    make: Callable[[], Iterable[Dataset]]


STUDIES = (
    Study(
        head.CT_STUDY, "CT of a head, 40 slices; segmentation, measurements, a report in PDF", "viewer", head.ct_study
    ),
    Study(head.MR_STUDY, "MR of the same head, T1 and T2", "viewer", head.mr_study),
    Study(others.CINE_STUDY, "ultrasound of a heart, 24 frames", "viewer", others.cine_study),
    Study(others.SLIDE_STUDY, "a slide under the microscope, three levels", "microscopy", others.slide_study),
    Study(others.VIDEO_STUDY, "video of an endoscopy", "viewer", others.video_study),
)


def write(folder: Path) -> None:
    """Write all studies as Part 10 files below a folder.

    Parameters
    ----------
    folder : pathlib.Path
    """
    for study in STUDIES:
        for number, dataset in enumerate(study.make()):
            dataset.save_as(folder / f"{study.uid}-{number:03}.dcm", enforce_file_format=True)
