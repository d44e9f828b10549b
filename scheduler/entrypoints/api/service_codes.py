"""Refusal codes of the service itself: its database, its cluster, its addresses. A part of the table in `codes`."""

from scheduler.domain.errors import RefusalCode
from scheduler.entrypoints.api.code_text import CodeText

_C = RefusalCode

SERVICE_CODES: dict[RefusalCode, CodeText] = {
    _C.DATABASE_UNAVAILABLE: CodeText(
        503,
        "The database does not answer",
        "The database cannot be reached or opened; nothing was written.",
        "Try again; operators: `allot doctor` says what it found.",
    ),
    _C.DATABASE_LOCKED: CodeText(
        503,
        "The database is busy",
        "Another writer held the database for too long, or another service serves from it; nothing was written.",
        "Try again in a moment.",
    ),
    _C.DATABASE_READ_ONLY: CodeText(
        503,
        "The database is read-only",
        "The database file or server accepts no writes.",
        "Operators: check the file's owner and the disk, then restart the service.",
    ),
    _C.DATABASE_FULL: CodeText(
        503,
        "The disk of the database is full",
        "There is no room for another write; nothing was written.",
        "Operators: make room; the service goes on by itself.",
    ),
    _C.DATABASE_OUTDATED: CodeText(
        503,
        "The database is missing a migration",
        "Its schema is older or newer than this version of the service.",
        "Operators: start `allot serve` of this version once, it migrates; or run the version that fits it.",
    ),
    _C.CLUSTER_UNAVAILABLE: CodeText(
        503,
        "The cluster does not answer",
        "The Kubernetes API cannot be reached; what runs goes on, nothing new is launched.",
        "Try again; operators: check the kubeconfig and the API server.",
    ),
    _C.CLUSTER_TOO_OLD: CodeText(
        503,
        "The cluster is too old",
        "Kubernetes 1.36 or later is needed.",
        "Upgrade the cluster.",
    ),
    _C.NAMESPACE_CLAIMED: CodeText(
        503,
        "Another allot manages a namespace of this one",
        "A service with other books has claimed it, and this one launches and stops nothing meanwhile: two would undo each "
        "other's launches, and each would charge its own.",
        "Operators: stop the other; the Lease `allot.NAMESPACE` in `allot-system` names it. Or look on (`--observe`).",
    ),
    _C.KUBECONFIG_MISSING: CodeText(
        503,
        "No kubeconfig was found",
        "Neither a kubeconfig nor a service account in the cluster says where the Kubernetes API is.",
        "Set KUBECONFIG, or use `allot dev cluster` for a cluster of your own.",
    ),
    _C.KUBECONFIG_INVALID: CodeText(
        503,
        "The kubeconfig cannot be used",
        "The kubeconfig cannot be read, names no context, or its credentials have expired.",
        "Renew it, and check it with `kubectl get nodes`.",
    ),
    _C.DEV_CLUSTER_UNAVAILABLE: CodeText(
        503,
        "The development cluster cannot be started",
        "The programs of the control plane are missing or did not come up.",
        "The message names the program and its log.",
    ),
    _C.UNKNOWN_ADDRESS: CodeText(
        404,
        "There is nothing at this address",
        "No route of the API has this path.",
        "See docs/api.md or /v1/openapi.json for what there is.",
    ),
    _C.METHOD_NOT_ALLOWED: CodeText(
        405,
        "This address does not take that method",
        "The path exists, but not for this HTTP method.",
        "The `Allow` header lists the methods that it takes.",
    ),
    _C.BODY_TOO_LARGE: CodeText(
        413,
        "The request is too large",
        "The body is larger than the service reads.",
        "Send less at once.",
    ),
    _C.CROSS_SITE: CodeText(
        403,
        "The request came from another site",
        "A page of another site tried to use your session; it was not let through.",
        "Do it from allot's own pages, or with a token in the Authorization header.",
    ),
    _C.SERVER_UNREACHABLE: CodeText(
        503,
        "The server cannot be reached",
        "The command line found no allot server at the address that it was given.",
        "Check `--server`, ALLOT_SERVER or the configuration file, and that `allot serve` is running.",
    ),
    _C.INTERNAL_ERROR: CodeText(
        500,
        "Something went wrong on our side",
        "An error that nobody foresaw; the log has it under the request id.",
        "Try again; if it stays, give the operators the request id.",
    ),
}
