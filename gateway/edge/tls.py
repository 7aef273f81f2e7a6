"""Whether this gateway speaks TLS, with which certificate, and going on with a renewed one."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path

from gateway.edge.certificate import CertificateFiles, own_certificate, server_context
from gateway.errors import ConfigError

__all__ = ["CertificateWatch", "choose", "speaks_tls"]

logger = logging.getLogger(__name__)

LOOK_S = 5.0
"""Between two looks at the certificate's files."""


def speaks_tls(host: str, given: Path | None, *, insecure: bool) -> bool:
    """TLS where a certificate is given, and off the loopback address unless that was declined. Pure."""
    return given is not None or not (insecure or ipaddress.ip_address(host).is_loopback)


def choose(
    state_dir: Path,
    host: str,
    cert: Path | None,
    key: Path | None,
    names: Iterable[str],
    *,
    also: Iterable[str] = (),
    insecure: bool = False,
) -> CertificateFiles | None:
    """The certificate to serve with; None is plain HTTP. Blocking.

    Args:
        host: the address that is listened on.
        cert, key: the operator's.
        names: addresses and names that a self-signed one is to be good for.
        also: those that a new one has besides.
        insecure: the operator has declined TLS.

    Raises:
        ConfigError: of the operator's one is missing or bad, or a self-signed one cannot be kept.
    """
    if not speaks_tls(host, cert, insecure=insecure):
        return None
    if cert is not None and key is not None:
        files = CertificateFiles(cert, key, given=True)
        server_context(files)
        return files
    return own_certificate(state_dir, names, also)


class CertificateWatch:
    """Uses a certificate again whenever its files have changed; a broken one is refused, and the last one stays.

    Args:
        files: read at once; raises ConfigError.
    """

    def __init__(self, files: CertificateFiles) -> None:
        self._files = files
        self._asked = asyncio.Event()
        self._stamp = self._look()
        self.context = server_context(files)

    def reload(self) -> None:
        """Look now, and read the files whatever they look like."""
        self._stamp = None
        self._asked.set()

    async def run(self, use: Callable[[ssl.SSLContext], None]) -> None:
        """Until cancelled.

        Args:
            use: told of each new context, for connections from then on.
        """
        while True:
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._asked.wait()
            except TimeoutError:
                pass
            self._asked.clear()
            stamp = await asyncio.to_thread(self._look)
            if stamp == self._stamp:
                continue
            self._stamp = stamp
            try:
                self.context = await asyncio.to_thread(server_context, self._files)
            except ConfigError as exc:
                logger.error("! the certificate stays as it was: %s", exc)
            else:
                use(self.context)
                logger.info("= the certificate was read again")

    def _look(self) -> object:
        """Blocking."""
        try:
            infos = [path.stat() for path in (self._files.chain, self._files.key)]
        except OSError as exc:
            return exc.errno
        return [(info.st_ino, info.st_mtime_ns, info.st_size) for info in infos]
