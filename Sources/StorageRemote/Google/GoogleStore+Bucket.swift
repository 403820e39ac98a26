import RepoBase
public import Storage

extension GoogleStore: DescribedStore {
    /// Three requests: versions, object retention, lifecycle rules. Retention policies and soft deletion are told by the JSON interface only. Where locks are to be
    /// set, they are tried, which takes ten seconds.
    public func setUp() throws -> [StoreFinding] {
        var findings = [try versions(), try connection.objectLock()]
        if let lock { findings.append(try provenLock(lock)) }
        findings.append(StoreFinding("retention policy", .unknown, "see 'gcloud storage buckets describe'"))
        return findings + (try lifecycle())
    }

    private func versions() throws -> StoreFinding {
        let subject = "versions"
        switch try connection.configuration("versioning") {
        case .unknown(let why): return StoreFinding(subject, .unknown, "these credentials may not see it (\(why))")
        case .document(let document) where document["Status"]?.text == "Enabled":
            return StoreFinding(subject, .noted, "kept: what is deleted goes on costing until a lifecycle rule deletes old versions")
        case .document, .nothing: return StoreFinding(subject, .noted, "not kept: what is deleted or overwritten there is gone")
        }
    }

    /// Rules that would delete the repository's objects.
    private func lifecycle() throws -> [StoreFinding] {
        let subject = "lifecycle rules"
        switch try connection.configuration("lifecycle") {
        case .unknown(let why): return [StoreFinding(subject, .unknown, "these credentials may not see them (\(why))")]
        case .nothing: return [StoreFinding(subject, .proven, "none")]
        case .document(let document):
            let found = document.all("Rule").compactMap { GoogleLifecycleRule($0)?.finding(subject, for: prefix) }
            return found.isEmpty ? [StoreFinding(subject, .proven, "none that deletes objects of the repository")] : found
        }
    }
}

/// A rule of a bucket's lifecycle that deletes ("Get bucket lifecycle" of the XML interface). Other storage classes, Archive too, can be read at once
/// at Google, and are no danger.
struct GoogleLifecycleRule: Equatable {
    let prefixes: [String]
    let condition: String

    /// Nil for one that deletes no current object of a repository.
    init?(_ rule: XMLElement) {
        guard rule["Action"]?["Delete"] != nil, let conditions = rule["Condition"] else { return nil }
        // Of versions that are not current, or were replaced so long ago, prune has made an end already. The repository gives no object a time of its own.
        guard conditions["IsLive"]?.text != "false" else { return nil }
        for other in ["NumNewerVersions", "DaysSinceNoncurrentTime", "NoncurrentTimeBefore", "DaysSinceCustomTime", "CustomTimeBefore"]
        where conditions[other] != nil { return nil }
        prefixes = conditions.all("MatchesPrefix").map(\.text)
        condition = conditions["Age"].map { "after \($0.text) days" } ?? conditions["CreatedBefore"].map { "made before \($0.text)" } ?? "by its condition"
    }

    /// Nil where it does not touch what lies below `folder`.
    func finding(_ subject: String, for folder: String) -> StoreFinding? {
        guard prefixes.isEmpty || prefixes.contains(where: { $0.hasPrefix(folder) || folder.hasPrefix($0) }) else { return nil }
        return StoreFinding(subject, .unsafe, "a rule deletes objects of the repository \(condition)")
    }
}
