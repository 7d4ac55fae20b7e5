"""Where the tokenizer.json of a configuration lies: a file, a folder, the hub, or a cached copy of it."""

from pathlib import Path

from scaling.data.config import DataError, TokenizerConfig
from scaling.data.hub_access import obstacle, quiet_hub

FILE = "tokenizer.json"


def tokenizer_file(config: TokenizerConfig) -> Path:
    """The tokenizer.json of a tokenizer of kind file or hub, fetched from the hub where it is not here yet.

    A copy in the cache is taken without a question to the hub: the revision is pinned. Raises DataError if the hub
    cannot be reached, or the repository, the revision or the file does not exist.
    """
    assert config.path is not None
    if config.kind == "file":
        return Path(config.path)
    if Path(config.path).is_dir():
        return Path(config.path) / FILE
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    quiet_hub()
    try:
        cached = try_to_load_from_cache(config.path, FILE, revision=config.revision)
        if isinstance(cached, str):
            return Path(cached)
        absent = obstacle(f"models/{config.path}")
        if absent is not None:
            raise DataError(
                f"The tokenizer {config.path} cannot be loaded: {absent}, and there is no cached copy of revision "
                f"{config.revision}. Set HF_HOME to a cache that holds a copy; or data.tokenizer.path=FOLDER with its "
                f"{FILE}; or train one on the text, data.tokenizer.kind=bpe."
            )
        return Path(hf_hub_download(config.path, FILE, revision=config.revision))
    except (HfHubHTTPError, LocalEntryNotFoundError, ValueError, OSError) as error:
        if isinstance(error, DataError):
            raise
        first_line = next((line for line in str(error).splitlines() if line.strip()), "no message")
        raise DataError(
            f"The {FILE} of {config.path} at revision {config.revision} cannot be fetched ({type(error).__name__}: "
            f"{first_line}): check data.tokenizer.path and revision; the repository must hold a {FILE}."
        ) from error
