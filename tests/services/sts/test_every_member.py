"""Members of requests that the other tests have no use for: each is executed, kept or refused by name."""

from __future__ import annotations

import json

from penstock.testing.platform import PlatformThread
from tests.services.sts.test_sessions import ROLE, token

POLICY = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
POLICIES = [{"arn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}]
TAGS = [{"Key": "team", "Value": "red"}]


def test_session_policies_tags_and_token_sizes(platform: PlatformThread) -> None:
    sts = platform.client("sts")
    session = {"Policy": POLICY, "PolicyArns": POLICIES, "DurationSeconds": 900}
    role = {"RoleArn": ROLE, "RoleSessionName": "me"}
    later = platform.platform.machine.now_ms() // 1000 + 3600
    web = token(iss="https://idp.example.com", sub="u", aud="app", exp=later)
    size = {"MinimumSessionTokenSize": 2048}
    for answer in (
        sts.assume_role(**role, **session, Tags=TAGS, TransitiveTagKeys=["team"]),
        sts.assume_role_with_web_identity(**role, **session, WebIdentityToken=web),
        sts.get_federation_token(Name="bob", **session, Tags=TAGS),
    ):
        assert answer["PackedPolicySize"] > 0
        left = answer["Credentials"]["Expiration"].timestamp() - platform.platform.machine.now_ms() / 1000
        assert 800 < left <= 900
    for answer in (
        sts.assume_role(**role, **size),
        sts.assume_role_with_web_identity(**role, WebIdentityToken=web, **size),
        sts.get_session_token(**size),
        sts.get_federation_token(Name="bob", **size),
    ):
        assert len(answer["Credentials"]["SessionToken"]) >= 2048
