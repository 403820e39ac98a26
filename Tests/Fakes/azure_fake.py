"""A fake of Azure Blob Storage, of Microsoft Entra's token service and of the service of managed identities.

Sources: the Azure Storage REST reference ("Authorize with Shared Key", "Create a service SAS", "Put Blob", "Put Block", "Put Block List", "Get Blob",
"List Blobs", "Delete Blob", "Set Blob Immutability Policy", "Blob service error codes"); "Version-level write once, read many (WORM) policies for
immutable blob data" of the Azure Storage documentation; "OAuth 2.0 client credentials flow on the Microsoft identity platform".

usage: azure_fake.py PORT FOLDER
"""
import base64
import email.utils
import hashlib
import hmac
import json
import sys
import time
import urllib.parse
import xml.etree.ElementTree as ElementTree
from xml.sax.saxutils import escape

from fake_http import Answer, Object, Refusal, listing, lock, part, serve

ACCOUNT = "testaccount"
KEY = base64.b64decode("dGhpcyBpcyBhIGtleSBvZiB0aGUgdGVzdHMsIGFuZCBvZiBub2JvZHkgZWxzZQ==")
TOKEN = "eyJ.entra.token"
# The last keeps versions, as if its account did, and has version-level immutability.
containers = {"repo": {}, "locked": {}, "worm": {}}
# Of a container with versions and a name: previous versions, the newest last.
previous = {"worm": {}}
# Of a container and a name: id to bytes.
blocks = {}
STANDARD = [
    "content-encoding", "content-language", "content-length", "content-md5", "content-type", "date", "if-modified-since", "if-match", "if-none-match",
    "if-unmodified-since", "range",
]


def digest(text):
    return base64.b64encode(hmac.new(KEY, text.encode(), hashlib.sha256).digest()).decode()


def shared_key(request):
    values = dict(request.headers)
    if values.get("content-length") == "0":
        values["content-length"] = ""
    if values.get("x-ms-date"):
        values["date"] = ""
    own = "".join(f"{n}:{' '.join(values[n].split())}\n" for n in sorted(values) if n.startswith("x-ms-"))
    parameters = {}
    for name, value in request.pairs:
        parameters.setdefault(name.lower(), []).append(value)
    resource = f"/{ACCOUNT}{request.path}" + "".join(f"\n{n}:{','.join(sorted(parameters[n]))}" for n in sorted(parameters))
    text = "\n".join([request.method] + [values.get(n, "") for n in STANDARD]) + "\n" + own + resource
    return f"SharedKey {ACCOUNT}:{digest(text)}"


def sas_text(container, query):
    """The text to sign of a service SAS for a container, from version 2020-12-06 on."""
    fields = [
        query.get("sp", ""), query.get("st", ""), query.get("se", ""), f"/blob/{ACCOUNT}/{container}", query.get("si", ""), query.get("sip", ""),
        query.get("spr", ""), query["sv"], query["sr"], "", query.get("ses", ""), query.get("rscc", ""), query.get("rscd", ""), query.get("rsce", ""),
        query.get("rscl", ""), query.get("rsct", ""),
    ]
    return "\n".join(fields)


def make_sas(container, rights="racwdl"):
    query = {"sp": rights, "se": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86400)), "sv": "2021-08-06", "sr": "c"}
    query["sig"] = digest(sas_text(container, query))
    return urllib.parse.urlencode(query)


def needed_right(request):
    if request.method == "GET" and request.query.get("comp") == "list":
        return "l"
    # "Create a service SAS": "x" deletes a version, "i" sets or deletes a policy.
    if request.query.get("comp") == "immutabilityPolicies":
        return "i"
    if request.method == "DELETE" and "versionid" in request.query:
        return "x"
    return {"GET": "r", "HEAD": "r", "DELETE": "d"}.get(request.method, "cw")


def authorize(request, container):
    given = request.header("authorization")
    if "sig" in request.query:
        query = request.query
        if query.get("sr") != "c" or not hmac.compare_digest(query["sig"], digest(sas_text(container, query))):
            raise Refusal(403, "AuthenticationFailed", "Signature did not match.")
        if query.get("se", "") < time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()):
            raise Refusal(403, "AuthenticationFailed", "Signature not valid in the specified time frame")
        lacks_lock = request.header("x-ms-immutability-policy-until-date") and "i" not in query.get("sp", "")
        if lacks_lock or not set(needed_right(request)) & set(query.get("sp", "")):
            raise Refusal(403, "AuthorizationPermissionMismatch", "This request is not authorized to perform this operation using this permission.")
        return
    if not given:
        raise Refusal(401, "NoAuthenticationInformation", "Server failed to authenticate the request.")
    if not request.header("x-ms-version"):
        raise Refusal(400, "MissingRequiredHeader", "x-ms-version")
    if given.startswith("Bearer "):
        if given[7:] != TOKEN:
            raise Refusal(401, "InvalidAuthenticationInfo", "Signature validation failed. Signature verification failed.")
        return
    date = request.header("x-ms-date") or request.header("date")
    if not date or abs(email.utils.parsedate_to_datetime(date).timestamp() - time.time()) > 900:
        raise Refusal(403, "AuthenticationFailed", "Request date header too old")
    if not hmac.compare_digest(given, shared_key(request)):
        raise Refusal(403, "AuthenticationFailed", "The MAC signature found in the HTTP request is not the same as any computed signature.")


def identity(request):
    form = dict(urllib.parse.parse_qsl(request.body.decode()))
    if request.path == "/tenant/oauth2/v2.0/token":
        if form.get("grant_type") != "client_credentials" or form.get("scope") != "https://storage.azure.com/.default":
            return Answer(400, b'{"error": "invalid_request"}')
        if (form.get("client_id"), form.get("client_secret")) != ("client", "s3cr&t"):
            return Answer(401, b'{"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided."}')
        return Answer(200, json.dumps({"token_type": "Bearer", "expires_in": 3599, "access_token": TOKEN}).encode())
    if request.query.get("resource") != "https://storage.azure.com/":
        return Answer(400, b'{"error": "invalid_resource"}')
    if request.path == "/metadata/identity/oauth2/token" and request.header("metadata") == "true" and request.query.get("api-version") == "2018-02-01":
        return Answer(200, json.dumps({"access_token": TOKEN, "expires_in": "86399", "expires_on": str(int(time.time()) + 86399)}).encode())
    if request.path == "/msi/token" and request.header("x-identity-header") == "header" and request.query.get("api-version") == "2019-08-01":
        return Answer(200, json.dumps({"access_token": TOKEN, "expires_on": str(int(time.time()) + 86399)}).encode())
    return Answer(400, b'{"error": "invalid_request"}')


def compare_md5(request):
    told = base64.b64encode(hashlib.md5(request.body).digest()).decode()
    if request.header("content-md5") not in ("", told):
        raise Refusal(400, "Md5Mismatch", "The MD5 value specified in the request did not match with the MD5 value calculated by the server.")
    return told


def conditions(request, found):
    wanted, unwanted = request.header("if-match"), request.header("if-none-match")
    if wanted and (found is None or wanted not in ("*", found.etag)):
        raise Refusal(412, "ConditionNotMet", "The condition specified using HTTP conditional header(s) is not met.")
    if unwanted == "*" and found is not None:
        raise Refusal(409, "BlobAlreadyExists", "The specified blob already exists.")
    if unwanted and found is not None and unwanted == found.etag:
        raise Refusal(412, "ConditionNotMet")


def require_mutable(container, found):
    if container == "locked" and found is not None or container in previous and is_locked(found):
        raise Refusal(409, "BlobImmutableDueToPolicy", "This operation is not permitted as the blob is immutable due to a policy.")


def is_locked(found):
    return found is not None and (found.extra.get("policy") or (0, ""))[0] > time.time()


def version_id(found):
    return time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(found.modified)) + f"{int(found.modified % 1 * 1_000_000):06}{found.generation % 10}Z"


def policy(request, container, found=None):
    """What the headers of a request make of a version's policy: until when, and its mode."""
    if not request.header("x-ms-immutability-policy-until-date"):
        return found.extra.get("policy") if found else None
    if container not in previous:
        raise Refusal(409, "ImmutabilityNotEnabled", "The container has no immutable storage with versioning.")
    until = email.utils.parsedate_to_datetime(request.header("x-ms-immutability-policy-until-date")).timestamp()
    mode = request.header("x-ms-immutability-policy-mode", "Unlocked").lower()
    if until <= time.time() or mode not in ("locked", "unlocked"):
        raise Refusal(400, "InvalidHeaderValue", "The value for one of the HTTP headers is not in the correct format.")
    last, present = found.extra.get("policy") or (0, "") if found else (0, "")
    if present == "locked" and (mode != "locked" or until < last):
        raise Refusal(409, "BlobImmutableDueToPolicy", "A locked policy can only be extended.")
    return until, mode


def retire(container, name, found):
    """What is replaced or deleted becomes a previous version where versions are kept."""
    if container in previous and found is not None:
        previous[container].setdefault(name, []).append(found)


def of_version(container, found, is_current):
    headers = []
    if container in previous:
        headers += [("x-ms-version-id", version_id(found))] + ([("x-ms-is-current-version", "true")] if is_current else [])
    if found.extra.get("policy"):
        until, mode = found.extra["policy"]
        headers += [("x-ms-immutability-policy-until-date", email.utils.formatdate(until, usegmt=True)), ("x-ms-immutability-policy-mode", mode)]
    return headers


def require_replaceable(container, found):
    # Replacing a version makes it a previous one, locked or not.
    if container not in previous:
        require_mutable(container, found)


def described(found):
    return [
        ("ETag", found.etag), ("Last-Modified", found.http_date), ("x-ms-blob-type", "BlockBlob"), ("Accept-Ranges", "bytes"),
        ("Content-Type", found.extra.get("type") or "application/octet-stream"), ("x-ms-lease-status", "unlocked"), ("x-ms-lease-state", "available"),
        ("x-ms-creation-time", found.http_date), ("x-ms-server-encrypted", "true"), ("x-ms-version", "2021-08-06"),
    ] + ([("Content-MD5", found.extra["md5"])] if found.extra.get("md5") else []) + [(f"x-ms-meta-{n}", v) for n, v in found.extra.get("meta", {}).items()]


def metadata(request):
    return {n[10:]: v for n, v in request.headers.items() if n.startswith("x-ms-meta-")}


def stored(container, name, found):
    retire(container, name, containers[container].get(name))
    containers[container][name] = found
    return ([("x-ms-version-id", version_id(found))] if container in previous else []) + [("ETag", found.etag), ("Last-Modified", found.http_date), ("x-ms-request-server-encrypted", "true")]


def list_blobs(request, container, objects):
    prefix, delimiter = request.query.get("prefix", ""), request.query.get("delimiter", "")
    limit = min(int(request.query.get("maxresults", 5000)), 5000)
    marker = base64.urlsafe_b64decode(request.query["marker"]).decode() if request.query.get("marker") else ""
    wanted = request.query.get("include", "").split(",")
    if "versions" in wanted:
        # Of each name the oldest first.
        objects = {f"{name}\0{version_id(found)}": found for name, found in objects.items()}
        for name, versions in previous.get(container, {}).items():
            objects.update({f"{name}\0{version_id(found)}": found for found in versions})
    entries, last = listing(objects, prefix, delimiter, limit, marker)
    body = ""
    for name, found in entries:
        name = name.partition("\0")[0]
        version = policies = ""
        if found is not None and "versions" in wanted and container in previous:
            current = containers[container].get(name) is found
            version = f"<VersionId>{version_id(found)}</VersionId>" + ("<IsCurrentVersion>true</IsCurrentVersion>" if current else "")
        if found is not None and "immutabilitypolicy" in wanted and found.extra.get("policy"):
            until, mode = found.extra["policy"]
            policies = f"<ImmutabilityPolicyUntilDate>{email.utils.formatdate(until, usegmt=True)}</ImmutabilityPolicyUntilDate>"
            policies += f"<ImmutabilityPolicyMode>{mode}</ImmutabilityPolicyMode>"
        if found is None:
            body += f"<BlobPrefix><Name>{escape(name)}</Name></BlobPrefix>"
            continue
        metadata = ""
        if "metadata" in wanted:
            metadata = "".join(f"<{n}>{escape(v)}</{n}>" for n, v in found.extra.get("meta", {}).items())
            metadata = f"<Metadata>{metadata}</Metadata>" if metadata else "<Metadata />"
        md5 = f"<Content-MD5>{found.extra['md5']}</Content-MD5>" if found.extra.get("md5") else "<Content-MD5 />"
        body += (
            f"<Blob><Name>{escape(name)}</Name>{version}<Properties><Creation-Time>{found.http_date}</Creation-Time><Last-Modified>{found.http_date}</Last-Modified>"
            f"<Etag>{found.etag.strip(chr(34))}</Etag><Content-Length>{len(found.body)}</Content-Length><Content-Type>application/octet-stream</Content-Type>"
            f"{md5}<BlobType>BlockBlob</BlobType><AccessTier>Hot</AccessTier><LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState>"
            f"<ServerEncrypted>true</ServerEncrypted>{policies}</Properties>{metadata}<OrMetadata /></Blob>"
        )
    marker = f"<NextMarker>{base64.urlsafe_b64encode(last.encode()).decode()}</NextMarker>" if last else "<NextMarker />"
    document = (
        f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="http://127.0.0.1/{ACCOUNT}" ContainerName="{container}">'
        f"<Prefix>{escape(prefix)}</Prefix><MaxResults>{limit}</MaxResults><Blobs>{body}</Blobs>{marker}</EnumerationResults>"
    )
    return Answer(200, b"\xef\xbb\xbf" + document.encode(), [("Content-Type", "application/xml")])


def answer(request):
    if request.path.startswith(("/tenant/", "/metadata/", "/msi/")):
        return identity(request)
    if request.parts[0] != ACCOUNT or len(request.parts) < 2:
        raise Refusal(400, "InvalidUri")
    container, name = request.parts[1], "/".join(request.parts[2:])
    authorize(request, container)
    kind = request.query.get("comp", "")
    with lock:
        objects = containers.get(container)
        if not name:
            if request.method == "PUT" and objects is None:
                containers[container] = {}
                return Answer(201)
            if objects is None:
                raise Refusal(404, "ContainerNotFound", "The specified container does not exist.")
            if request.method == "PUT":
                raise Refusal(409, "ContainerAlreadyExists")
            if kind == "list":
                return list_blobs(request, container, objects)
            if request.method in ("GET", "HEAD"):
                immutable = "true" if container == "locked" else "false"
                return Answer(200, b"", [
                    ("ETag", '"0x1"'), ("Last-Modified", "Fri, 24 May 2013 00:00:00 GMT"), ("x-ms-has-immutability-policy", immutable),
                    ("x-ms-has-legal-hold", "false"), ("x-ms-immutable-storage-with-versioning-enabled", "true" if container in previous else "false"), ("x-ms-lease-status", "unlocked"),
                    ("x-ms-lease-state", "available"), ("x-ms-default-encryption-scope", "$account-encryption-key"), ("x-ms-deny-encryption-scope-override", "false"),
                ])
            raise Refusal(400, "UnsupportedHttpVerb")
        if objects is None:
            raise Refusal(404, "ContainerNotFound", "The specified container does not exist.")
        found = objects.get(name)
        waiting = blocks.setdefault((container, name), {})
        if request.method == "PUT" and kind == "block":
            identifier = request.query["blockid"]
            size = len(base64.b64decode(identifier, validate=True))
            if size > 64 or any(len(base64.b64decode(i)) != size for i in waiting):
                raise Refusal(400, "InvalidBlobOrBlock", "The specified blob or block content is invalid.")
            md5 = compare_md5(request)
            waiting[identifier] = request.body
            return Answer(201, b"", [("Content-MD5", md5)])
        if request.method == "PUT" and kind == "blocklist":
            conditions(request, found)
            require_replaceable(container, found)
            compare_md5(request)
            bodies = []
            for entry in ElementTree.fromstring(request.body):
                if entry.text not in waiting:
                    raise Refusal(400, "InvalidBlockList", "The specified block list is invalid.")
                bodies.append(waiting[entry.text])
            blocks.pop((container, name))
            extra = {"md5": request.header("x-ms-blob-content-md5"), "type": request.header("x-ms-blob-content-type"), "meta": metadata(request), "policy": policy(request, container)}
            return Answer(201, b"", stored(container, name, Object(b"".join(bodies), extra)))
        if request.method == "PUT" and not kind:
            if request.header("x-ms-blob-type") != "BlockBlob":
                raise Refusal(400, "InvalidHeaderValue", "x-ms-blob-type")
            conditions(request, found)
            require_replaceable(container, found)
            md5 = compare_md5(request)
            rule = policy(request, container)
            blocks.pop((container, name))
            extra = {"md5": md5, "type": request.header("x-ms-blob-content-type") or request.header("content-type"), "meta": metadata(request), "policy": rule}
            return Answer(201, b"", stored(container, name, Object(request.body, extra)) + [("Content-MD5", md5)])
        current = found
        if "versionid" in request.query:
            versions = previous.get(container, {}).get(name, []) + ([found] if found else [])
            found = next((v for v in versions if version_id(v) == request.query["versionid"]), None)
        if found is None:
            raise Refusal(404, "BlobNotFound", "The specified blob does not exist.")
        headers = described(found) + of_version(container, found, found is current)
        if kind == "immutabilityPolicies" and request.method == "PUT":
            if not request.header("x-ms-immutability-policy-until-date"):
                raise Refusal(400, "MissingRequiredHeader", "x-ms-immutability-policy-until-date")
            until, mode = found.extra["policy"] = policy(request, container, found)
            return Answer(200, b"", [
                ("x-ms-immutability-policy-until-date", email.utils.formatdate(until, usegmt=True)), ("x-ms-immutability-policy-mode", mode)])
        if kind == "immutabilityPolicies" and request.method == "DELETE":
            if (found.extra.get("policy") or (0, ""))[1] == "locked":
                raise Refusal(409, "ImmutabilityPolicyDeleteOnLockedPolicy", "A locked policy cannot be deleted.")
            found.extra["policy"] = None
            return Answer(200)
        if request.method == "HEAD":
            return Answer(200, b"", headers + [("Content-Length", str(len(found.body)))])
        if request.method == "GET":
            return part(request, found, headers, "x-ms-range")
        if request.method == "DELETE" and "versionid" in request.query:
            if found is current:
                raise Refusal(403, "OperationNotAllowedOnRootBlob", "The specified operation is not allowed on root blob.")
            require_mutable(container, found)
            previous[container][name].remove(found)
            return Answer(202)
        if request.method == "DELETE":
            conditions(request, found)
            require_mutable(container, found)
            retire(container, name, objects.pop(name))
            return Answer(202)
        raise Refusal(400, "UnsupportedHttpVerb")


def error(request, refusal):
    body = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{refusal.code}</Code><Message>{escape(refusal.message)}</Message></Error>'
    body = b"" if request.method == "HEAD" else b"\xef\xbb\xbf" + body.encode()
    return Answer(refusal.status, body, [("x-ms-error-code", refusal.code), ("Content-Type", "application/xml")] + list(refusal.headers))


if __name__ == "__main__":
    port, folder = int(sys.argv[1]), sys.argv[2]
    server = serve(port, answer, error)
    for name, text in (("sas", make_sas("repo")), ("sas-locking", make_sas("worm", "racwdxli")), ("sas-weak", make_sas("worm"))):
        with open(f"{folder}/{name}", "w") as file:
            file.write(text)
    open(folder + "/ready", "w").close()
    server.serve_forever()
