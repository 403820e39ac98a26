import RepoBase

extension FuzzTarget {
    /// The commands, run in this process as people run them, on a repository with snapshots, log and reports that say what the input says (`ForgedClaims`).
    ///
    /// Nothing may trap; no control character may reach a terminal; and what a check of all data finds clean, no other command may call damaged.
    func commands(_ bytes: [UInt8]) {
        let claims = ForgedClaims(bytes)
        let work = FuzzFolder.shared
        defer { work.empty() }
        guard (try? Self.claimed.write(claims, to: work)) != nil else { return }
        let session = CommandSession(work)
        let isClean = session.run(["check", "--read-data"]) == 0
        demand(isClean || !claims.records.isEmpty, "what nobody changed is damaged: \(session.text)")
        for (number, group) in Self.groups.enumerated() where claims.chosenGroups >> UInt32(number) & 1 != 0 {
            for words in group {
                let status = session.run(words)
                // What a later version's reports mean is no check's business.
                demand(!isClean || status != 12 || session.text.contains("JSON lacks what this version knows"), "\(words) found damage in what is clean: \(session.text)")
            }
        }
    }

    /// What is run where a bit of the input says so, in this order: what takes something away comes last. Words that begin with `@` are places in the folder.
    private static let groups: [[[String]]] = [
        [["snapshots"], ["snapshots", "--json"]],
        [["stats", "--snapshots"], ["stats", "--json"]],
        [["wal", "status"], ["wal", "status", "--json"]],
        [["check"], ["check", "--json", "--source", "till"]],
        [["forget", "--dry-run", "--preset", "standard"], ["forget", "--dry-run", "--preset", "compact", "--accept-unusual", "--recovery-window", "7d"]],
        [["forget", "--dry-run", "--keep-within", "2d", "--keep-within-yearly", "3y", "--minimum-age", "4d"]],
        [recovery("--at", "now"), recovery("--at", "0002-01-01T00:00:00Z"), recovery("--at", "2023-11-14T22:13:21Z")],
        [recovery("--latest"), recovery("--target-immediate")],
        [recovery("--target-lsn", "0/250000"), recovery("--target-lsn", "FFFFFFFF/FFFFFFFF")],
        [recovery("--target-xid", "750"), recovery("--target-name", "before")],
        [["restore", "--source", "till", "--at", "now", "--table", "orders", "--to", "service=none", "--dry-run"]],
        [["restore", "--source", "shop", "--at", "now", "--target", "@restored/now"], ["restore", "latest:shop", "--target", "@restored/latest", "--dry-run"]],
        [["ls", "latest:shop", "--long"], ["ls", "latest:shop", "--json"], ["find", "*"], ["diff", "latest:shop", "latest:till"]],
        [["drill", "--source", "shop"], ["drill", "--list"], ["drill", "--list", "--json"], ["drill", "--show", "latest"]],
        [["hold", "add", "latest:till"], ["hold", "list"], ["hold", "remove", "latest:till"]],
        [["wal", "get", "000000010000000000000002", "@restored/segment", "--system-identifier", "\(ClaimedRepository.system)"]],
        [["copy", "--to", "@twin", "--status"], ["copy", "--to", "@twin"], ["copy", "--to", "@twin", "--status"]],
        [["snapshot", "files", "--name", "shop", "@restored"]],
        [["repair", "wal"]],
        [["repair", "snapshots"]],
        [["repair", "index"]],
        [["prune", "--dry-run"], ["prune", "--max-unused", "0%"]],
        [["forget", "--preset", "standard", "--prune"], ["check"]],
    ]
    static var commandGroups: Int { groups.count }

    private static func recovery(_ target: String...) -> [String] {
        ["restore", "--source", "till"] + target + ["--target", "@restored/cluster", "--dry-run", "--skip-log-check"]
    }

    nonisolated(unsafe) static let claimed = try! ClaimedRepository(FuzzFolder.shared)
}
