"""DIMSE (PS3.7): the other front door, for modalities and archives that speak no HTTP.

Associations are pynetdicom's; what is stored, found and sent goes the same ways as with DICOMweb.
"""
