"""All places where a site has Part 10 bytes; readers need not know in which of them an instance is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from dicouch.config import Config
from dicouch.couch.client import Couch
from dicouch.errors import DicomWebError, NoBytes, only_metadata
from dicouch.store import ATTACHED, FOLDER, LINK, NOWHERE
from dicouch.store.attachment import open_attachment
from dicouch.store.folder import FileChunks, FolderStore, LinkStore
from dicouch.store.peers import Peers, checked

# How often bytes may move while they are looked for.
MOVES = 5


class Bytes:
    """Where a site keeps new instances, and every place where it has some.

    Parameters
    ----------
    place : str
        ``attachment`` or ``folder:/path``.
    roots : sequence of str
        Further folders that have bytes of this site, such as that of an earlier `place`.
    links : LinkStore, optional
        Where linked files may lie.
    peers : Peers, optional
        Servers that have the bytes of documents that came by replication; what they give is kept in the first folder.
    shared : sequence of str
        Folders of other sites: what is in them is read, and never removed.
    """

    def __init__(
        self,
        couch: Couch,
        place: str,
        roots: Sequence[str] = (),
        links: LinkStore | None = None,
        peers: Peers | None = None,
        shared: Sequence[str] = (),
    ) -> None:
        self.couch = couch
        own = FolderStore(place.removeprefix(FOLDER)) if place.startswith(FOLDER) else None
        self.folder: FolderStore | LinkStore | None = own
        others = [FolderStore(root) for root in roots if own is None or Path(root) != own.root]
        self._folders = ([own] if own else []) + others
        self._shared = [FolderStore(root) for root in shared]
        self._links = links or LinkStore(())
        self._peers = peers or Peers()

    @classmethod
    def from_config(cls, config: Config, couch: Couch) -> Bytes:
        """Return the places where a site has bytes."""
        links = LinkStore(config.link_roots, config.check_links == "yes")
        peers = Peers(config.bytes_from, config.min_free_space)
        return cls(couch, config.bytes, config.bytes_roots, links, peers, config.bytes_shared)

    @property
    def has_folders(self) -> bool:
        """Whether bytes of this site may be in a folder of its own."""
        return bool(self._folders)

    def can_fetch(self, file: dict) -> bool:
        """Return whether another server is asked for the bytes of an instance when they are not here."""
        return bool(self._peers.roots and self._folders) and file["store"] not in (ATTACHED, NOWHERE)

    def keep(self, source: BinaryIO, digest: str) -> str:
        """Keep the bytes of a new instance, unless they go to the database; return what ``file.store`` says."""
        return ATTACHED if self.folder is None else self.folder.put(source, digest)

    def keep_all(self, sources: Sequence[tuple[BinaryIO, str]]) -> list[str | OSError | DicomWebError]:
        """Keep the bytes of several new instances, as `keep` does; return what is said of each, or what went wrong."""
        if isinstance(self.folder, FolderStore):
            return [*self.folder.put_all(sources)]
        kept: list[str | OSError | DicomWebError] = []
        for source, digest in sources:
            try:
                kept.append(self.keep(source, digest))
            except (OSError, DicomWebError) as problem:
                kept.append(problem)
        return kept

    def discard(self, file: dict, *kept: dict) -> None:
        """Drop the bytes of an instance whose document is gone; an attachment went with it, a linked file stays.

        What was fetched from another server goes, unless it is that of what is `kept`. What is in a folder of another
        site stays.
        """
        if file["store"].startswith(FOLDER) or file["store"].startswith(LINK) and "sha256" in file:
            name = _name(file)
            if name not in [_name(one) for one in kept]:
                for folder in self._folders:
                    folder.discard({"store": FOLDER + name})

    def locate(self, file: dict, *, compare: bool = True) -> Path | None:
        """Return the file that has the bytes of an instance; None when they are in no folder of this site.

        Without `compare` the digest of a linked file is left for when it is read.
        """
        if file["store"] == NOWHERE:
            return None
        path = self._links.locate(file, compare=compare) if file["store"].startswith(LINK) else None
        if path is not None:
            return path
        folders = (*self._folders, *self._shared)
        return next((path for folder in folders if (path := folder.find(_name(file)))), None)

    def is_here(self, file: dict) -> bool:
        """Return whether the bytes of an instance are in the database, or in a file that this site can read."""
        try:
            return file["store"] == ATTACHED or self.locate(file) is not None
        except NoBytes:
            return False

    def adopt(self, file: dict, kept: dict) -> None:
        """Give bytes of a file that is here the name by which another server keeps the very same, if it has one here.

        Raises
        ------
        NoBytes
            502 when the file has other bytes than its document says.
        """
        if not self._folders or kept["store"] in (ATTACHED, NOWHERE) or self.is_here(kept) or not self.is_here(file):
            return
        name, path = _name(kept), self.locate(file)
        if path is not None and self._folders[0].is_inside(name):
            self._folders[0].receive(
                name, checked(FileChunks(path, 0, file["size"]), file, f"the file {path.name} has")
            )

    def open(
        self,
        document_id: str,
        file: dict,
        start: int = 0,
        end: int | None = None,
        authorization: str | None = None,
        check: Callable[[str], None] | None = None,
        *,
        fetch: bool = True,
    ) -> Iterator[bytes]:
        """Yield the bytes of an instance from `start` up to `end`, wherever they are.

        Bytes that moved since the document was read are found where they are now, those that another server has are
        fetched.

        Parameters
        ----------
        check : callable, optional
            Told the entity tag of an attachment before the first byte; it may raise.
        fetch : bool
            Whether other servers may be asked.

        Raises
        ------
        DicomWebError
            404 when they are gone meanwhile, or never came; 503 when they are in no folder of this site.
        """
        if file["store"] == NOWHERE:
            raise only_metadata(*document_id.split(":"))
        size = file["size"]
        end = size if end is None else min(end, size)
        for _attempt in range(MOVES):
            try:
                if file["store"] == ATTACHED:
                    return open_attachment(self.couch, document_id, size, start, end, authorization, check)
                if (path := self.locate(file)) is not None:
                    return FileChunks(path, start, end)
                missing: DicomWebError = NoBytes(503, f"{document_id}: its file is in none of the folders of this site")
            except FileNotFoundError:
                missing = DicomWebError(404, f"{document_id} has no bytes any more")
            except DicomWebError as problem:
                if problem.status != 404:
                    raise
                missing = problem
            found = self.couch.get(document_id, authorization=authorization)
            if not found or found["file"]["sha256"] != file["sha256"]:
                raise missing
            if found["file"]["store"] == file["store"]:
                if not (fetch and self.can_fetch(file)):
                    raise missing
                self._peers.fetch(document_id, found["file"], self._folders[0], _name(file))
                continue
            file = {**file, "store": found["file"]["store"]}
        raise missing


def _name(file: dict) -> str:
    """Return the name below a folder under which bytes are, or are kept that another server has linked."""
    if file["store"].startswith(LINK):
        return f"linked/{file['sha256'][:2]}/{file['sha256']}.dcm"
    return str(file["store"].removeprefix(FOLDER))
