"""What there may be on AWS and cannot be here, since what makes it is refused: lists are empty, names not found."""

from __future__ import annotations

from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation
from penstock.services.iam.entities import find
from penstock.services.iam.errors import NoSuchEntity


@operation(name="ListMFADevices", kept={"Marker", "MaxItems"})
def list_mfa_devices(cx: Context, request: Request) -> Response:
    """No user has MFA devices here."""
    return _none(cx, request, "MFADevices")


@operation(name="ListVirtualMFADevices", kept={"AssignmentStatus", "Marker", "MaxItems"})
def list_virtual_mfa_devices(cx: Context, request: Request) -> Response:
    """There are no virtual MFA devices here."""
    return _none(cx, request, "VirtualMFADevices")


@operation(kept={"Marker", "MaxItems"})
def list_signing_certificates(cx: Context, request: Request) -> Response:
    """No user has signing certificates here."""
    return _none(cx, request, "Certificates")


@operation(name="ListSSHPublicKeys", kept={"Marker", "MaxItems"})
def list_ssh_public_keys(cx: Context, request: Request) -> Response:
    """No user has SSH keys here."""
    return _none(cx, request, "SSHPublicKeys")


@operation(kept={"ServiceName", "AllUsers", "Marker", "MaxItems"})
def list_service_specific_credentials(cx: Context, request: Request) -> Response:
    """No user has credentials for single services here."""
    return _none(cx, request, "ServiceSpecificCredentials")


@operation(kept={"PathPrefix", "Marker", "MaxItems"})
def list_server_certificates(cx: Context, request: Request) -> Response:
    """There are no server certificates here."""
    return _none(cx, request, "ServerCertificateMetadataList")


@operation(kept={"ServerCertificateName"})
def get_server_certificate(cx: Context, request: Request) -> Response:
    """There is no server certificate of any name."""
    raise _no_certificate(request)


@operation(kept={"ServerCertificateName"})
def delete_server_certificate(cx: Context, request: Request) -> Response:
    """There is no server certificate to delete."""
    raise _no_certificate(request)


def _no_certificate(request: Request) -> NoSuchEntity:
    return NoSuchEntity(f"The Server Certificate with name {request['ServerCertificateName']} cannot be found.")


def _none(cx: Context, request: Request, member: str) -> Response:
    """An empty list, of a user who exists."""
    if request.get("UserName") is not None:
        find(cx, "user", request["UserName"])
    return {member: [], "IsTruncated": False}
