"""Studies in and results out as DICOM, by file and by network.

Everything here needs the extra `dicom` (pydicom, highdicom), which is imported only when a
function is called. The way in is `read_study`; the way out is `export.export_case`.
"""

from hideseek_backend.dicom.study import Study, list_series, read_study

__all__ = ["Study", "list_series", "read_study"]
