package import RepoBase
public import Storage

extension S3Store: DescribedStore {
    /// Makes the bucket, for tests; the owner's existing one is no error.
    /// - Parameter locking: whether it keeps versions, and locks where it is asked to.
    package func createBucket(locking: Bool = false) throws(RepoError) {
        var request = RemoteRequest(.put, "", "make the bucket")
        if locking { request.headers = [HTTPHeader("x-amz-bucket-object-lock-enabled", "true")] }
        request.accepted = [200, 409]
        _ = try connection.send(request, to: .memory(atMost: 64 << 10))
    }

    /// Three requests: versions, object lock, lifecycle rules. Where locks are to be set, they are tried, which takes ten seconds.
    public func setUp() throws -> [StoreFinding] {
        var findings = [try versions(), try connection.objectLock()]
        if let lock { findings.append(try provenLock(lock)) }
        return findings + (try lifecycle())
    }

    private func versions() throws -> StoreFinding {
        let subject = "versions"
        switch try connection.configuration("versioning") {
        case .unknown(let why): return StoreFinding(subject, .unknown, "these credentials may not see it (\(why))")
        case .document(let document) where document["Status"]?.text == "Enabled":
            return StoreFinding(
                subject, .noted, "kept: what is deleted goes on costing until a lifecycle rule lets old versions expire")
        case .document, .nothing: return StoreFinding(subject, .noted, "not kept: what is deleted or overwritten there is gone")
        }
    }

    /// Rules that would delete the repository's objects, or put away what every run needs.
    private func lifecycle() throws -> [StoreFinding] {
        let subject = "lifecycle rules"
        switch try connection.configuration("lifecycle") {
        case .unknown(let why): return [StoreFinding(subject, .unknown, "these credentials may not see them (\(why))")]
        case .nothing: return [StoreFinding(subject, .proven, "none")]
        case .document(let document):
            let found = document.all("Rule").compactMap { S3LifecycleRule($0)?.finding(subject, for: prefix) }
            return found.isEmpty ? [StoreFinding(subject, .proven, "none that deletes or puts away objects of the repository")] : found
        }
    }
}

/// A rule of a bucket's lifecycle, as far as it concerns a repository (Amazon S3 API reference, "LifecycleRule").
struct S3LifecycleRule: Equatable {
    let name: String
    let prefix: String
    /// "after 30 days", where current objects are deleted.
    private(set) var expiration: String?
    /// Storage classes that objects are moved to and cannot be read from at once.
    private(set) var archives: [String] = []

    /// Nil for one that is off, and for one for objects with a tag: the repository's have none.
    init?(_ rule: XMLElement) {
        guard rule["Status"]?.text == "Enabled" else { return nil }
        let filter = rule["Filter"]
        guard filter?["Tag"] == nil, filter?["And"]?["Tag"] == nil else { return nil }
        name = rule["ID"]?.text ?? ""
        prefix = rule["Prefix"]?.text ?? filter?["Prefix"]?.text ?? filter?["And"]?["Prefix"]?.text ?? ""
        if let expiration = rule["Expiration"] {
            if let days = expiration["Days"] { self.expiration = "after \(days.text) days" }
            if let date = expiration["Date"] { self.expiration = "on \(date.text)" }
        }
        archives = rule.all("Transition").compactMap { $0["StorageClass"]?.text }.filter(S3StorageClass.isArchival)
    }

    /// Nil where it does not touch what lies below `folder`.
    func finding(_ subject: String, for folder: String) -> StoreFinding? {
        guard prefix.hasPrefix(folder) || folder.hasPrefix(prefix) else { return nil }
        let rule = name.isEmpty ? "a rule" : "the rule '\(name)'"
        if let expiration {
            return StoreFinding(subject, .unsafe, "\(rule) deletes objects of the repository \(expiration)")
        }
        guard let archive = archives.first else { return nil }
        let onlyPacks = prefix.hasPrefix(folder + "packs/")
        return StoreFinding(
            subject, onlyPacks ? .warning : .unsafe,
            "\(rule) moves \(onlyPacks ? "packs" : "what every run reads") to \(archive), where nothing can be read before it is restored")
    }
}
