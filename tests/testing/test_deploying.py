"""Applications in tests of one's own: what docs/testing.md shows runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from penstock.base.errors import TemplateError
from penstock.testing.platform import PlatformThread

DOCS = Path(__file__).parents[2] / "docs"
TEMPLATE = """
Parameters: {Stage: {Type: String, Default: dev}}
Resources:
  Jobs: {Type: AWS::SQS::Queue, Properties: {QueueName: !Sub "jobs-${Stage}"}}
  Bus: {Type: AWS::Events::EventBus, Properties: {Name: !Sub "bus-${Stage}"}}
Outputs: {Arn: {Value: !GetAtt Jobs.Arn}}
"""


def snippets(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def test_the_tests_that_the_page_shows_pass_with_the_application_that_the_other_page_shows(
    pytester: pytest.Pytester,
) -> None:
    alone, with_application = snippets("testing.md", "python")
    pytester.makepyfile(test_alone=alone, test_with_application=with_application)
    (pytester.path / "template.yaml").write_text(snippets("getting-started.md", "yaml")[0])
    (pytester.path / "src").mkdir()
    (pytester.path / "src/app.py").write_text(snippets("getting-started.md", "python")[0])
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)


def test_what_was_deployed_is_named_by_the_templates_own_names(platform: PlatformThread, tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    made = platform.deploy(tmp_path, name="shop", Stage="test")
    assert made.outputs == {"Arn": "arn:aws:sqs:us-east-1:000000000000:jobs-test"}
    assert made.resources == {"Jobs": f"{platform.url}/000000000000/jobs-test", "Bus": "bus-test"}
    again = platform.deploy(str(tmp_path / "template.yaml"), name="shop")
    assert again.resources["Bus"] == "bus-dev"
    elsewhere = platform.deploy(tmp_path, name="shop", account="111111111111", region="eu-west-1")
    assert elsewhere.outputs == {"Arn": "arn:aws:sqs:eu-west-1:111111111111:jobs-dev"}


def test_what_cannot_be_deployed_says_where(platform: PlatformThread, tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=re.escape(f"{tmp_path} has no template.yaml")):
        platform.deploy(tmp_path)
    with pytest.raises(TemplateError, match=r"nowhere\.yaml"):
        platform.deploy(tmp_path / "nowhere.yaml")
    (tmp_path / "template.yaml").write_text("Resources: {Jobs: {Type: AWS::SQS::Queue, Properties: {Delay: 1}}}")
    with pytest.raises(TemplateError, match=r"template\.yaml:1: Jobs: .*Delay"):
        platform.deploy(tmp_path)
