import RepoBase
public import Storage

extension AzureStore: DescribedStore {
    /// One request: the container's immutability. What else would harm is told by Azure's management interface only. Where locks are to be set, they are tried,
    /// which takes ten seconds.
    public func setUp() throws -> [StoreFinding] {
        var findings = [try immutability()]
        if let lock {
            findings.append(try provenLock(lock))
            if lock.mode == .governance {
                findings.append(
                    StoreFinding(
                        "lock governance", .warning,
                        "whoever may lock an object at Microsoft may also lift such a lock, this host included; lock=compliance keeps it from everybody"))
            }
        }
        findings.append(
            StoreFinding(
                "lifecycle rules", .unknown, "the Blob service does not tell them; see 'az storage account management-policy show'"))
        return findings
    }

    private func immutability() throws -> StoreFinding {
        let subject = "immutability"
        var request = RemoteRequest(.get, "", "read the container's properties")
        request.query = [("restype", "container")]
        request.accepted = [200, 403]
        let response = try connection.send(request, to: .memory(atMost: 64 << 10))
        guard response.status == 200 else {
            return StoreFinding(subject, .unknown, "these credentials may not see it (\(ErrorAnswer(response).code))")
        }
        // A policy over the whole container locks what prune has to delete, and what is replaced, for its span.
        if response["x-ms-has-immutability-policy"] == "true" || response["x-ms-has-legal-hold"] == "true" {
            return StoreFinding(
                subject, .warning, "a policy or a legal hold locks every blob of the container: nothing can be deleted or replaced before it ends")
        }
        if response["x-ms-immutable-storage-with-versioning-enabled"] == "true" {
            return StoreFinding(subject, .noted, "possible for each version of a blob")
        }
        return StoreFinding(subject, .noted, "off")
    }
}
