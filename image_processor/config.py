"""Every setting of SKUlight: name, default and a sentence. Read once, by `app.py`."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from image_processor.errors import ConfigError

PREFIX = "IMAGE_PROCESSOR_"


class Settings(BaseSettings):
    """The settings, from the environment (prefix `IMAGE_PROCESSOR_`) and a `.env` file beside `app.py`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    instance_path: Path = Field(Path("instance"), description="Folder of the database, the uploads and the secrets.")
    processed_images_path: Path = Field(Path("processed_images"), description="Folder of the compressed images.")
    database_url: str | None = Field(
        None, description="SQLAlchemy URL of the database; by default SQLite in `INSTANCE_PATH`, the only tested one."
    )
    public_base_url: str | None = Field(
        None,
        description="Base of every generated URL, such as `https://img.example.com`; by default the trusted `Host`.",
    )
    trusted_hosts: str = Field(
        "", description="Host names served besides loopback and that of `PUBLIC_BASE_URL`, comma-separated."
    )
    proxies: int = Field(
        0, ge=0, le=10, description="Reverse proxies in front, whose `X-Forwarded-For` and `-Proto` are trusted."
    )
    api_key: str | None = Field(
        None, min_length=16, description="Key that every client must send; required for binding beyond loopback."
    )
    secret_key: str | None = Field(
        None, min_length=16, description="Signs browser sessions; generated once when not set."
    )
    webhook_secret: str | None = Field(
        None,
        description="Signs webhooks (`whsec_…`); generated once when not set; two, separated by a space, both sign.",
    )
    webhook_schedule: str = Field(
        "0,5,30,300,1800,7200,18000,36000", description="Seconds to wait before each attempt to deliver a webhook."
    )
    contact: str | None = Field(None, description="Email address or URL in the User-Agent, for owners of image hosts.")
    allowed_private_addresses: str = Field(
        "", description="Private addresses that downloads may reach: comma-separated `ip:port` or CIDR."
    )
    max_upload_bytes: int = Field(64_000_000, ge=1_000, description="Largest accepted upload, in bytes.")
    max_rows: int = Field(200_000, ge=1, description="Most rows in one catalogue.")
    max_urls_per_row: int = Field(1_000, ge=1, description="Most image URLs in one row.")
    max_images: int = Field(1_000_000, ge=1, description="Most image URLs in one catalogue.")
    quality: int = Field(50, ge=1, le=95, description="Encoder quality when an upload does not set one.")
    max_dimension: int = Field(
        2048, ge=0, le=65_500, description="Longest side in pixels when an upload does not set one; 0 never resizes."
    )
    jpeg_optimize: bool = Field(True, description="Optimise the Huffman tables of JPEGs: smaller, slower.")
    jpeg_progressive: bool = Field(True, description="Write progressive JPEGs: smaller, slower.")
    download_threads: int = Field(32, ge=1, le=512, description="Simultaneous downloads.")
    compress_threads: int = Field(
        0, ge=0, le=256, description="Image processes: images compressed simultaneously; 0 means one for each CPU."
    )
    per_host_connections: int = Field(16, ge=1, le=512, description="Simultaneous downloads from one host.")
    connect_timeout: float = Field(5.0, gt=0, le=60, description="Seconds to wait for a connection.")
    download_timeout: float = Field(
        30.0, gt=0, le=600, description="Seconds for one whole download, redirects included."
    )
    max_download_bytes: int = Field(20_000_000, ge=1_000, description="Largest image downloaded, in bytes.")
    max_pixels: int = Field(
        50_000_000,
        ge=1,
        description="Most pixels of an image; an animation with more in all its frames becomes a still.",
    )
    image_timeout: float = Field(
        30.0, ge=1, le=600, description="Seconds that compressing one image may take, from when it starts."
    )
    image_memory_bytes: int = Field(
        1_500_000_000, ge=300_000_000, description="Memory (address space) of one image process, in bytes."
    )
    max_attempts: int = Field(3, ge=1, le=10, description="Attempts to download one image.")
    rate_limit: int = Field(0, ge=0, description="Uploads and dry runs per minute and client; 0 is no limit.")
    retention_days: int = Field(0, ge=0, description="Days after which finished jobs are removed; 0 keeps them.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="How much is logged.")
    log_format: Literal["text", "json"] = Field("text", description="Log lines for people, or as JSON for programs.")

    @field_validator("public_base_url")
    @classmethod
    def _base_is_http(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not value.startswith(("http://", "https://")):
            raise ValueError("it must start with http:// or https://")
        return value.rstrip("/")

    @field_validator("webhook_schedule")
    @classmethod
    def _schedule_is_seconds(cls, value: str) -> str:
        parts = value.split(",")
        if not all(part.strip().replace(".", "", 1).isdigit() for part in parts):
            raise ValueError("it must be seconds separated by commas, such as 0,5,30")
        return value

    def schedule_seconds(self) -> tuple[float, ...]:
        """The waits before each webhook attempt, in seconds."""
        return tuple(float(part) for part in self.webhook_schedule.split(","))


def load_settings(**overrides: object) -> Settings:
    """Read the settings; `overrides` (field names) win over the environment.

    Raises ConfigError with one sentence for each invalid variable.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        raise ConfigError("\n".join(_sentence(problem) for problem in error.errors())) from None


def _sentence(problem: object) -> str:
    name = PREFIX + str(problem["loc"][0]).upper()  # type: ignore[index]
    message = str(problem["msg"]).removeprefix("Value error, ")  # type: ignore[index]
    shown = "(hidden)" if "SECRET" in name or "KEY" in name else repr(problem["input"])  # type: ignore[index]
    return f"{name} is {shown}, which is not valid: {message[0].lower()}{message[1:]}."
