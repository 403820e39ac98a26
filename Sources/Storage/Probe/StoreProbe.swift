import RepoBase

/// Proves by trying what a store does, on objects of its own below `probe/` that it deletes again.
///
/// A repository has no locks: that several writers share it safely rests on a create-only put having one winner, and on everyone seeing at once
/// what was put. Providers that call themselves compatible break the first silently (they overwrite).
public struct StoreProbe {
    private let store: any Store
    private let folder: String
    private static let writers = 16
    private static let races = 2

    /// - Parameter store: without decorators that try again or keep copies, so that its own answers are seen.
    public init(_ store: any Store) {
        self.store = store
        folder = "probe/" + String(UInt64.random(in: 1 << 60 ... .max), radix: 16)
    }

    /// About 120 requests. Throws where the store cannot be reached or refuses what every repository needs.
    public func run() throws -> [StoreFinding] {
        var findings: [StoreFinding] = []
        defer { removeAll() }
        findings.append(try createOnly())
        if findings.allSatisfy({ $0.grade != .unsafe }) { findings.append(try race()) }
        findings.append(try readAfterWrite())
        findings.append(try ranges())
        findings.append(try listing())
        findings.append(try deletion())
        if let described = store as? any DescribedStore { findings += try described.setUp() }
        return findings
    }

    private func key(_ name: String) -> StoreKey { StoreKey("\(folder)/\(name)") }

    private func createOnly() throws -> StoreFinding {
        let subject = "create-only puts"
        try store.put(key("once"), Array("first".utf8), .create)
        do {
            try store.put(key("once"), Array("second".utf8), .create)
        } catch let error as RepoError where error.code == .conflict {
            guard try store.get(key("once"), atMost: 100) == Array("first".utf8) else {
                return StoreFinding(subject, .unsafe, "a refused put changed the object")
            }
            return StoreFinding(subject, .proven, "a name that exists is refused")
        } catch let error as RepoError where error.code == .failed {
            return StoreFinding(subject, .unsafe, error.message)
        }
        let kept = try store.get(key("once"), atMost: 100) == Array("first".utf8)
        return StoreFinding(
            subject, .unsafe,
            kept ? "a second put of a name that exists reports success and does nothing" : "a name that exists is overwritten, silently")
    }

    private func race() throws -> StoreFinding {
        let subject = "create-only puts at once"
        for round in 0..<Self.races {
            let key = key("race\(round)")
            let outcomes = Monitor<[Result<Int, RepoError>]>([])
            let started = Monitor(0)
            let threads = (0..<Self.writers).map { writer in
                WorkerThread { [store] in
                    started.update { $0 += 1 }
                    started.wait { $0 == Self.writers ? () : nil }
                    let outcome = Result { () throws(RepoError) in
                        do { try store.put(key, Array("writer \(writer)".utf8), .create) } catch let error as RepoError { throw error } catch {
                            throw RepoError(.failed, "\(error)")
                        }
                        return writer
                    }
                    outcomes.withLock { $0.append(outcome) }
                }
            }
            for thread in threads { thread.join() }
            let all = outcomes.withLock { $0 }
            let winners = all.compactMap { try? $0.get() }
            let failures = all.compactMap { outcome -> RepoError? in
                guard case .failure(let error) = outcome, error.code != .conflict else { return nil }
                return error
            }
            if winners.count > 1 {
                return StoreFinding(subject, .unsafe, "of \(Self.writers) writers of one name, \(winners.count) were told that theirs is stored")
            }
            if let error = failures.first { throw error }
            guard let winner = winners.first else {
                return StoreFinding(subject, .unsafe, "of \(Self.writers) writers of one name, none was told that it won")
            }
            guard try store.get(key, atMost: 100) == Array("writer \(winner)".utf8) else {
                return StoreFinding(subject, .unsafe, "the object that stayed is not the one whose writer was told that it won")
            }
        }
        return StoreFinding(subject, .proven, "of \(Self.writers) writers of one name, one wins, \(Self.races) times")
    }

    private func readAfterWrite() throws -> StoreFinding {
        let subject = "read after write"
        for round in 0..<3 {
            let key = key("seen\(round)")
            guard try store.stat(key) == nil else { return StoreFinding(subject, .unsafe, "an object is there that nobody put") }
            for version in ["one", "another, longer"] {
                let bytes = Array("\(version) \(round)".utf8)
                try store.put(key, bytes, .replace)
                guard try store.get(key, atMost: 100) == bytes, try store.stat(key)?.size == UInt64(bytes.count) else {
                    return StoreFinding(subject, .unsafe, "an object that was put is not read back as it was put")
                }
            }
            guard try store.list("\(folder)/seen\(round)").map(\.key) == [key] else {
                return StoreFinding(subject, .unsafe, "an object that was put is not listed")
            }
        }
        return StoreFinding(subject, .proven, "what was put or replaced is read and listed at once")
    }

    private func ranges() throws -> StoreFinding {
        let subject = "ranges"
        let bytes = (0..<70_000).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 7) }
        try store.put(key("long"), bytes, .create)
        for (offset, count) in [(0, 10), (1, 65_536), (69_990, 10), (69_990, 100), (70_000, 10)] {
            var buffer = [UInt8](repeating: 0, count: count)
            do {
                let got = try buffer.withUnsafeMutableBytes { try store.read(key("long"), at: UInt64(offset), into: $0) }
                let expected = Array(bytes[offset..<min(offset + count, bytes.count)])
                guard Array(buffer[..<got]) == expected else {
                    return StoreFinding(subject, .unsafe, "\(count) bytes at \(offset) are not those that stand there")
                }
            } catch let error as RepoError where error.code == .failed {
                return StoreFinding(subject, .unsafe, error.message)
            }
        }
        return StoreFinding(subject, .proven, "any part of an object can be read")
    }

    private func listing() throws -> StoreFinding {
        let subject = "listing"
        let names = (0..<24).map { "list/\($0 % 6)\($0 % 2 == 0 ? "" : "/deep")/object\($0)" }.sorted()
        for name in names { try store.put(key(name), [1], .create) }
        do {
            let found = try store.list("\(folder)/list/").map { String($0.key.description.dropFirst(folder.utf8.count + 1)) }.sorted()
            guard found == names else {
                return StoreFinding(subject, .unsafe, "of \(names.count) objects, \(Set(found).intersection(names).count) are listed, \(found.count) times")
            }
            let folders = try store.folders(in: "\(folder)/list").sorted()
            guard folders == (0..<6).map(String.init) else { return StoreFinding(subject, .unsafe, "folders are not told as they are") }
        } catch let error as RepoError where error.code == .failed {
            return StoreFinding(subject, .unsafe, error.message)
        }
        return StoreFinding(subject, .proven, "whole, each object once, over several pages")
    }

    private func deletion() throws -> StoreFinding {
        let subject = "deleting"
        do {
            try store.delete([key("long"), key("once"), key("absent")])
        } catch let error as RepoError where error.code == .refused {
            return StoreFinding(subject, .noted, "these credentials cannot delete; what the probe made stays below \(folder)/")
        }
        guard try store.stat(key("long")) == nil, try store.stat(key("once")) == nil else {
            return StoreFinding(subject, .unsafe, "a deleted object is still there")
        }
        return StoreFinding(subject, .proven, "deleted objects are gone at once")
    }

    private func removeAll() {
        guard let objects = try? store.list("\(folder)/") else { return }
        try? store.delete(objects.map(\.key))
    }
}
