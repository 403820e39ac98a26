import RepoBase
import Storage

extension StoreConformance {
    /// A store that tries again after a lost answer cannot pass this one: it takes equal bytes for its own.
    public static let equalBytes = StoreConformance("creating a name again with equal bytes is a conflict") {
        store in
        let key = StoreKey("gc/00000001/condemned")
        try store.put(key, [1, 2, 3], .create)
        try requireError(.conflict, "creating the same again") { try store.put(key, [1, 2, 3], .create) }
    }

    static let objects: [StoreConformance] = [
        StoreConformance("an object comes back as it was put") { store in
            let bytes = pattern(100_000)
            try store.put(StoreKey("packs/ab/one"), bytes, .create)
            let back = try store.get(StoreKey("packs/ab/one"), atMost: 1 << 20)
            try require(back == bytes, "a put object is read back unchanged")
        },
        StoreConformance("an object of no bytes exists") { store in
            let key = StoreKey("writers/empty")
            try store.put(key, [], .create)
            try require(try store.stat(key)?.size == 0, "an empty object has size 0")
            try require(try store.get(key, atMost: 0).isEmpty, "an empty object reads as nothing")
            try require(try store.keys() == ["writers/empty"], "an empty object is listed")
            try requireError(.conflict, "creating over an empty object") { try store.put(key, [1], .create) }
        },
        StoreConformance("an object of 64 MiB comes back whole and in ranges") { store in
            let bytes = pattern(64 << 20)
            let key = StoreKey("packs/00/large")
            try store.put(key, bytes, .create)
            try require(try store.stat(key)?.size == 64 << 20, "its size is told")
            try require(try store.get(key, atMost: 64 << 20) == bytes, "it is read back in one read")
            for offset in [0, 1, 4095, 31 << 20, (64 << 20) - 10] {
                let expected = Array(bytes[offset..<min(offset + 5000, bytes.count)])
                try require(
                    try store.readRange(key, UInt64(offset), 5000) == expected, "range at \(offset) is right")
            }
        },
        StoreConformance("creating a name that exists is a conflict and changes nothing") { store in
            let key = StoreKey("config")
            try store.put(key, [1, 2, 3], .create)
            try requireError(.conflict, "creating again") { try store.put(key, [4], .create) }
            try requireError(.conflict, "creating with nothing") { try store.put(key, [], .create) }
            try require(try store.get(key, atMost: 10) == [1, 2, 3], "the first bytes stay")
        },
        equalBytes,
        StoreConformance("replacing works with and without an old object") { store in
            let key = StoreKey("config")
            try store.put(key, [1, 2, 3], .replace)
            try require(try store.get(key, atMost: 10) == [1, 2, 3], "replace creates")
            for length in [5, 0, 2, 9] {
                try store.put(key, pattern(length), .replace)
                try require(try store.get(key, atMost: 10) == pattern(length), "the last replacement is read")
                try require(try store.stat(key)?.size == UInt64(length), "and its size told")
            }
            try require(try store.keys() == ["config"], "and listed once")
        },
        StoreConformance("deleting removes, again and again") { store in
            let key = StoreKey("journal/one")
            try store.delete(key)
            try store.put(key, [1], .create)
            try require(try store.readRange(key, 0, 4) == [1], "it is there before")
            try store.delete(key)
            try store.delete(key)
            try require(try store.stat(key) == nil, "a deleted object is absent")
            try requireError(.notFound, "reading a deleted object") { _ = try store.readRange(key, 0, 4) }
            try require(try store.keys().isEmpty, "a deleted object is not listed")
            try store.put(key, [2, 3], .create)
            try require(try store.get(key, atMost: 4) == [2, 3], "its name may be used again")
        },
        StoreConformance("a key may have every character of the grammar, and be long") { store in
            let names = [
                "a", "0", "_", "-", "Z.z", "a.", "-.-", "x..y",
                "abcdefghijklmnopqrstuvwxyz/ABCDEFGHIJKLMNOPQRSTUVWXYZ/0123456789/_-.../end",
                "wal/7123456789012345678/00000001/000000010000000A000000FF.partial",
                String(repeating: "n", count: 200), "deep/1/2/3/4/5/6/7/8/9/object",
                String(repeating: "d", count: 200) + "/" + String(repeating: "e", count: 200),
            ]
            let sorted = names.filter { StoreKey(checking: $0) != nil }.sorted()
            for (index, name) in sorted.enumerated() {
                try store.put(StoreKey(name), [UInt8(index)], .create)
            }
            for (index, name) in sorted.enumerated() {
                try require(
                    try store.get(StoreKey(name), atMost: 1) == [UInt8(index)], "'\(name)' keeps its bytes")
            }
            try require(try store.keys() == sorted, "each is listed under its name")
        },
        StoreConformance("names that differ only by case are different") { store in
            try store.put(StoreKey("keys/ab"), [1], .create)
            try store.put(StoreKey("keys/AB"), [2], .create)
            try require(try store.get(StoreKey("keys/ab"), atMost: 1) == [1], "case tells names apart")
        },
    ]

    static let ranges: [StoreConformance] = [
        StoreConformance("a range is short only at the object's end") { store in
            let bytes = pattern(1000)
            let key = StoreKey("index/ranges")
            try store.put(key, bytes, .create)
            for offset in [0, 1, 499, 998, 999, 1000, 1001, 5000] {
                for count in [0, 1, 2, 500, 1000, 1001, 100_000] {
                    let expected = Array(bytes[min(offset, 1000)..<min(offset + count, 1000)])
                    let got = try store.readRange(key, UInt64(offset), count)
                    try require(got == expected, "\(count) bytes at \(offset) of 1000")
                }
            }
        },
        StoreConformance("offsets far beyond the end read nothing") { store in
            let key = StoreKey("index/far")
            try store.put(key, [1, 2, 3], .create)
            for offset in [1 << 32, UInt64(Int64.max) - 1, UInt64(Int64.max), 1 << 63, .max] {
                try require(try store.readRange(key, offset, 16).isEmpty, "nothing stands at \(offset)")
            }
        },
        StoreConformance("many ranges of many objects are right on many threads") { store in
            let contents = (0..<40).map { pattern(20_000 + $0, seed: $0) }
            for (index, bytes) in contents.enumerated() {
                try store.put(StoreKey("packs/aa/\(index)"), bytes, .create)
            }
            try onThreads(8) { thread in
                for step in 0..<200 {
                    let index = (step * 7 + thread * 11) % contents.count
                    let offset = (step * 97) % 20_000
                    let got = try store.readRange(StoreKey("packs/aa/\(index)"), UInt64(offset), 300)
                    let bytes = contents[index]
                    try require(
                        got == Array(bytes[offset..<min(offset + 300, bytes.count)]),
                        "300 bytes at \(offset) of object \(index)")
                }
            }
        },
    ]

    static let errors: [StoreConformance] = [
        StoreConformance("an absent object is not found, and has no status") { store in
            for name in ["config", "packs/ab/cd", "a/b/c/d"] {
                let key = StoreKey(name)
                try require(try store.stat(key) == nil, "stat of '\(name)' is nil")
                try requireError(.notFound, "reading '\(name)'") { _ = try store.readRange(key, 0, 10) }
                try requireError(.notFound, "reading nothing of '\(name)'") {
                    _ = try store.readRange(key, 0, 0)
                }
                try requireError(.notFound, "getting '\(name)'") { _ = try store.get(key, atMost: 10) }
                try store.delete(key)
            }
        },
        StoreConformance("an error names the key") { store in
            let key = StoreKey("snapshots/absent")
            do {
                _ = try store.readRange(key, 0, 1)
            } catch let error as RepoError {
                try require(error.message.contains("snapshots/absent"), "'\(error.message)' names the key")
            }
            try store.put(key, [1], .create)
            do {
                try store.put(key, [1], .create)
            } catch let error as RepoError {
                try require(error.message.contains("snapshots/absent"), "'\(error.message)' names the key")
            }
        },
        StoreConformance("an object larger than allowed is refused as damaged") { store in
            let key = StoreKey("config")
            try store.put(key, pattern(11), .create)
            try requireError(.damaged, "getting 11 bytes where 10 are allowed") {
                _ = try store.get(key, atMost: 10)
            }
            try require(try store.get(key, atMost: 11) == pattern(11), "the limit itself is allowed")
        },
        StoreConformance("the store has a name for people") { store in
            try require(!store.location.isEmpty, "location is not empty")
        },
    ]
}
