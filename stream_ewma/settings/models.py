"""All settings as one frozen object."""

import os
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from stream_ewma.settings import checks, smoothing_checks
from stream_ewma.settings.sections import (
    DeadLetterSettings,
    DeliverySettings,
    HttpSettings,
    InputSettings,
    KafkaSettings,
    LogSettings,
    OutputSettings,
    StateSettings,
    TopicsSettings,
    TracingSettings,
)
from stream_ewma.settings.smoothing import SmoothingSettings
from stream_ewma.settings.values import ApplicationId, Whole


def _threads() -> int:
    # Where a container limits the process to some CPUs, only those count.
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(8, cpus or 1)


class Settings(BaseSettings):
    """Everything that can be set. Constructing it reads nothing: `load_settings` does."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
        validate_default=False,
        env_prefix="STREAM_EWMA_",
        env_nested_delimiter="__",
    )

    application_id: ApplicationId = "stream-ewma"
    """Consumer group, and prefix of the names of the service's own topics."""
    worker_threads: Annotated[Whole, Field(default_factory=_threads, ge=1, le=256)]
    """Threads that compute; default: one per CPU, at most 8."""
    kafka: KafkaSettings = KafkaSettings()
    input: InputSettings
    smoothing: SmoothingSettings
    state: StateSettings = StateSettings()
    output: OutputSettings = OutputSettings()
    dead_letters: DeadLetterSettings = DeadLetterSettings()
    delivery: DeliverySettings = DeliverySettings()
    topics: TopicsSettings = TopicsSettings()
    http: HttpSettings = HttpSettings()
    tracing: TracingSettings = TracingSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(  # noqa: D102  a hook of BaseSettings
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        outputs = {topic: self.output_topic(topic) for topic in self.input.topics}
        checks.refuse(
            *checks.kafka(self.kafka),
            *checks.input_(self.input),
            *smoothing_checks.smoothing(self.input, self.smoothing, self.output),
            *checks.delivery(self.delivery, self.kafka),
            *checks.state(self.state),
            *checks.topic_names(outputs, self.dead_letter_topic, self._changelogs()),
            *checks.new_topics(self.topics),
            *checks.http(self.http),
        )
        return self

    def _changelogs(self) -> dict[str, str]:
        if not self.state.durable:
            return {}
        return {topic: self.changelog_topic(topic) for topic in self.input.topics}

    def output_topic(self, input_topic: str) -> str:
        """The topic that the smoothed records of `input_topic` go to."""
        return self.output.topic or f"{input_topic}-ewma"

    @property
    def dead_letter_topic(self) -> str:
        """The topic that dead letters go to."""
        return self.dead_letters.topic or f"{self.application_id}-dlq"

    def changelog_topic(self, input_topic: str) -> str:
        """The topic that keeps the state of `input_topic`."""
        return f"{self.application_id}-{input_topic}-changelog"

    @property
    def is_exactly_once(self) -> bool:
        """Whether outputs are published in the transactions that cover them."""
        return self.state.durable and self.delivery.guarantee == "exactly_once"

    @property
    def commit_interval_ms(self) -> int:
        """Time between two commits."""
        default = 100 if self.is_exactly_once else 1_000
        return self.delivery.commit_interval or default

    @property
    def client_id(self) -> str:
        """The name that the brokers see."""
        return self.kafka.client_id or self.application_id
