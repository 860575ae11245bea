"""What an operator reads of a mistake in a file: its field, and what was expected there, in words of the file."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from knossos.scripting.authtokens import AuthToken
from knossos.scripting.configured import explained
from knossos.scripting.metadata import ScriptMetadata
from knossos.scripting.runners.model import RunnerFile


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        (RunnerFile, {"command": "/bin/true x"}, "command: expected a list, but this is a text"),
        (RunnerFile, [], "expected an object, but this is a list"),
        (RunnerFile, {}, "command: this is required"),
        (RunnerFile, {"command": ["x"], "comand": 1}, "comand: there is no such field"),
        (RunnerFile, {"command": ["x"], "concurrency": "many"}, "concurrency: expected a whole number, but this is a"),
        (RunnerFile, {"command": ["x"], "network": "maybe"}, "network: expected true or false, but this is a text"),
        (ScriptMetadata, {"title": 5}, "title: expected a text, but this is a number"),
        (ScriptMetadata, {"limits": {"timeout_seconds": "x"}}, "limits.timeout_seconds: expected a number, but this"),
        (ScriptMetadata, {"limits": {"timeout_seconds": 0}}, "limits.timeout_seconds: expected a number over 0"),
        (ScriptMetadata, {"output": "xml"}, "output: expected 'text' or 'html', but this is \"xml\""),
        (
            ScriptMetadata,
            {"form": {"fields": [{"type": "odd", "name": "a"}]}},
            "form.fields.0.type: expected one",
        ),
        (ScriptMetadata, {"form": {"fields": [{"name": "a"}]}}, "form.fields.0.type: this is required"),
        (
            ScriptMetadata,
            {"form": {"fields": [{"type": "text", "name": "1"}]}},
            "form.fields.0.name: expected text",
        ),
        (AuthToken, {"purpose": 5, "roles": []}, "purpose: expected a text, but this is a number"),
        (AuthToken, {"purpose": "SCRIPTING:EXECUTE:a", "roles": "x"}, "roles: expected a list, but this is a text"),
    ],
)
def test_a_mistake_is_told_at_its_field_in_words_of_the_file(kind: type[BaseModel], data: Any, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(data)
    assert explained(caught.value).startswith(said)
    assert "Input" not in explained(caught.value)
