"""One table of parameters, and all that must name the same ones."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from farm.cli.narrate import job_request
from farm.cli.parser import parser
from farm.speech import MANNER_FIELDS, NEUTRAL, PARAMETERS, Manner, Parameter
from farm.wire import Chapter, JobOptions, JobRequest, Model

DOCS = Path(__file__).parents[2] / "docs"
BESIDE_SPEECH = {
    "model", "voice", "voices", "markup", "lexicons", "language", "output", "priority", "on_error", "on_review",
    "metadata", "webhook", "expires_after",
}  # fmt: skip


def test_every_parameter_but_marks_has_a_row() -> None:
    assert set(PARAMETERS) == set(Parameter) - {Parameter.PRONUNCIATION}


def test_every_option_of_a_job_is_in_the_table_or_is_no_matter_of_speech() -> None:
    assert {field.name for field in PARAMETERS.values()} == set(JobOptions.model_fields) - BESIDE_SPEECH


def test_a_field_that_a_request_leaves_out_is_neutral() -> None:
    request = JobRequest(input="Hello.")
    for field in PARAMETERS.values():
        assert getattr(request, field.name) == field.neutral
        assert (field.name in Chapter.model_fields) is field.in_chapters


def test_a_manner_has_every_field_but_the_target() -> None:
    neutral = {field.name: field.neutral for field in PARAMETERS.values() if not field.in_chapters}
    assert {field.name: field.default for field in fields(Manner)} == neutral
    assert Manner.of(JobRequest(input="Hello."), emotion=None) == NEUTRAL


def test_a_manner_takes_every_field_of_a_request() -> None:
    request = JobRequest(input="Hello.", speed=1.5, pitch=-2, seed=9, normalize=False)
    assert Manner.of(request, emotion="{}") == Manner(speed=1.5, pitch=-2.0, seed=9, emotion="{}", normalize=False)


def test_plans_and_digests_have_younger_fields_only_where_they_are_not_neutral() -> None:
    assert list(NEUTRAL.additions()) == []
    assert list(Manner(speed=2.0, pitch=1.0, seed=1, emotion="{}", normalize=False).additions()) == [
        ("normalize", False)
    ]
    assert MANNER_FIELDS[:4] == ("speed", "pitch", "seed", "emotion")


def test_every_option_of_the_command_line_is_read_into_its_field() -> None:
    given = parser().parse_args(["submit", "-"])
    for field in PARAMETERS.values():
        if field.option is not None:
            assert getattr(given, field.option.name) is None


def test_options_of_the_command_line_become_fields_of_the_request(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("Hello.")
    said = ["--speed", "1.5", "--pitch", "-2", "--seed", "9", "--no-normalize", "--target-duration", "1.25"]
    said += ["--no-checks"]
    request = job_request(parser().parse_args(["submit", str(text), *said]))
    assert request == JobRequest(
        input="Hello.", speed=1.5, pitch=-2, seed=9, normalize=False, target_duration_ms=1250, checks=False
    )  # fmt: skip


def test_the_documents_name_the_parameters_of_the_table() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \|", (DOCS / "speech.md").read_text(), re.MULTILINE)
    assert rows == [(field.name, str(parameter)) for parameter, field in PARAMETERS.items()]
    described = Model.model_fields["parameters"].description or ""
    assert all(parameter in described for parameter in Parameter)
