"""What there may be on AWS and cannot be here, since what makes it is refused: lists are empty."""

from __future__ import annotations

from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation
from penstock.services.iam.entities import find, page


@operation(name="ListMFADevices")
def list_mfa_devices(cx: Context, request: Request) -> Response:
    """No user has MFA devices here."""
    return _none(cx, request, "MFADevices")


@operation(name="ListVirtualMFADevices", kept={"AssignmentStatus"})
def list_virtual_mfa_devices(cx: Context, request: Request) -> Response:
    """There are no virtual MFA devices here."""
    return _none(cx, request, "VirtualMFADevices")


@operation
def list_signing_certificates(cx: Context, request: Request) -> Response:
    """No user has signing certificates here."""
    return _none(cx, request, "Certificates")


@operation(name="ListSSHPublicKeys")
def list_ssh_public_keys(cx: Context, request: Request) -> Response:
    """No user has SSH keys here."""
    return _none(cx, request, "SSHPublicKeys")


@operation(kept={"ServiceName", "AllUsers"})
def list_service_specific_credentials(cx: Context, request: Request) -> Response:
    """No user has credentials for single services here."""
    return _none(cx, request, "ServiceSpecificCredentials")


@operation(kept={"PathPrefix"})
def list_server_certificates(cx: Context, request: Request) -> Response:
    """There are no server certificates here."""
    return _none(cx, request, "ServerCertificateMetadataList")


def _none(cx: Context, request: Request, member: str) -> Response:
    """An empty list, of a user who exists."""
    if request.get("UserName") is not None:
        find(cx, "user", request["UserName"])
    return page(request, member, [])
