"""Whether two names of models are of the same one: an alias, and the version that it stands for."""

from __future__ import annotations

import re

_VERSION = re.compile(
    r"([-@:](\d{8}|\d{4}-\d{2}-\d{2}|\d{3,4}|\d{2}-\d{2}|latest|preview|exp|experimental"
    r"|v\d{1,2}(:\d{1,2})?|\d{1,2}:\d{1,2})){1,3}"
)
"""What stands behind the name of a model: a date, a revision, or how far it is. Three at most: a date can be read as
more than one of these, and a name without an end in ever so many ways."""
_PLACES = re.compile(
    r"^((us|eu|apac|global|us-gov)\.)?((anthropic|amazon|meta|mistral|cohere|ai21|deepseek|openai)\.)?"
)
"""Regions and makers, before names at Bedrock."""


_DEPLOYMENT = re.compile(r"(gpt-?\d{1,2}o?|o\d)(-(mini|nano|turbo|pro))?")
"""Names of models of OpenAI's, as far as deployments can have them: without dots."""
_FAMILIES = frozenset(
    "claude codestral command deepseek devstral gemini gemma gpt granite grok jamba kimi llama magistral ministral "
    "mistral mixtral nova palm phi pixtral qwen sonar titan".split()
)
"""First words of makers' names for models."""


def is_own_name(name: str) -> bool:
    """Whether somebody has made it up for a model, at a gateway: `fast`, `prod-chat`. A maker's has a number in it, or
    begins with the name of a family."""
    bare = _bare(name)
    return not any(letter.isdigit() for letter in bare) and re.split(r"[^a-z]", bare)[0] not in _FAMILIES


def is_other_deployment(deployment: str, answered: str) -> bool:
    """Whether a deployment at Azure that is called after a model, as `gpt-4o` or `gpt-35-turbo` is, answers by another
    one. Other names of deployments say nothing of the model."""
    named = deployment.lower().replace(".", "")
    return _DEPLOYMENT.fullmatch(named) is not None and not same_model(named, answered.replace(".", ""))


def same_model(one: str, other: str) -> bool:
    """Whether each could stand for the other: `gpt-4o` and `gpt-4o-2024-08-06`, but not `gpt-4o` and `gpt-4o-mini`."""
    one, other = _bare(one), _bare(other)
    if len(one) > len(other):
        one, other = other, one
    if other.startswith(one) and (one == other or _VERSION.fullmatch(other[len(one) :])):
        return True
    stems = {_VERSION.sub("", one), _VERSION.sub("", other)}
    return len(stems) == 1 and any(name.endswith("-latest") for name in (one, other))


def _bare(name: str) -> str:
    """Without what stands before it at gateways: `openai/gpt-4o`, `models/gemini-2.0-flash`."""
    return _PLACES.sub("", name.strip().lower().rpartition("/")[2])
