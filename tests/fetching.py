"""A client whose responses carry their bodies, for tests."""

from dataclasses import replace
from io import BytesIO
from typing import Any

from image_processor.download.client import GuardedClient, Response


class BufferedClient:
    """A guarded client that fetches into memory."""

    def __init__(self, **options: Any) -> None:
        self._client = GuardedClient(**options)
        self.post, self.cut, self.close = self._client.post, self._client.cut, self._client.close

    def get(self, url: str, **options: Any) -> Response:
        """The response to a GET, with its body."""
        with BytesIO() as file:
            response = self._client.get(url, file, **options)
            return replace(response, body=file.getvalue())
