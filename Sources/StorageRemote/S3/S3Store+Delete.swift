import RepoBase
public import Storage

extension S3Store {
    /// One request for 1,000 objects (DeleteObjects).
    public func delete(_ keys: [StoreKey]) throws {
        guard keys.count > 1 else {
            for key in keys { try delete(key) }
            return
        }
        try deleteAtOnce(keys.map { (path($0), nil) })
    }

    /// What is to go: a path in the bucket, and which version of it; without one, what is there now.
    typealias Deletion = (path: String, version: String?)

    /// One request for 1,000.
    func deleteAtOnce(_ deletions: [Deletion]) throws {
        for start in stride(from: 0, to: deletions.count, by: 1000) {
            try deletePart(deletions[start..<min(start + 1000, deletions.count)])
        }
    }

    private func deletePart(_ keys: ArraySlice<Deletion>) throws {
        var document = "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>"
        for key in keys {
            let version = key.version.map { "<VersionId>\(XMLElement.escaped($0))</VersionId>" } ?? ""
            document += "<Object><Key>\(XMLElement.escaped(key.path))</Key>\(version)</Object>"
        }
        document += "</Delete>"
        let bytes = Array(document.utf8)
        try bytes.withUnsafeBytes { bytes in
            var request = RemoteRequest(.post, "", "delete \(keys.count) objects")
            request.query = [("delete", "")]
            request.headers = [
                HTTPHeader("Content-Type", "application/xml"), HTTPHeader("Content-MD5", Digests.base64(Digests.md5(bytes))),
            ]
            request.body = bytes
            request.accepted = [200]
            let response = try connection.send(request, to: .memory(atMost: 4 << 20))
            guard let answer = try? XMLElement(parsing: response.body), answer.name == "DeleteResult" else {
                throw RepoError(.unreachable, "cannot delete objects in \(location): the answer does not parse", advice: "Try again.")
            }
            guard let failure = answer.all("Error").first(where: { !["NoSuchKey", "NoSuchVersion"].contains($0["Code"]?.text) }) else { return }
            let said = ErrorAnswer(failure)
            var status = response
            status.status = said.code == "AccessDenied" ? 403 : said.code == "InternalError" ? 500 : 400
            throw connection.error(request, status, said)
        }
    }
}
