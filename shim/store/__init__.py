"""Where Part 10 bytes live: attachments of CouchDB, files in folders, linked files."""

# What `file.store` of an instance document says or begins with.
ATTACHED, FOLDER, LINK = "attachment", "folder:", "link:"
# The attachment with the bytes, and the one with the data set of an instance whose document would be too large.
ATTACHMENT, DATASET = "object.dcm", "dataset.json"
