"""The tables of publishing. Times are Unix time in seconds, sums lower-case hex, sizes bytes."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, LargeBinary, String, Text, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column, validates

from knossos.database import Base


class Blob(Base):
    """A stored file, known by its contents. The bytes are in the storage before the row is here."""

    __tablename__ = "blobs"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    #: "application/octet-stream" for archives, "image/png" and the like for images.
    content_type: Mapped[str] = mapped_column(String(100))
    #: What old clients compute over the files of a package; they look an upload up by it.
    content_checksum: Mapped[str | None] = mapped_column(String(200), index=True)
    vp_checksum: Mapped[str | None] = mapped_column(String(200))
    #: Who stored it first; it counts to their quota. None: the server itself, or an account that is gone.
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), index=True)
    created_at: Mapped[float]
    #: When somebody last stored it, looked it up for an upload, or gave it up. What nothing uses stays until
    #: UPLOAD_LIFETIME after that.
    touched_at: Mapped[float] = mapped_column(index=True)


class BlobUse(Base):
    """One thing that needs a blob: these rows are the reference count, and keep the blob from being deleted."""

    __tablename__ = "blob_uses"

    sha256: Mapped[str] = mapped_column(ForeignKey("blobs.sha256", ondelete="RESTRICT"), primary_key=True)
    #: "release" or "mod".
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    #: The release's number or the mod's id.
    key: Mapped[str] = mapped_column(String(200), primary_key=True)

    __table_args__ = (Index("ix_blob_uses_kind_key", "kind", "key"),)


class Upload(Base):
    """An upload in parts, from its start to its end. Each account has its own, even of the same file."""

    __tablename__ = "uploads"

    #: A random name: of the file with the parts.
    key: Mapped[str] = mapped_column(String(32), primary_key=True)
    #: What the client says the file will be.
    sha256: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    size: Mapped[int] = mapped_column(BigInteger)
    parts: Mapped[int]
    #: How many parts from the first on are in ``hash_state``.
    hashed_parts: Mapped[int] = mapped_column(default=0)
    #: The inner state of SHA-256 after these parts (`running_hash.py`).
    hash_state: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[float]
    touched_at: Mapped[float] = mapped_column(index=True)

    __table_args__ = (UniqueConstraint("sha256", "user_id", name="uq_uploads_sha256_user_id"),)


class UploadPart(Base):
    """A part that has arrived whole."""

    __tablename__ = "upload_parts"

    upload_key: Mapped[str] = mapped_column(ForeignKey("uploads.key", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    #: A random number, another one whenever other bytes have come as this part.
    revision: Mapped[int]


class Mod(Base):
    __tablename__ = "mods"

    id: Mapped[str] = mapped_column(String(128), primary_key=True)
    #: In lower case: two ids must not differ only in case.
    id_key: Mapped[str] = mapped_column(String(128), unique=True)
    title: Mapped[str] = mapped_column(String(300))
    #: "mod", "tc", "engine", "tool" or "ext".
    type: Mapped[str] = mapped_column(String(16))
    parent: Mapped[str | None] = mapped_column(String(128))
    #: SHA-256 of images, blobs of this mod.
    logo: Mapped[str | None] = mapped_column(String(64))
    tile: Mapped[str | None] = mapped_column(String(64))
    #: YYYY-MM-DD.
    first_release: Mapped[str | None] = mapped_column(String(10))
    created_at: Mapped[float]
    #: When a public release of it last changed, for lists.
    updated_at: Mapped[float] = mapped_column(index=True)
    #: The release that lists show: the newest that is offered to everyone. None: the public does not see this mod.
    listed_id: Mapped[int | None]
    #: What lists are searched for, in lower case: id, title and that release's description.
    search_text: Mapped[str] = mapped_column(Text, default="", server_default="")


class Member(Base):
    """An account in the team of a mod. ``role``: 0 owner, 10 manager, 20 uploader, 30 tester."""

    __tablename__ = "members"

    mod_id: Mapped[str] = mapped_column(ForeignKey("mods.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True)
    role: Mapped[int]


class Release(Base):
    """A version of a mod. It is never removed: a version that was once taken is never given again."""

    __tablename__ = "releases"

    id: Mapped[int] = mapped_column(primary_key=True)
    mod_id: Mapped[str] = mapped_column(ForeignKey("mods.id"), index=True)
    #: As its author wrote it.
    version: Mapped[str] = mapped_column(String(100))
    #: In lower case: what makes two versions the same, as their folders are on a player's disk.
    version_key: Mapped[str] = mapped_column(String(100))
    #: "published" or "deleted".
    state: Mapped[str] = mapped_column(String(16))
    private: Mapped[bool]
    #: "stable", "rc" or "nightly", as in the document.
    stability: Mapped[str | None] = mapped_column(String(16))
    #: Whether the repository has it: published, public, and not yanked unless a release that is offered needs it.
    offered: Mapped[bool]
    #: Whether the repository ever had it, so that clients are told when it goes. Set with ``offered``, by the class.
    once_offered: Mapped[bool] = mapped_column(default=False, server_default=false())
    #: Since when it is not offered any more; it stays installable for those who depend on it.
    yanked_at: Mapped[float | None]
    yank_reason: Mapped[str] = mapped_column(String(500), default="", server_default="")
    #: JSON of a `ReleaseDocument`: the full mod; files and images are named by their SHA-256, not by URLs.
    document: Mapped[str] = mapped_column(Text)
    #: JSON of what lists show of it (`listing.py`): the document may be very long.
    summary: Mapped[str] = mapped_column(Text, default="{}", server_default="{}")
    published_by: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    #: The submission that stored it: the same one again has stored it already, another one is refused.
    submission: Mapped[str] = mapped_column(String(64), default="", server_default="")
    created_at: Mapped[float]
    updated_at: Mapped[float]
    #: The number of its last change in the order of commits (`changes.py`): readers ask for what is above a number.
    change: Mapped[int] = mapped_column(BigInteger, index=True)

    __table_args__ = (
        UniqueConstraint("mod_id", "version_key", name="uq_releases_mod_id_version_key"),
        Index("ix_releases_updated_at_change", "updated_at", "change"),
    )

    @validates("offered")
    def _note_that_it_was_offered(self, _name: str, offered: bool) -> bool:
        if offered:
            self.once_offered = True
        return offered


class ReleaseDependency(Base):
    """Which mods a release needs, for "what needs it" and for yanked versions."""

    __tablename__ = "release_dependencies"

    release_id: Mapped[int] = mapped_column(ForeignKey("releases.id", ondelete="CASCADE"), primary_key=True)
    mod_id: Mapped[str] = mapped_column(String(128), primary_key=True, index=True)
    #: None: any version.
    version: Mapped[str | None] = mapped_column(String(100))
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class ChangeCounter(Base):
    """The first row has the number of the last change; its lock puts transactions that change releases into one order.

    Each further row was added when a backup was restored: the changes above ``written`` and below ``value`` are undone.
    """

    __tablename__ = "change_counter"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    value: Mapped[int] = mapped_column(BigInteger)
    #: The change up to which the repository's files in the storage are written.
    written: Mapped[int] = mapped_column(BigInteger, default=0)


class Submission(Base):
    """A release that is being checked: the same request again joins it rather than starting over."""

    __tablename__ = "submissions"

    #: SHA-256 of the account, the mode and the document.
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    ticket: Mapped[int] = mapped_column(BigInteger)
    mod_id: Mapped[str] = mapped_column(String(128))
    version: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[float] = mapped_column(index=True)


class Report(Base):
    """What a player reported about a release."""

    __tablename__ = "reports"

    id: Mapped[int] = mapped_column(primary_key=True)
    mod_id: Mapped[str] = mapped_column(ForeignKey("mods.id", ondelete="CASCADE"), index=True)
    version: Mapped[str] = mapped_column(String(100))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    message: Mapped[str] = mapped_column(Text)
    created_at: Mapped[float]


class Webhook(Base):
    """An address that is told of events, for one mod or (``mod_id`` None, operators only) for all."""

    __tablename__ = "webhooks"

    id: Mapped[int] = mapped_column(primary_key=True)
    mod_id: Mapped[str | None] = mapped_column(ForeignKey("mods.id", ondelete="CASCADE"), index=True)
    url: Mapped[str] = mapped_column(String(2000))
    #: Key of the HMAC.
    secret: Mapped[str] = mapped_column(String(100))
    #: "json" or "discord".
    format: Mapped[str] = mapped_column(String(16))
    #: Words separated by spaces: "release", "deletion", "failed_validation".
    events: Mapped[str] = mapped_column(String(200))
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    created_at: Mapped[float]
    #: Since when it is told nothing more, because the address answered that it is gone for good.
    disabled_at: Mapped[float | None]
    #: When it was last told something, and what came of it, in words.
    last_try_at: Mapped[float | None]
    last_result: Mapped[str] = mapped_column(String(300), default="", server_default="")


class LogPage(Base):
    """A game's log that a player uploaded to show it to others."""

    __tablename__ = "log_pages"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    text: Mapped[str] = mapped_column(Text)
    created_at: Mapped[float] = mapped_column(index=True)


class TrackCount(Base):
    """How often clients reported an event about a mod, by day (YYYY-MM-DD)."""

    __tablename__ = "track_counts"

    event: Mapped[str] = mapped_column(String(64), primary_key=True)
    mod_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    version: Mapped[str] = mapped_column(String(100), primary_key=True)
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)
