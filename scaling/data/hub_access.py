"""Whether the Hugging Face hub answers, asked with a deadline.

The hub's own client takes half a minute and a page of retries to say that there is no network. So this module asks
first, itself.
"""

import logging
import os
import ssl
import threading
import urllib.error
import urllib.request

_ANSWER_SECONDS = 4.0
_DEFAULT_ENDPOINT = "https://huggingface.co"
_NOISY_LOGGERS = ("datasets", "huggingface_hub", "httpx", "httpcore", "urllib3", "fsspec", "filelock")


def quiet_hub() -> None:
    """No log lines from the hub's libraries: their exceptions say what matters."""
    for name in _NOISY_LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def obstacle(repository: str) -> str | None:
    """Why the hub cannot be asked, in words; None if it answers, whatever it answers.

    repository: with its kind, `datasets/OWNER/NAME` or `models/OWNER/NAME`.
    The question runs in a thread of its own since looking up a host's name knows no deadline.
    """
    for variable in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        if os.environ.get(variable, "").upper() in {"1", "ON", "YES", "TRUE"}:
            return f"{variable} is set"
    endpoint = os.environ.get("HF_ENDPOINT", _DEFAULT_ENDPOINT).rstrip("/")
    answers: list[str | None] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(f"{endpoint}/api/{repository}", timeout=_ANSWER_SECONDS):
                answers.append(None)
        except urllib.error.HTTPError:
            answers.append(None)  # it is there: let the hub's client say what is wrong
        except urllib.error.URLError as error:
            # A certificate known to the client's own bundle alone is an answer as well.
            answered = isinstance(error.reason, ssl.SSLCertVerificationError)
            answers.append(None if answered else f"{endpoint} cannot be reached ({error.reason})")
        except (OSError, ValueError) as error:
            answers.append(f"{endpoint} cannot be reached ({error})")

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_ANSWER_SECONDS + 1.0)
    return answers[0] if answers else f"{endpoint} does not answer within {_ANSWER_SECONDS:.0f} seconds"
