"""A certificate authority for a test, by openssl."""

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

SETTINGS = """
[ca]
default_ca = here
[here]
dir = {folder}
database = {folder}/index
new_certs_dir = {folder}
serial = {folder}/serial
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
"""
KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


@dataclass(frozen=True)
class Authority:
    folder: Path

    @property
    def certificate(self) -> Path:
        """To be believed by clients."""
        return self.folder / "ca.pem"

    @classmethod
    def make(cls, folder: Path) -> "Authority":
        authority = cls(folder)
        (folder / "settings").write_text(SETTINGS.format(folder=folder))
        (folder / "index").write_text("")
        (folder / "serial").write_text("01")
        openssl("req", "-x509", *KEY, "-subj", "/CN=test", "-keyout", folder / "ca.key", "-out", authority.certificate)
        return authority

    def issue(self, name: str, address: str, until: timedelta = timedelta(days=60)) -> tuple[Path, Path]:
        """A certificate for an address, valid since a year ago until `until` from now on, and its key."""
        key, request, chain = (self.folder / f"{name}.{ending}" for ending in ("key", "csr", "pem"))
        subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=IP:{address}"]
        openssl("req", *KEY, *subject, "-keyout", key, "-out", request)
        now = datetime.now(UTC)
        dates = ["-startdate", stamp(now - timedelta(days=365)), "-enddate", stamp(now + until)]
        signing = ["-config", self.folder / "settings", "-cert", self.certificate, "-keyfile", self.folder / "ca.key"]
        openssl("ca", "-batch", "-notext", *signing, *dates, "-in", request, "-out", chain)
        return chain, key


def stamp(time: datetime) -> str:
    return time.strftime("%Y%m%d%H%M%SZ")


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
