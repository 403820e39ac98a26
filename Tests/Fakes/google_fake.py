"""A fake of Google Cloud Storage (XML and JSON interfaces over the same objects), of Google's token service and of the metadata service.

Sources: "XML API" and "JSON API" references of the Cloud Storage documentation, "Signatures", "Perform resumable uploads", "Request preconditions",
"Object Retention Lock", "Set object retention", "Object Versioning";
"Using OAuth 2.0 for Server to Server Applications"; RFC 7523; RFC 8017 (RSASSA-PKCS1-v1_5).

usage: google_fake.py PORT FOLDER
"""
import base64
import binascii
import datetime
import email.parser
import email.policy
import functools
import hashlib
import hmac
import json
import secrets
import subprocess
import sys
import time
import urllib.parse
import xml.etree.ElementTree as ElementTree
from xml.sax.saxutils import escape

from fake_http import Answer, Object, Refusal, listing, lock, part, serve

ACCESS, SECRET = "GOOG1TESTS", "secretoftests"
EMAIL = "backup@tests.iam.gserviceaccount.com"
# The last two were made with object retention; "worm" keeps versions as well.
buckets = {"repo": {}, "locked": {}, "worm": {}, "unversioned": {}}
RETAINING = ("worm", "unversioned")
# Of a bucket with versions and a name: what is not current, the newest last.
noncurrent = {"worm": {}}
sessions = {}
tokens = {}
origin = ""
modulus = 0
TABLE = []
for value in range(256):
    for _ in range(8):
        value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    TABLE.append(value)


def crc32c_slowly(body):
    crc = 0xFFFFFFFF
    for byte in body:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def crc32c(body):
    """CRC-32C in Base64. By zlib's CRC-32 it cannot be had, and byte by byte Python takes seconds: wide steps over columns of integers instead."""
    lanes, size = 512, len(body) // 512
    if size < 16:
        crc = crc32c_slowly(body)
    else:
        crc = wide(body, lanes, size)
    return base64.b64encode(crc.to_bytes(4, "big")).decode()


def times(matrix, vector):
    result, index = 0, 0
    while vector:
        if vector & 1:
            result ^= matrix[index]
        vector >>= 1
        index += 1
    return result


@functools.lru_cache
def zeros(count):
    """What so many zero bytes do to a CRC's state, as a matrix over GF(2) (as in zlib's crc32_combine)."""
    odd = [0x82F63B78] + [1 << i for i in range(31)]
    power = [times(odd, c) for c in odd]
    power = [times(power, c) for c in power]
    result, count = [1 << i for i in range(32)], count
    matrix = [times(power, c) for c in power]
    while count:
        if count & 1:
            result = [times(matrix, c) for c in result]
        matrix = [times(matrix, c) for c in matrix]
        count >>= 1
    return result


def wide(body, lanes, size):
    """Each lane's CRC side by side, by translation of whole columns of bytes; then the lanes are joined."""
    tables = [bytes(t >> shift & 255 for t in TABLE) for shift in (0, 8, 16, 24)]
    columns = [int.from_bytes(body[i : lanes * size : size], "big") for i in range(size)]
    b0 = b1 = b2 = b3 = 0
    for column in columns:
        index = (b0 ^ column).to_bytes(lanes, "big")
        t0, t1, t2, t3 = (int.from_bytes(index.translate(t), "big") for t in tables)
        b0, b1, b2, b3 = b1 ^ t0, b2 ^ t1, b3 ^ t2, t3
    raw = [b.to_bytes(lanes, "big") for b in (b0, b1, b2, b3)]
    shift, crc = zeros(size), 0xFFFFFFFF
    for lane in range(lanes):
        crc = times(shift, crc) ^ (raw[0][lane] | raw[1][lane] << 8 | raw[2][lane] << 16 | raw[3][lane] << 24)
    for byte in body[lanes * size :]:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def verify_rsa(message, signature):
    """RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, section 8.2.2)."""
    size = (modulus.bit_length() + 7) // 8
    info = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(message).digest()
    expected = b"\0\1" + b"\xff" * (size - len(info) - 3) + b"\0" + info
    return len(signature) == size and pow(int.from_bytes(signature, "big"), 65537, modulus).to_bytes(size, "big") == expected


def grant(scope="https://www.googleapis.com/auth/devstorage.read_write"):
    token = "ya29." + secrets.token_urlsafe(24)
    tokens[token] = (time.time() + 3600, scope)
    return Answer(200, json.dumps({"access_token": token, "expires_in": 3599, "token_type": "Bearer"}).encode(), [("Content-Type", "application/json")])


def token_service(request):
    form = dict(urllib.parse.parse_qsl(request.body.decode()))
    if form.get("grant_type") == "refresh_token":
        if (form.get("client_id"), form.get("client_secret"), form.get("refresh_token")) == ("person", "s+e/c", "1//refresh"):
            return grant()
    elif form.get("grant_type") == "urn:ietf:params:oauth:grant-type:jwt-bearer":
        head, claims, signature = form.get("assertion", "..").split(".")
        if verify_rsa(f"{head}.{claims}".encode(), decoded(signature)) and json.loads(decoded(head))["alg"] == "RS256":
            told = json.loads(decoded(claims))
            if told["iss"] == EMAIL and told["aud"] in (origin + "/token", "https://oauth2.googleapis.com/token") and abs(told["iat"] - time.time()) < 300 and 0 < told["exp"] - told["iat"] <= 3600:
                if "devstorage" in told["scope"] or "cloud-platform" in told["scope"]:
                    return grant(told["scope"])
    body = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
    return Answer(400, json.dumps(body).encode(), [("Content-Type", "application/json")])


def quoted(text):
    return urllib.parse.quote(text, safe="-_.~")


def canonical_query(request, without=()):
    return "&".join("=".join(p) for p in sorted((quoted(n), quoted(v)) for n, v in request.pairs if n not in without))


def canonical(request, names, payload, without=()):
    headers = "".join(f"{n}:{' '.join(request.header(n).split())}\n" for n in names)
    text = "\n".join([request.method, request.path, canonical_query(request, without), headers, ";".join(names), payload])
    return hashlib.sha256(text.encode()).hexdigest()


def derived(prefix, secret, scope):
    key = (prefix + secret).encode()
    for piece in scope:
        key = hmac.new(key, piece.encode(), hashlib.sha256).digest()
    return key


def verify_v4(request, scheme, given):
    """GOOG4-HMAC-SHA256, or AWS4-HMAC-SHA256 as clients of S3 send it."""
    fields = dict(piece.strip().split("=", 1) for piece in given.split(" ", 1)[1].split(","))
    access, *scope = fields["Credential"].split("/")
    names, own = fields["SignedHeaders"].split(";"), "x-goog-" if scheme == "GOOG4" else "x-amz-"
    if any(n.startswith("x-goog-") for n in request.headers) and any(n.startswith("x-amz-") for n in request.headers):
        raise Refusal(400, "ExcessHeaderValues", "Multiple HTTP header values for a single header.")
    moment, payload = request.header(own + "date"), request.header(own + "content-sha256")
    if access != ACCESS:
        raise Refusal(403, "InvalidAccessKeyId", "Access denied.")
    if len(scope) != 4 or scope[0] != moment[:8] or scope[3] != scheme.lower() + "_request" or "host" not in names or own + "date" not in names:
        raise Refusal(400, "AuthorizationHeaderMalformed", given)
    if any(n.startswith(own) and n not in names for n in request.headers):
        raise Refusal(403, "SignatureDoesNotMatch", "not all headers are signed")
    if abs(time.mktime(time.strptime(moment, "%Y%m%dT%H%M%SZ")) - time.timezone - time.time()) > 900:
        raise Refusal(403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")
    if payload not in ("UNSIGNED-PAYLOAD", hashlib.sha256(request.body).hexdigest()):
        raise Refusal(400, "XAmzContentSHA256Mismatch", "")
    text = "\n".join([scheme + "-HMAC-SHA256", moment, "/".join(scope), canonical(request, names, payload)])
    wanted = hmac.new(derived(scheme, SECRET, scope), text.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(wanted, fields["Signature"]):
        raise Refusal(403, "SignatureDoesNotMatch", "Access denied.")


def verify_signed_url(request):
    """GOOG4-RSA-SHA256 in the query ("V4 signing process")."""
    query = request.query
    scope = query["X-Goog-Credential"].split("/")[1:]
    names = query["X-Goog-SignedHeaders"].split(";")
    payload = request.header("x-goog-content-sha256", "UNSIGNED-PAYLOAD")
    text = "\n".join(["GOOG4-RSA-SHA256", query["X-Goog-Date"], "/".join(scope), canonical(request, names, payload, ("X-Goog-Signature",))])
    if query["X-Goog-Algorithm"] != "GOOG4-RSA-SHA256" or not verify_rsa(text.encode(), binascii.unhexlify(query["X-Goog-Signature"])):
        raise Refusal(403, "SignatureDoesNotMatch", "Access denied.")


def authorize(request):
    given = request.header("authorization")
    if given.startswith("Bearer "):
        if tokens.get(given[7:], (0, ""))[0] < time.time():
            raise Refusal(401, "AuthenticationRequired", "Authentication required.")
    elif given.startswith(("GOOG4-HMAC-SHA256 ", "AWS4-HMAC-SHA256 ")):
        verify_v4(request, given.split("-")[0], given)
    elif "X-Goog-Signature" in request.query:
        verify_signed_url(request)
    elif request.query.get("upload_id") in sessions:
        # A session's address is a token by itself.
        return
    else:
        raise Refusal(403 if given else 401, "AccessDenied" if given else "AuthenticationRequired", "Anonymous caller does not have storage.objects access")


def is_locked(found):
    return found is not None and (found.extra.get("retention") or ("", 0))[1] > time.time()


def require_mutable(bucket, found):
    if bucket == "locked" and found is not None:
        raise Refusal(403, "RetentionPolicyNotMet", "Object is subject to bucket's retention policy and cannot be deleted or overwritten")
    if is_locked(found):
        raise Refusal(403, "ObjectUnderRetention", "Object is subject to object retention and cannot be deleted or overwritten until it ends")


def require_replaceable(bucket, found):
    # Where versions are kept, what is locked can be made noncurrent.
    if bucket not in noncurrent:
        require_mutable(bucket, found)


def retire(bucket, name, found):
    if bucket in noncurrent and found is not None:
        noncurrent[bucket].setdefault(name, []).append(found)


def retention(bucket, mode, until, present=None, may_weaken=False):
    """A retention as it is asked for: Unlocked or Locked, and until when; or nothing."""
    modes = {"GOVERNANCE": "Unlocked", "COMPLIANCE": "Locked", "Unlocked": "Unlocked", "Locked": "Locked"}
    before, last = present or ("", 0)
    if not mode and not until:
        made = None
    else:
        if bucket not in RETAINING:
            raise Refusal(400, "InvalidRequest", "Object retention is not enabled for this bucket.")
        if mode not in modes or not until:
            raise Refusal(400, "InvalidArgument", "A retention has a mode and a time.")
        made = modes[mode], datetime.datetime.fromisoformat(until.replace("Z", "+00:00")).timestamp()
        if made[1] <= time.time() or made[1] > time.time() + 3_155_760_000:
            raise Refusal(400, "InvalidArgument", "The retain-until time has to lie in the future, at most 100 years ahead.")
    if last > time.time():
        is_weaker = made is None or made[1] < last
        if before == "Locked" and (is_weaker or made[0] != "Locked"):
            raise Refusal(403, "Forbidden", "A locked retention can be extended only.")
        if (is_weaker or made[0] != before) and not may_weaken:
            raise Refusal(403, "Forbidden", "Changing an unlocked retention so needs to override it.")
    return made


def in_time(until):
    return datetime.datetime.fromtimestamp(until, datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def require_full_control(request):
    """Changing an object's retention needs a token for all that can be done ("Objects: patch", authorization)."""
    given = request.header("authorization")
    if given.startswith("Bearer ") and not any(s in tokens[given[7:]][1] for s in ("full_control", "cloud-platform")):
        raise Refusal(403, "InsufficientPermission", "Request had insufficient authentication scopes.")


def generations(bucket, name):
    """All versions of an object, the oldest first."""
    found = buckets[bucket].get(name)
    return noncurrent.get(bucket, {}).get(name, []) + ([found] if found else [])


def chosen(bucket, name, generation):
    if generation is None:
        return buckets[bucket].get(name)
    return next((f for f in generations(bucket, name) if f.generation == int(generation)), None)


def delete(bucket, name, found, generation):
    """Without a generation what is current is made noncurrent where versions are kept; with one it is gone for good."""
    if generation is None:
        require_replaceable(bucket, found)
        retire(bucket, name, buckets[bucket].pop(name))
        return
    require_mutable(bucket, found)
    if buckets[bucket].get(name) is found:
        del buckets[bucket][name]
    else:
        noncurrent[bucket][name].remove(found)


def conditions(found, generation):
    if generation is not None and int(generation) != (found.generation if found else 0):
        raise Refusal(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.")


def compare(told, body, crc):
    for piece in told.split(","):
        kind, _, value = piece.strip().partition("=")
        if kind == "crc32c" and value != crc or kind == "md5" and value != base64.b64encode(hashlib.md5(body).digest()).decode():
            raise Refusal(400, "BadDigest", "The CRC32C or MD5 you specified did not match what we received.")


def store(bucket, name, body, generation, told, kept=None):
    with lock:
        found = buckets[bucket].get(name)
        conditions(found, generation)
        require_replaceable(bucket, found)
        crc = crc32c(body)
        compare(told, body, crc)
        retire(bucket, name, found)
        made = buckets[bucket][name] = Object(
            body, {"crc32c": crc, "md5": base64.b64encode(hashlib.md5(body).digest()).decode(), "retention": kept})
        return made


def described(found):
    return [
        ("ETag", found.etag), ("Last-Modified", found.http_date), ("x-goog-generation", str(found.generation)), ("x-goog-metageneration", "1"),
        ("x-goog-hash", "crc32c=" + found.extra["crc32c"]), ("x-goog-hash", "md5=" + found.extra["md5"]), ("x-goog-stored-content-encoding", "identity"),
        ("x-goog-stored-content-length", str(len(found.body))), ("x-goog-storage-class", "STANDARD"), ("Content-Type", "application/octet-stream"),
        ("Accept-Ranges", "bytes"),
    ] + retained(found)


def retained(found):
    if not found.extra.get("retention"):
        return []
    mode, until = found.extra["retention"]
    xml_mode = {"Unlocked": "GOVERNANCE", "Locked": "COMPLIANCE"}[mode]
    return [("x-goog-object-lock-mode", xml_mode), ("x-goog-object-lock-retain-until-date", in_time(until))]


def resource(bucket, name, found):
    link = f"{origin}/download/storage/v1/b/{bucket}/o/{quoted(name)}?generation={found.generation}&alt=media"
    return {
        "kind": "storage#object", "id": f"{bucket}/{name}/{found.generation}", "name": name, "bucket": bucket, "generation": str(found.generation),
        "metageneration": "1", "contentType": "application/octet-stream", "storageClass": "STANDARD", "size": str(len(found.body)),
        "md5Hash": found.extra["md5"], "crc32c": found.extra["crc32c"], "etag": found.etag.strip('"'), "timeCreated": found.iso_date,
        "updated": found.iso_date, "mediaLink": link, "selfLink": f"{origin}/storage/v1/b/{bucket}/o/{quoted(name)}",
        **({"retention": {"mode": found.extra["retention"][0], "retainUntilTime": in_time(found.extra["retention"][1])}} if found.extra.get("retention") else {}),
    }


def in_json(value, status=200, headers=()):
    return Answer(status, json.dumps(value).encode(), [("Content-Type", "application/json; charset=UTF-8")] + list(headers))


def begin(bucket, name, generation, told, is_json, kept=None):
    with lock:
        conditions(buckets[bucket].get(name), generation)
        identifier = secrets.token_urlsafe(24)
        sessions[identifier] = {"bucket": bucket, "name": name, "generation": generation, "told": told, "body": b"", "done": None, "json": is_json, "kept": kept}
    return identifier


def go_on(request, identifier):
    with lock:
        session = sessions[identifier]
        told = request.header("content-range")
        if session["done"] is None:
            span, _, total = told.replace("bytes ", "").partition("/")
            if not told:
                session["body"], total = request.body, str(len(request.body))
            elif span != "*":
                start, end = (int(n) for n in span.split("-"))
                if end - start + 1 != len(request.body):
                    raise Refusal(400, "InvalidArgument", "Content-Range does not fit the body")
                # What is there already is passed over; a gap is not taken.
                if start <= len(session["body"]):
                    fresh = request.body[len(session["body"]) - start :]
                    is_last = total != "*" and end + 1 == int(total)
                    session["body"] += fresh if is_last else fresh[: len(fresh) // (256 << 10) * (256 << 10)]
            if total == "*" or len(session["body"]) < int(total):
                size = len(session["body"])
                return Answer(308, b"", [("Range", f"bytes=0-{size - 1}")] if size else [])
            # What is told with the last part counts too.
            for hashes in (session["told"], request.header("x-goog-hash")):
                compare(hashes, session["body"], crc32c(session["body"]))
            session["done"] = store(session["bucket"], session["name"], session["body"], session["generation"], "", session["kept"])
            session["body"] = b""
        made = session["done"]
        if session["json"]:
            return in_json(resource(session["bucket"], session["name"], made))
        return Answer(200, b"", [h for h in described(made) if h[0] not in ("Last-Modified", "Content-Type")])


def xml_listing(request, bucket):
    query = request.query
    if query.get("list-type") not in (None, "2"):
        raise Refusal(400, "InvalidArgument")
    limit = min(int(query.get("max-keys", 1000)), 1000)
    after = query.get("continuation-token") or query.get("marker") or query.get("start-after") or ""
    after = base64.urlsafe_b64decode(after).decode() if query.get("continuation-token") else after
    entries, last = listing(buckets[bucket], query.get("prefix", ""), query.get("delimiter", ""), limit, after)
    name = (lambda n: urllib.parse.quote(n, safe="/-_.~")) if query.get("encoding-type") == "url" else escape
    body = f"<Name>{bucket}</Name><Prefix>{name(query.get('prefix', ''))}</Prefix>"
    if query.get("encoding-type") == "url":
        body += "<EncodingType>url</EncodingType>"
    body += f"<IsTruncated>{'true' if last else 'false'}</IsTruncated>"
    if last:
        token = base64.urlsafe_b64encode(last.encode()).decode()
        body += f"<NextContinuationToken>{token}</NextContinuationToken>" if "list-type" in query else f"<NextMarker>{name(last)}</NextMarker>"
    for key, found in entries:
        if found is None:
            body += f"<CommonPrefixes><Prefix>{name(key)}</Prefix></CommonPrefixes>"
        else:
            body += (
                f"<Contents><Key>{name(key)}</Key><Generation>{found.generation}</Generation><MetaGeneration>1</MetaGeneration>"
                f"<LastModified>{found.iso_date}</LastModified><ETag>{found.etag}</ETag><Size>{len(found.body)}</Size></Contents>"
            )
    document = f"<?xml version='1.0' encoding='UTF-8'?><ListBucketResult xmlns='http://doc.s3.amazonaws.com/2006-03-01'>{body}</ListBucketResult>"
    return Answer(200, document.encode(), [("Content-Type", "application/xml; charset=UTF-8")])


def xml_versions(request, bucket):
    query = request.query
    limit = min(int(query.get("max-keys", 1000)), 1000)
    entries = [(n, f) for n in sorted(set(buckets[bucket]) | set(noncurrent.get(bucket, {}))) for f in generations(bucket, n)]
    entries = [e for e in entries if e[0].startswith(query.get("prefix", ""))]
    if query.get("marker"):
        behind = (query["marker"], int(query.get("generation-marker", 1 << 62)))
        entries = [e for e in entries if (e[0], e[1].generation) > behind]
    body = f"<Name>{bucket}</Name><Prefix>{escape(query.get('prefix', ''))}</Prefix>"
    body += f"<IsTruncated>{'true' if len(entries) > limit else 'false'}</IsTruncated>"
    if len(entries) > limit:
        name, found = entries[limit - 1]
        body += f"<NextMarker>{escape(name)}</NextMarker><NextGenerationMarker>{found.generation}</NextGenerationMarker>"
    for name, found in entries[:limit]:
        body += (
            f"<Version><Key>{escape(name)}</Key><Generation>{found.generation}</Generation><MetaGeneration>1</MetaGeneration>"
            f"<IsLatest>{'true' if buckets[bucket].get(name) is found else 'false'}</IsLatest><LastModified>{found.iso_date}</LastModified>"
            f"<ETag>{found.etag}</ETag><Size>{len(found.body)}</Size></Version>"
        )
    document = f"<?xml version='1.0' encoding='UTF-8'?><ListBucketResult xmlns='http://doc.s3.amazonaws.com/2006-03-01'>{body}</ListBucketResult>"
    return Answer(200, document.encode(), [("Content-Type", "application/xml; charset=UTF-8")])


def xml_retention(request, bucket, found):
    if request.method == "PUT":
        root = ElementTree.fromstring(request.body)
        told = {e.tag.rpartition("}")[2]: e.text for e in root}
        if root.tag.rpartition("}")[2] != "Retention":
            raise Refusal(400, "MalformedRetention", root.tag)
        require_full_control(request)
        may_weaken = request.header("x-goog-bypass-governance-retention") == "true"
        found.extra["retention"] = retention(bucket, told.get("Mode"), told.get("RetainUntilDate"), found.extra.get("retention"), may_weaken)
        return Answer(200)
    headers = dict(retained(found))
    if not headers:
        raise Refusal(404, "NoSuchObjectLockConfiguration", "The object has no retention.")
    mode, until = headers["x-goog-object-lock-mode"], headers["x-goog-object-lock-retain-until-date"]
    return Answer(200, f"<Retention><Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>".encode(), [("Content-Type", "application/xml")])


def xml(request):
    bucket, name = request.parts[0], "/".join(request.parts[1:])
    if bucket not in buckets:
        raise Refusal(404, "NoSuchBucket", "The specified bucket does not exist.")
    if not name:
        if request.method not in ("GET", "HEAD"):
            raise Refusal(405, "MethodNotAllowed")
        for part_name, root in (("versioning", "VersioningConfiguration"), ("lifecycle", "LifecycleConfiguration")):
            if part_name == "versioning" and part_name in request.query and bucket in noncurrent:
                return Answer(200, b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>", [("Content-Type", "application/xml")])
            if part_name in request.query:
                return Answer(200, f"<?xml version='1.0' encoding='UTF-8'?><{root}/>".encode(), [("Content-Type", "application/xml")])
        if "object-lock" in request.query:
            body = "<ObjectLockConfiguration>" + ("<ObjectLockEnabled>Enabled</ObjectLockEnabled>" if bucket in RETAINING else "") + "</ObjectLockConfiguration>"
            return Answer(200, body.encode(), [("Content-Type", "application/xml")])
        if "location" in request.query:
            return Answer(200, b"<?xml version='1.0' encoding='UTF-8'?><LocationConstraint>US</LocationConstraint>")
        # Nobody puts or deletes while the names are gone through.
        with lock:
            return xml_versions(request, bucket) if "versions" in request.query else xml_listing(request, bucket)
    generation = request.headers.get("x-goog-if-generation-match")
    hashes = ",".join(t for t in [request.header("x-goog-hash"), request.header("content-md5") and "md5=" + request.header("content-md5")] if t)
    asked = retention(bucket, request.header("x-goog-object-lock-mode"), request.header("x-goog-object-lock-retain-until-date"))
    if request.method == "PUT" and request.query.get("upload_id") in sessions:
        return go_on(request, request.query["upload_id"])
    if request.method == "POST" and request.header("x-goog-resumable") == "start":
        if request.body:
            raise Refusal(400, "InvalidArgument", "a body where a session begins")
        return Answer(201, b"", [("Location", f"{origin}{request.path}?upload_id={begin(bucket, name, generation, hashes, False, asked)}")])
    if request.method == "PUT" and "retention" not in request.query:
        made = store(bucket, name, request.body, generation, hashes, asked)
        return Answer(200, b"", [h for h in described(made) if h[0] not in ("Last-Modified", "Content-Type")])
    with lock:
        found = chosen(bucket, name, request.query.get("generation"))
        if found is None:
            raise Refusal(404, "NoSuchKey", "The specified key does not exist.")
        if "retention" in request.query:
            return xml_retention(request, bucket, found)
        if request.method == "DELETE":
            conditions(found, generation)
            delete(bucket, name, found, request.query.get("generation"))
            return Answer(204)
        if request.method == "HEAD":
            return Answer(200, b"", described(found) + [("Content-Length", str(len(found.body)))])
        return part(request, found, described(found))


def json_interface(request):
    query, parts = request.query, request.parts
    generation = query.get("ifGenerationMatch")
    if parts[0] == "upload":
        bucket = parts[4]
        if "upload_id" in query:
            return go_on(request, query["upload_id"])
        if query.get("uploadType") == "resumable":
            told = json.loads(request.body or b"{}")
            name = query.get("name") or told["name"]
            hashes = ",".join(k + "=" + told[f] for k, f in (("crc32c", "crc32c"), ("md5", "md5Hash")) if told.get(f))
            identifier = begin(bucket, name, generation, hashes, True)
            return Answer(200, b"", [("Location", f"{origin}{request.path}?uploadType=resumable&upload_id={identifier}"), ("X-GUploader-UploadID", identifier)])
        message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(b"Content-Type: " + request.header("content-type").encode() + b"\r\n\r\n")
        boundary = b"--" + message.get_boundary().encode()
        pieces = request.body.split(boundary)
        told = json.loads(pieces[1].split(b"\r\n\r\n", 1)[1])
        body = pieces[2].split(b"\r\n\r\n", 1)[1]
        body = body[:-2] if body.endswith(b"\r\n") else body
        hashes = ",".join(k + "=" + told[f] for k, f in (("crc32c", "crc32c"), ("md5", "md5Hash")) if told.get(f))
        name = query.get("name") or told["name"]
        return in_json(resource(bucket, name, store(bucket, name, body, generation, hashes)))
    if parts[0] == "download":
        parts = parts[1:]
    bucket = parts[3]
    if bucket not in buckets:
        raise Refusal(404, "notFound", "The specified bucket does not exist.")
    if len(parts) == 4:
        return in_json({"kind": "storage#bucket", "name": bucket, "id": bucket, "location": "US", "storageClass": "STANDARD"})
    name = "/".join(parts[5:])
    with lock:
        if not name:
            limit = int(query.get("maxResults", 1000))
            after = base64.urlsafe_b64decode(query["pageToken"]).decode() if query.get("pageToken") else ""
            present = buckets[bucket]
            if query.get("versions", "").lower() == "true":
                present = {f"{n}\0{f.generation}": f for n in set(present) | set(noncurrent.get(bucket, {})) for f in generations(bucket, n)}
            entries, last = listing(present, query.get("prefix", ""), query.get("delimiter", ""), limit, after)
            entries = [(n.partition("\0")[0], f) for n, f in entries]
            result = {"kind": "storage#objects", "items": [resource(bucket, n, f) for n, f in entries if f], "prefixes": [n for n, f in entries if not f]}
            if last:
                result["nextPageToken"] = base64.urlsafe_b64encode(last.encode()).decode()
            return in_json(result)
        found = chosen(bucket, name, query.get("generation"))
        if found is None:
            raise Refusal(404, "notFound", f"No such object: {bucket}/{name}")
        if request.method == "DELETE":
            conditions(found, generation)
            delete(bucket, name, found, query.get("generation"))
            return Answer(204)
        if request.method == "PATCH":
            told = json.loads(request.body or b"{}")
            if "retention" in told:
                require_full_control(request)
                asked, may_weaken = told["retention"] or {}, query.get("overrideUnlockedRetention", "").lower() == "true"
                found.extra["retention"] = retention(bucket, asked.get("mode"), asked.get("retainUntilTime"), found.extra.get("retention"), may_weaken)
            return in_json(resource(bucket, name, found))
        if query.get("alt") == "media":
            return part(request, found, described(found))
        return in_json(resource(bucket, name, found))


def answer(request):
    if request.path == "/token":
        return token_service(request)
    if request.path.startswith("/computeMetadata/"):
        if request.header("metadata-flavor") != "Google":
            raise Refusal(403, "Forbidden")
        return grant()
    authorize(request)
    if request.path.startswith(("/storage/v1/", "/upload/storage/v1/", "/download/storage/v1/")):
        return json_interface(request)
    return xml(request)


def error(request, refusal):
    if "/storage/v1/" in request.path:
        body = {"error": {"code": refusal.status, "message": refusal.message or refusal.code, "errors": [{"reason": refusal.code, "message": refusal.message}]}}
        return in_json(body, refusal.status, refusal.headers)
    body = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{refusal.code}</Code><Message>{escape(refusal.message)}</Message></Error>".encode()
    return Answer(refusal.status, body, [("Content-Type", "application/xml; charset=UTF-8")] + list(refusal.headers))


def make_key():
    return subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    port, folder = int(sys.argv[1]), sys.argv[2]
    origin = f"http://127.0.0.1:{port}"
    keys = {"credentials": make_key(), "forged": make_key()}
    told = subprocess.run(["openssl", "rsa", "-noout", "-modulus"], check=True, capture_output=True, text=True, input=keys["credentials"]).stdout
    modulus = int(told.strip().removeprefix("Modulus="), 16)
    for name, key in keys.items():
        with open(f"{folder}/{name}.json", "w") as file:
            json.dump({
                "type": "service_account", "project_id": "tests", "private_key_id": "0123", "private_key": key, "client_email": EMAIL, "client_id": "1",
                "token_uri": origin + "/token", "universe_domain": "googleapis.com",
            }, file, indent=2)
    with open(f"{folder}/person.json", "w") as file:
        json.dump({
            "type": "authorized_user", "client_id": "person", "client_secret": "s+e/c", "refresh_token": "1//refresh", "token_uri": origin + "/token",
        }, file)
    server = serve(port, answer, error)
    open(folder + "/ready", "w").close()
    server.serve_forever()
