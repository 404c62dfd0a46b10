"""Service-linked roles: made in a service's name, and changed by nobody but that service.

Sources: "Create a service-linked role" in the IAM User Guide; the names of the roles are in each service's own guide.
"""

from __future__ import annotations

from typing import Final

import orjson

from penstock.base.names import id_of, uuid_of
from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation
from penstock.services.iam import entities
from penstock.services.iam.entities import LINKED_PATH, described_role, find
from penstock.services.iam.errors import InvalidInput, NoSuchEntity

_DOMAIN: Final = ".amazonaws.com"
_SCALED: Final = ".application-autoscaling"
_DURATION: Final = 3600  # MaxSessionDuration

# What stands behind AWSServiceRoleFor, by service principal without .amazonaws.com.
_NAMES: Final = {
    "access-analyzer": "AccessAnalyzer",
    "apidestinations.events": "AmazonEventBridgeApiDestinations",
    "autoscaling": "AutoScaling",
    "backup": "Backup",
    "batch": "Batch",
    "cloudtrail": "CloudTrail",
    "config": "Config",
    "dax": "DAX",
    "delivery.logs": "LogDelivery",
    "ecs": "ECS",
    "eks": "AmazonEKS",
    "eks-nodegroup": "AmazonEKSNodegroup",
    "elasticache": "ElastiCache",
    "elasticbeanstalk": "ElasticBeanstalk",
    "elasticfilesystem": "AmazonElasticFileSystem",
    "elasticloadbalancing": "ElasticLoadBalancing",
    "es": "AmazonElasticsearchService",
    "globalaccelerator": "GlobalAccelerator",
    "guardduty": "AmazonGuardDuty",
    "inspector2": "AmazonInspector2",
    "kafka": "Kafka",
    "lex": "LexBots",
    "mq": "AmazonMQ",
    "ops.apigateway": "APIGateway",
    "opensearchservice": "AmazonOpenSearchService",
    "organizations": "Organizations",
    "rds": "RDS",
    "redshift": "Redshift",
    "replication.dynamodb": "DynamoDBReplication",
    "replicator.lambda": "LambdaReplicator",
    "securityhub": "SecurityHub",
    "spot": "EC2Spot",
    "spotfleet": "EC2SpotFleet",
    "ssm": "AmazonSSM",
    "sso": "SSO",
    "support": "Support",
    "transitgateway": "VPCTransitGateway",
    f"cassandra{_SCALED}": "ApplicationAutoScaling_CassandraTable",
    f"custom-resource{_SCALED}": "ApplicationAutoScaling_CustomResource",
    f"dynamodb{_SCALED}": "ApplicationAutoScaling_DynamoDBTable",
    f"ecs{_SCALED}": "ApplicationAutoScaling_ECSService",
    f"elasticache{_SCALED}": "ApplicationAutoScaling_ElastiCacheRG",
    f"kafka{_SCALED}": "ApplicationAutoScaling_KafkaCluster",
    f"lambda{_SCALED}": "ApplicationAutoScaling_LambdaConcurrency",
    f"rds{_SCALED}": "ApplicationAutoScaling_RDSCluster",
    f"sagemaker{_SCALED}": "ApplicationAutoScaling_SageMakerEndpoint",
}


@operation(kept={"Description"})
def create_service_linked_role(cx: Context, request: Request) -> Response:
    """Make the role of a service. Its policy, which is AWS's, is not here."""
    service = request["AWSServiceName"]
    title = _NAMES.get(service.removesuffix(_DOMAIN)) if service.endswith(_DOMAIN) else None
    if title is None:
        raise InvalidInput(
            f"Cannot find Service Linked Role template for {service}. docs/coverage/iam.md leads to the services that "
            "have one here."
        )
    suffix = request.get("CustomSuffix")
    name = f"AWSServiceRoleFor{title}" + (f"_{suffix}" if suffix else "")
    if entities.exists(cx, "role", name):
        raise InvalidInput(f"Service role name {name} has been taken in this account, please try a different suffix.")
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    detail = {
        "AssumeRolePolicyDocument": orjson.dumps({"Version": "2012-10-17", "Statement": [trust]}).decode(),
        "Description": request.get("Description"),
        "MaxSessionDuration": _DURATION,
    }
    role = entities.make(cx, "role", name, {"Path": f"{LINKED_PATH}{service}/"}, detail, linked=True)
    return {"Role": described_role(role)}


@operation
def delete_service_linked_role(cx: Context, request: Request) -> Response:
    """Delete the role of a service: no service uses it here, so it is gone at once."""
    role = find(cx, "role", request["RoleName"])
    if not role.path.startswith(LINKED_PATH):
        raise NoSuchEntity(f"The role {role.name} is not a service-linked role: delete it with DeleteRole.")
    cx.write("DELETE FROM iam_entity WHERE id = ?", (role.id,))
    return {"DeletionTaskId": f"task{role.path}{role.name}/{uuid_of(cx.names.id())}"}


@operation
def get_service_linked_role_deletion_status(cx: Context, request: Request) -> Response:
    """How a deletion stands: it has succeeded, if it was ever asked for."""
    task = request["DeletionTaskId"]
    if not task.startswith(f"task{LINKED_PATH}") or id_of(task.rpartition("/")[2]) is None:
        raise NoSuchEntity(f"The deletion task {task} cannot be found: pass what DeleteServiceLinkedRole answered.")
    return {"Status": "SUCCEEDED"}
