"""What must not be written down."""

import re

SECRETS = ("password", "passwd", "sslpassword", "sslkey")
"""Parts of a URL's query that are nobody's business."""


def without_passwords(text: str) -> str:
    """A text, such as a command, without the passwords of URLs in it."""
    text = re.sub(r"(\w://[^:/@\s]*):\S*@", r"\1:***@", text)
    return re.sub(rf"({'|'.join(SECRETS)})=[^&\s]*", r"\1=***", text, flags=re.IGNORECASE)
