"""Pixels: decoding, encoding, transcoding and rendering, as pure functions on DICOM JSON and the bytes of frames."""
