"""Those who are told of alerts: a web hook of any path that keeps what came, and a mail server."""

from __future__ import annotations

import contextlib
import json
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from tests.servers.faults import Message, Receive, Send


@dataclass
class Hook:
    """An ASGI application that keeps every JSON body by its path, and answers 200."""

    came: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def bodies(self, path: str = "") -> list[dict[str, Any]]:
        """What came to paths that contain `path`, in order."""
        return [body for where, body in self.came if path in where]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        content, more = b"", True
        while more:
            part = await receive()
            content, more = content + part.get("body", b""), part.get("more_body", False)
        self.came.append((scope["path"], json.loads(content) if content else {}))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"ok"})


@dataclass
class Mailbox:
    """A mail server's letters. refuses: the SMTP code that each recipient is answered with, such as 550."""

    port: int = 0
    letters: list[EmailMessage] = field(default_factory=list)
    refuses: int | None = None


@contextlib.contextmanager
def mail_server() -> Iterator[Mailbox]:
    """A server on a free loopback port that speaks SMTP (RFC 5321) as far as a client sends mail with it."""
    mailbox = Mailbox()

    class Session(socketserver.StreamRequestHandler):
        def say(self, line: str) -> None:
            self.wfile.write(line.encode() + b"\r\n")

        def handle(self) -> None:
            self.say("220 test ESMTP")
            while line := self.rfile.readline():
                verb = line.split()[0].upper().decode() if line.split() else ""
                if verb in ("HELO", "EHLO"):
                    self.say("250 test")
                elif verb == "DATA":
                    self.say("354 go on")
                    mailbox.letters.append(self._letter())
                    self.say("250 taken")
                elif verb == "RCPT" and mailbox.refuses:
                    self.say(f"{mailbox.refuses} no")
                elif verb == "QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("250 ok" if verb in ("MAIL", "RCPT", "RSET", "NOOP") else "502 unknown")

        def _letter(self) -> EmailMessage:
            lines = []
            while (line := self.rfile.readline()) not in (b".\r\n", b""):
                lines.append(line.removeprefix(b"."))
            return message_from_bytes(b"".join(lines), policy=policy.default)  # type: ignore[return-value]

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session) as server:
        server.daemon_threads = True
        mailbox.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield mailbox
        finally:
            server.shutdown()
            thread.join(10)
