"""Every property of every resource type, the innermost included, deployed at once; and what is none of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from samtranslator.sdk.resource import SamResourceType

from penstock.base.errors import TemplateError
from penstock.deploy.applications import Application
from penstock.deploy.catalogue import Catalogue
from penstock.deploy.check import SAM_TYPES, Question, find_problems
from penstock.deploy.load import parse
from penstock.deploy.parameters import Parameters
from penstock.deploy.preparing import scope_for
from penstock.deploy.problems import Lines, Problem
from penstock.engine.registry import Registry
from penstock.engine.resource import ResourceType
from penstock.platform import SERVICES, Platform
from penstock.testing.platform import running_platform
from tests.coverage.recorder import Recorder, within
from tests.coverage.watched import properties

SERVICES_HERE = list(Registry(SERVICES).all())
TYPES = {type_.name: type_ for service in SERVICES_HERE for type_ in service.resources}

TEMPLATE = """
Resources:
  Failed: {Type: AWS::SQS::Queue, Properties: {FifoQueue: true, QueueName: failed.fifo,
    RedriveAllowPolicy: {redrivePermission: byQueue, sourceQueueArns: [!Sub "${Where}:orders.fifo"]}}}
  Orders:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: orders.fifo
      FifoQueue: "true"
      ContentBasedDeduplication: "false"
      DeduplicationScope: messageGroup
      FifoThroughputLimit: perMessageGroupId
      DelaySeconds: "5"
      MaximumMessageSize: 2048
      MessageRetentionPeriod: 60
      ReceiveMessageWaitTimeSeconds: 1
      VisibilityTimeout: "30"
      KmsMasterKeyId: key
      KmsDataKeyReusePeriodSeconds: 60
      SqsManagedSseEnabled: "false"
      RedrivePolicy: {deadLetterTargetArn: !GetAtt Failed.Arn, maxReceiveCount: "3"}
      Tags: [{Key: stage, Value: 1}]
  Dead: {Type: AWS::SQS::Queue}
  QueuePolicy:
    Type: AWS::SQS::QueuePolicy
    Properties:
      Queues: [!Ref Dead]
      PolicyDocument: {Version: 2012-10-17, Statement: [{Effect: Allow, Principal: "*", Action: "sqs:*",
        Resource: !GetAtt Dead.Arn}]}
  Group: {Type: AWS::Logs::LogGroup, Properties: {LogGroupName: shop, RetentionInDays: "7", LogGroupClass: STANDARD,
    DeletionProtectionEnabled: "false", KmsKeyId: "arn:aws:kms:us-east-1:000000000000:key/1",
    Tags: [{Key: a, Value: b}]}}
  Stream: {Type: AWS::Logs::LogStream, Properties: {LogGroupName: !Ref Group, LogStreamName: today}}
  Subscription: {Type: AWS::Logs::SubscriptionFilter, Properties: {LogGroupName: !Ref Group, FilterName: errors,
    FilterPattern: ERROR, DestinationArn: !GetAtt Small.Arn, Distribution: Random}}
  LogPolicy: {Type: AWS::Logs::ResourcePolicy, Properties: {PolicyName: logs, PolicyDocument: '{"Statement": []}'}}
  Boundary: {Type: AWS::IAM::ManagedPolicy, Properties: {ManagedPolicyName: limit, Path: /shop/, Description: "",
    Roles: [!Ref Role], Users: [!Ref User], Groups: [!Ref Team], PolicyDocument: &allow {Version: 2012-10-17,
    Statement: [{Effect: Allow, Action: "sqs:*", Resource: "*"}]}}}
  Role:
    Type: AWS::IAM::Role
    Properties: {RoleName: clerk, Path: /shop/, MaxSessionDuration: "3600", Description: d, Tags: [{Key: a, Value: b}],
      PermissionsBoundary: &managed "arn:aws:iam::aws:policy/ReadOnlyAccess", ManagedPolicyArns: [*managed],
      Policies: [{PolicyName: p, PolicyDocument: *allow}], AssumeRolePolicyDocument: {Statement: [{Effect: Allow,
      Principal: {Service: lambda.amazonaws.com}, Action: "sts:AssumeRole"}]}}
  Team: {Type: AWS::IAM::Group, Properties: {GroupName: team, Path: /shop/, ManagedPolicyArns: [*managed],
    Policies: [{PolicyName: p, PolicyDocument: *allow}]}}
  User: {Type: AWS::IAM::User, Properties: {UserName: ann, Path: /shop/, Groups: [!Ref Team],
    LoginProfile: {Password: Correct-Horse-7, PasswordResetRequired: "true"},
    Tags: [{Key: a, Value: b}], PermissionsBoundary: *managed,
    ManagedPolicyArns: [*managed], Policies: [{PolicyName: p, PolicyDocument: *allow}]}}
  Inline: {Type: AWS::IAM::Policy, Properties: {PolicyName: i, PolicyDocument: *allow, Roles: [!Ref Role],
    Users: [!Ref User], Groups: [!Ref Team]}}
  OfRole: {Type: AWS::IAM::RolePolicy, Properties: {PolicyName: r, PolicyDocument: *allow, RoleName: !Ref Role}}
  Profile: {Type: AWS::IAM::InstanceProfile, Properties: {InstanceProfileName: pro, Path: /shop/, Roles: [!Ref Role]}}
  Layer: {Type: AWS::Lambda::LayerVersion, Properties: {LayerName: common, Description: d, LicenseInfo: MIT,
    Content: layer/, CompatibleRuntimes: [python3.12], CompatibleArchitectures: [x86_64]}}
  Small: {Type: AWS::Lambda::Function, Properties: {Runtime: python3.12, Handler: index.f, Role: !GetAtt Role.Arn,
    Code: {ZipFile: "def f(e, c): return e"}}}
  Worker:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: worker
      Description: works
      Runtime: python3.12
      Handler: app.f
      Role: !GetAtt Role.Arn
      Code: worker/
      PackageType: Zip
      Architectures: [x86_64]
      Timeout: "5"
      MemorySize: "256"
      EphemeralStorage: {Size: "512"}
      Environment: {Variables: {ON: true, COUNT: 5, QUEUE: !Ref Orders}}
      DeadLetterConfig: {TargetArn: !GetAtt Dead.Arn}
      KmsKeyArn: "arn:aws:kms:us-east-1:000000000000:key/1"
      Layers: [!Ref Layer]
      LoggingConfig: {LogFormat: JSON, ApplicationLogLevel: INFO, SystemLogLevel: INFO, LogGroup: !Ref Group}
      RecursiveLoop: Allow
      ReservedConcurrentExecutions: "2"
      SnapStart: {ApplyOn: None}
      TracingConfig: {Mode: Active}
      VpcConfig: {SubnetIds: [subnet-1], SecurityGroupIds: [sg-1], Ipv6AllowedForDualStack: "false"}
      Tags: [{Key: a, Value: b}]
  Mapping: {Type: AWS::Lambda::EventSourceMapping, Properties: {EventSourceArn: !GetAtt Dead.Arn,
    FunctionName: !Ref Small, BatchSize: "5", MaximumBatchingWindowInSeconds: "1", Enabled: "true",
    FilterCriteria: {Filters: [{Pattern: '{"body": {"a": [1]}}'}]}, FunctionResponseTypes: [ReportBatchItemFailures],
    ScalingConfig: {MaximumConcurrency: "2"}, KmsKeyArn: "arn:aws:kms:us-east-1:000000000000:key/1",
    MetricsConfig: {Metrics: [EventCount]}, Tags: [{Key: a, Value: b}]}}
  Permission: {Type: AWS::Lambda::Permission, Properties: {Action: "lambda:InvokeFunction", FunctionName: !Ref Worker,
    Principal: events.amazonaws.com, SourceAccount: !Ref AWS::AccountId, SourceArn: !GetAtt Rule.Arn,
    EventSourceToken: token, PrincipalOrgID: o-1234567890, FunctionUrlAuthType: NONE, InvokedViaFunctionUrl: "true"}}
  Invokes: {Type: AWS::Lambda::EventInvokeConfig, Properties: {FunctionName: !Ref Worker, Qualifier: $LATEST,
    MaximumEventAgeInSeconds: "60", MaximumRetryAttempts: "1", DestinationConfig: {OnSuccess:
    {Destination: !GetAtt Dead.Arn}, OnFailure: {Destination: !GetAtt Dead.Arn}}}}
  Bus: {Type: AWS::Events::EventBus, Properties: {Name: shop, Description: d, KmsKeyIdentifier: key,
    DeadLetterConfig: {Arn: !GetAtt Dead.Arn}, Tags: [{Key: a, Value: b}], Policy: {Statement: [{Sid: a,
    Effect: Allow, Principal: "*", Action: "events:PutEvents", Resource: "*"}]}}}
  BusPolicy: {Type: AWS::Events::EventBusPolicy, Properties: {EventBusName: !Ref Bus, StatementId: org,
    Action: "events:PutEvents", Principal: "*", Condition: {Type: StringEquals, Key: "aws:PrincipalOrgID",
    Value: o-1}}}
  BusStatement: {Type: AWS::Events::EventBusPolicy, Properties: {EventBusName: !Ref Bus, StatementId: all,
    Statement: {Effect: Allow, Principal: "*", Action: "events:PutEvents", Resource: !GetAtt Bus.Arn}}}
  Nightly: {Type: AWS::Events::Rule, Properties: {ScheduleExpression: rate(1 day), State: DISABLED}}
  Rule:
    Type: AWS::Events::Rule
    Properties:
      Name: placed
      Description: d
      EventBusName: !Ref Bus
      EventPattern: {source: [shop], detail: {total: [{numeric: [">", 5]}]}}
      RoleArn: !GetAtt Role.Arn
      State: ENABLED
      Tags: [{Key: a, Value: b}]
      Targets:
        - {Id: worker, Arn: !GetAtt Worker.Arn, Input: '{"a": 1}', RoleArn: !GetAtt Role.Arn, DeadLetterConfig:
           {Arn: !GetAtt Dead.Arn}, RetryPolicy: {MaximumRetryAttempts: "3", MaximumEventAgeInSeconds: "60"}}
        - {Id: orders, Arn: !GetAtt Orders.Arn, InputPath: $.detail, SqsParameters: {MessageGroupId: g}}
        - {Id: dead, Arn: !GetAtt Dead.Arn, InputTransformer: {InputPathsMap: {id: $.id}, InputTemplate: '"<id>"'}}
""".replace("${Where}", "arn:aws:sqs:${AWS::Region}:${AWS::AccountId}")

# Deployed otherwise: a partner's event source, which is refused whoever names it; where a package is, in a folder.
ELSEWHERE = {"AWS::Events::EventBus": {"EventSourceName"}, "AWS::Lambda::Function": {"Code"},
             "AWS::Lambda::LayerVersion": {"Content"}}  # fmt: skip


@pytest.fixture
async def platform(tmp_path: Path, recorder: Recorder) -> AsyncIterator[Platform]:
    async with running_platform(tmp_path / "data", durability="os", registry=recorder.registry) as running:
        yield running


def written(folder: Path, template: str) -> Application:
    for name in ("worker/app.py", "layer/common.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("def f(event, context): return event\n")
    (folder / "template.yaml").write_text(template)
    return Application("every", folder / "template.yaml")


def places(value: Any, around: str = "") -> Iterator[str]:
    """Every place of a value, without indexes."""
    if isinstance(value, list):
        for item in value:
            yield from places(item, around)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield (place := f"{around}.{name}" if around else name)
            yield from places(item, place)


@pytest.mark.parametrize("type_", TYPES.values(), ids=TYPES)
def test_the_template_sets_every_property_of_every_type(type_: ResourceType) -> None:
    resources = parse(TEMPLATE).body["Resources"].values()
    given = {place for each in resources if each["Type"] == type_.name for place in places(each.get("Properties"))}
    wanted = {leaf.path for leaf in properties(type_).leaves() if not within(leaf.path, set(type_.refused))}
    assert {path for path in wanted - given if not within(path, ELSEWHERE.get(type_.name, set()))} == set()


@pytest.mark.parametrize("type_", TYPES.values(), ids=TYPES)
def test_every_property_has_a_form(type_: ResourceType) -> None:
    names = {name for name in type_.executed | type_.kept if "." not in name}
    assert {name for name in names if type_.form(name) is None} == set()


async def test_every_property_is_deployed_and_deployed_again_changes_nothing(
    platform: Platform, tmp_path: Path
) -> None:
    application = written(tmp_path, TEMPLATE)
    first = await platform.applications.deploy(application)
    assert {change.type for change in first.changes} == set(TYPES)
    assert "AWS::Events::Rule.Targets.RoleArn" in first.kept
    assert (await platform.applications.deploy(application)).changes == ()


def spoiled(value: Any) -> Iterator[Any]:
    """The value with one member too much, once for each mapping in it; its intrinsics are left alone."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            for each in spoiled(item):
                yield [*value[:index], each, *value[index + 1 :]]
    elif isinstance(value, dict) and not any(name == "Ref" or name.startswith("Fn::") for name in value):
        yield value | {"NoSuchMember": "x"}
        for name, item in value.items():
            for each in spoiled(item):
                yield value | {name: each}


def problems_of(body: dict[str, Any]) -> list[Problem]:
    """What a deployment would tell of a template before it begins."""
    who = {"account": "000000000000", "region": "us-east-1", "stack_name": "every", "stack_id": "arn:stack"}
    return find_problems(Question(body, scope_for(body, Parameters(), **who), Catalogue(SERVICES_HERE), Lines()))


FREE = {"Environment.Variables", "Targets.InputTransformer.InputPathsMap", "EventPattern", "Policy", "PolicyDocument",
        "AssumeRolePolicyDocument", "Policies.PolicyDocument", "Statement"}  # whose members are the user's own


def test_a_member_that_nobody_knows_is_refused_wherever_it_stands() -> None:
    body = parse(TEMPLATE).body
    found = 0
    for logical_id, resource in body["Resources"].items():
        for each in spoiled(resource.get("Properties", {})):
            [place] = [path for path in places(each) if path.rpartition(".")[2] == "NoSuchMember"]
            if within(place, FREE):
                continue
            changed = {**body, "Resources": body["Resources"] | {logical_id: {**resource, "Properties": each}}}
            found += 1
            problems = problems_of(changed)
            said = [problem for problem in problems if f"has no property {place} here; remove it" in problem.message]
            assert [problem.resource for problem in said] == [logical_id], (place, problems)
    assert found > 60


# Types that AWS has beside those here, in services that are here and in others (CloudFormation Template Reference).
ELSEWHERE_ON_AWS = {
    "SQS": "QueueInlinePolicy",
    "SNS": "Topic TopicPolicy TopicInlinePolicy Subscription",
    "Lambda": "Alias Version CodeSigningConfig EventInvokeConfig LayerVersionPermission Permission Url "
        "CapacityProvider",
    "Events": "ApiDestination Archive Connection Endpoint EventBusPolicy",
    "IAM": "AccessKey GroupPolicy OIDCProvider SAMLProvider ServerCertificate ServiceLinkedRole UserPolicy "
        "UserToGroupAddition VirtualMFADevice",
    "Logs": "AccountPolicy Delivery DeliverySource DeliveryDestination Destination Integration "
        "LogAnomalyDetector MetricFilter QueryDefinition Transformer",
    "DynamoDB": "Table",
    "S3": "Bucket",
    "EC2": "Subnet",
    "ECS": "Service",
    "EKS": "Cluster",
    "MSK": "Cluster",
    "CloudFormation": "Stack",
    "Scheduler": "Schedule",
    "Pipes": "Pipe",
    "StepFunctions": "StateMachine",
    "Kinesis": "Stream",
    "Route53": "RecordSet",
}


def test_a_misspelt_type_is_answered_with_the_one_that_was_meant() -> None:
    catalogue = Catalogue(SERVICES_HERE)
    body = {"Resources": {"R": {"Type": ""}}}

    def told(type_: str) -> str:
        body["Resources"]["R"]["Type"] = type_
        return " ".join(problem.message for problem in problems_of(body))

    for wrong, right in (("AWS::SQS::Queu", "AWS::SQS::Queue"), ("AWS::Sqs::queue", "AWS::SQS::Queue"),
                         ("AWS::Serverless::Funktion", "AWS::Serverless::Function"), ("AWS:SQS::Queue", ""),
                         ("AWS::Lambda::Fuction", "AWS::Lambda::Function"), ("Aws::Event::Rules", "AWS::Events::Rule"),
                         ("AWS::Lambda::EventSourceMaping", "AWS::Lambda::EventSourceMapping")):  # fmt: skip
        hint = f": did you mean {right}? Else remove it" if right else "; remove it"
        assert f"{wrong} is not supported{hint}, or deploy with --stub-unknown" in told(wrong)
    elsewhere = {f"AWS::{service}::{name}" for service, names in ELSEWHERE_ON_AWS.items() for name in names.split()}
    for name in elsewhere - catalogue.names:
        assert "is not supported; remove it" in told(name), name
    assert "AWS::Serverless::Api needs 'Transform: AWS::Serverless-2016-10-31': add" in told("AWS::Serverless::Api")
    replaced = {each.value for each in SamResourceType}
    assert replaced <= SAM_TYPES and {name.rpartition("::")[2] for name in SAM_TYPES - replaced} == {
        "Connector", "GraphQLApi",
    }  # fmt: skip


async def test_all_that_is_wrong_with_a_template_is_told_at_once(platform: Platform, tmp_path: Path) -> None:
    with pytest.raises(TemplateError) as caught:
        await platform.applications.deploy(written(tmp_path, """
Resources:
  Slow: {Type: AWS::SQS::Queue, Properties: {DelaySeconds: 5000, VisbilityTimeout: 5}}
  Table: {Type: AWS::DynamoDB::Table}
  Old:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: java21
      Handler: a.b
      Role: !GetAtt Role.Arn
      Code: worker/
      Timeout: 901
      Environment: {Variables: {A: !Ref Nobody, B: !GetAtt Slow.Colour}}
      VpcConfig: {Subnets: [a]}
  Old2:
    Type: AWS::Lambda::Function
    Properties: {Runtime: python311, Handler: a.b, Role: "arn:aws:iam::000000000000:role/r", Code: nowhere/}
  Mapping:
    Type: AWS::Lambda::EventSourceMapping
    DependsOn: Nothing
    Properties: {FunctionName: !Ref Old, EventSourceArn: !GetAtt Slow.Arn, BatchSize: 50}
  Rule:
    Type: AWS::Events::Rule
    Properties:
      EventPattern: {detail: {a: [{numeric: [">", "x"]}]}}
      Targets: [{Id: a, Arn: "arn:aws:sns:us-east-1:000000000000:topic"}]
Outputs: {Out: {Value: !Sub "${Slow.Nothing}"}}
"""))
    found = [line.partition("template.yaml:")[2] for line in caught.value.message.splitlines()]
    for line, resource, words in (
        (3, "Slow", "DelaySeconds is '5000' and must have value less than or equal to 900"),
        (3, "Slow", "AWS::SQS::Queue has no property VisbilityTimeout here; remove it, or write VisibilityTimeout"),
        (4, "Table", "AWS::DynamoDB::Table is not supported"),
        (8, "Old", "Runtime: it asks for the runtime java21, which Penstock does not run: use python3.x"),
        (10, "Old", "Role: Fn::GetAtt of 'Role', which is no resource"),
        (12, "Old", "Timeout: 1 validation error detected: Value '901'"),
        (13, "Old", "Environment.Variables.A: Ref to 'Nobody'"),
        (13, "Old", "Environment.Variables.B: AWS::SQS::Queue has no attribute 'Colour'"),
        (14, "Old", "AWS::Lambda::Function has no property VpcConfig.Subnets here; remove it"),
        (17, "Old2", "Runtime: python311 is no runtime here; write python3.11"),
        (17, "Old2", "Code is .*nowhere, which does not exist"),
        (18, "Mapping", "DependsOn names Nothing"),
        (21, "Mapping", "Maximum batch window"),
        (25, "Rule", "EventPattern: Event pattern is not valid"),
        (26, "Rule", "is not supported: targets here are"),
        (27, "output Out", "has no attribute 'Nothing'"),
    ):
        assert any(each.startswith(f"{line}: {resource}: ") and words.split(".*")[-1] in each for each in found), (
            (line, resource, words), found
        )  # fmt: skip
    assert sum("untime" in each for each in found) == 2, "each wrong runtime is told once"
    assert await platform.applications.list() == []


async def test_parameters_are_told_with_the_rest_and_what_they_decide_is_left_open(
    platform: Platform, tmp_path: Path
) -> None:
    template = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  Stage: {Type: String, AllowedPattern: "[a-z]+"}
  Delay: {Type: Number, Default: 5}
  Size: {Type: Number}
  Folder: {Type: String}
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
  IsTest: !Not [{Condition: IsProd}]
  Always: !Equals [a, a]
Resources:
  Never: {Type: AWS::SQS::Queue, Condition: IsProd, Properties: {Colour: red}}
  Maybe: {Type: AWS::SQS::Queue, Properties: {DelaySeconds: !Ref Delay, QueueName: !Sub "${Stage}-orders"}}
  Wrong: {Type: AWS::SQS::Queue, DeletionPolicy: !Ref Stage, Properties: {QueueName: !Ref Stage, Colour: red}}
  Chosen: {Type: AWS::SQS::Queue, Properties: {DelaySeconds: !If [IsTest, 5000, 1], VisibilityTimeout: 90000}}
  Here: {Type: AWS::SQS::Queue, Condition: Always, Properties: {DelaySeconds: 5000}}
  Typo: {Type: AWS::SQS::Queu, Properties: {QueueName: !Ref Stage}}
  Open: {Type: AWS::Serverless::Function, Properties: {CodeUri: !Ref Folder, Runtime: python3.9, MemorySize: !Ref Size}}
  Handled: {Type: AWS::Serverless::Function, Properties: {CodeUri: worker/, Runtime: python311, Handler: app.f,
    MemorySize: !Ref Size, AutoPublishAlias: !Ref Stage}}
  Ref: {Type: AWS::SQS::Queue, Properties: {QueueName: !GetAtt Never.QueueName, KmsMasterKeyId: !Ref Nobody}}
Outputs:
  Sometimes: {Condition: IsProd, Value: !Ref Nothing}
  Url: {Value: !GetAtt Maybe.Nothing}
"""
    application = written(tmp_path, template)
    given = {"Delay": "soon", "Stage": "DEV1", "Colour": "red"}
    with pytest.raises(TemplateError) as caught:
        await platform.applications.deploy(replace(application, parameters=given))
    found = [line.partition("template.yaml")[2] for line in caught.value.message.splitlines()]
    wanted = [
        ": there is no parameter Colour; this template's parameters: Delay, Folder, Size, Stage",
        ":4: parameter Stage is 'DEV1' and must match [a-z]+",
        ":5: parameter Delay is 'soon' and must be a number",
        ":6: parameter Size has no default; give it with --param Size=…",
        ":7: parameter Folder has no default; give it with --param Folder=…",
        ":15: Wrong: AWS::SQS::Queue has no property Colour here; remove it",
        ":16: Chosen: VisibilityTimeout is '90000' and must have value less than or equal to 43200",
        ":17: Here: DelaySeconds is '5000' and must have value less than or equal to 900",
        ":18: Typo: AWS::SQS::Queu is not supported: did you mean AWS::SQS::Queue? Else remove it",
        ":22: Ref: KmsMasterKeyId: Ref to 'Nobody', which is no parameter and no resource of this template",
        ":25: output Url: AWS::SQS::Queue has no attribute 'Nothing' here",
    ]
    assert len(found) == len(wanted), found
    for line, words in zip(found, wanted, strict=True):
        assert line.startswith(words), (line, words)
