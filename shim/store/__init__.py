"""Where Part 10 bytes live: attachments of CouchDB, files in folders, linked files."""

# What `file.store` of an instance document says or begins with.
ATTACHED, FOLDER, LINK = "attachment", "folder:", "link:"
# What it says of an instance of which only the metadata are here: there are no bytes, and no transfer syntax.
NOWHERE = "none"
# The attachment with the bytes, and the one with the data set of an instance whose document would be too large.
ATTACHMENT, DATASET = "object.dcm", "dataset.json"
