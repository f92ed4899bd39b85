"""Where the model is, and what of that nobody else may learn."""

from base64 import b64encode
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from .redaction import Redaction


class Endpoint(NamedTuple):
    """Where the model is: the base URL and the key, which always go together.

    A private one is of no use to anybody but us, and is not shown.
    """

    base_url: str
    api_key: str
    private: bool = False

    @property
    def redaction(self) -> Redaction:
        """What takes the secrets of this endpoint out of its replies: its key, and those in its address."""
        address = urlsplit(self.base_url)
        name, password = address.username or "", address.password or ""
        pair = f"{unquote(name)}:{unquote(password)}"  # as it travels in the header
        of_address = [password, unquote(password), b64encode(pair.encode()).decode()] if password else [name]
        of_query = [value for _, value in parse_qsl(address.query)]
        return Redaction([self.api_key, *of_address, *of_query])
