"""The registry of protocols: each by the name that models and routing know it under."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from penstock.wire.protocols.aws_json import AwsJson
from penstock.wire.protocols.protocol import WireProtocol
from penstock.wire.protocols.query import Query
from penstock.wire.protocols.rest_json import RestJson
from penstock.wire.protocols.rest_xml import RestXml
from penstock.wire.protocols.rpc_cbor import AwsCbor, RpcV2Cbor

JSON_1_0 = AwsJson("1.0")
JSON_1_1 = AwsJson("1.1")
REST_JSON = RestJson()
QUERY = Query()
_ALL: tuple[WireProtocol, ...] = (JSON_1_0, JSON_1_1, REST_JSON, QUERY, RestXml(), RpcV2Cbor(), AwsCbor())

PROTOCOLS: Mapping[str, WireProtocol] = MappingProxyType({protocol.name: protocol for protocol in _ALL})
