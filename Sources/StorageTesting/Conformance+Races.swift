import RepoBase
import Storage

extension StoreConformance {
    static let races: [StoreConformance] = [
        StoreConformance("of 16 that create one name, one wins") { store in
            for round in 0..<20 {
                let key = StoreKey("gc/\(round)/condemned")
                let winners = Monitor<[Int]>([])
                try onThreads(16) { thread in
                    do {
                        try store.put(key, pattern(3000, seed: thread), .create)
                        winners.withLock { $0.append(thread) }
                    } catch let error as RepoError where error.code == .conflict {}
                }
                let won = winners.withLock { $0 }
                try require(won.count == 1, "exactly one of 16 wins, not \(won)")
                try require(
                    try store.get(key, atMost: 3000) == pattern(3000, seed: won[0]), "the winner's bytes stay"
                )
            }
        },
        StoreConformance("a creator that loses finds the winner's object whole") { store in
            for round in 0..<10 {
                let key = StoreKey("configs/\(round)")
                try onThreads(8) { thread in
                    do {
                        try store.put(key, pattern(50_000, seed: thread), .create)
                    } catch let error as RepoError where error.code == .conflict {
                        let found = try store.get(key, atMost: 50_000)
                        let whole = (0..<8).contains { pattern(50_000, seed: $0) == found }
                        try require(whole, "a conflict means that a whole object is there")
                    }
                }
            }
        },
        StoreConformance("readers of a replaced object see one version, whole") { store in
            let key = StoreKey("config")
            // One length: a read in one call then is one version from its first byte to its last.
            try store.put(key, pattern(200_000, seed: 0), .create)
            let versions = (0..<40).map { pattern(200_000, seed: $0) }
            let writing = Monitor(true)
            try onThreads(5) { thread in
                if thread == 0 {
                    defer { writing.withLock { $0 = false } }
                    for version in versions.dropFirst() { try store.put(key, version, .replace) }
                } else {
                    var newest = 0
                    while writing.withLock({ $0 }) {
                        let found = try store.readRange(key, 0, 200_000)
                        guard let version = versions.firstIndex(of: found) else {
                            throw ConformanceFailure("a reader saw no version but a mixture")
                        }
                        try require(version >= newest, "a reader never goes back in time")
                        newest = version
                    }
                    try require(
                        try store.readRange(key, 0, 200_000) == versions.last, "the last version stays")
                }
            }
        },
        StoreConformance("an object that comes and goes is whole or absent") { store in
            let key = StoreKey("index/flicker")
            let bytes = pattern(10_000)
            try onThreads(4) { thread in
                for _ in 0..<100 {
                    switch thread {
                    case 0:
                        do { try store.put(key, bytes, .create) } catch let error as RepoError
                            where error.code == .conflict
                        {}
                    case 1: try store.delete(key)
                    default:
                        do {
                            let found = try store.readRange(key, 0, 20_000)
                            try require(found == bytes, "what is there is whole")
                        } catch let error as RepoError where error.code == .notFound {}
                        if let object = try store.stat(key) {
                            try require(object.size == 10_000, "and its size is told")
                        }
                    }
                }
            }
        },
    ]
}
