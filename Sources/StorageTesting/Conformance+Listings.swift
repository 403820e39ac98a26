import RepoBase
import Storage

extension StoreConformance {
    static let listings: [StoreConformance] = [
        StoreConformance("a listing finds what begins with the prefix, and nothing else") { store in
            let names = [
                "config", "configs/00000001", "index/0a", "packs/aa/1", "packs/aa/2", "packs/ab/1",
                "packs/b0/1",
                "packs-old", "snapshots/aa", "snapshots/ab", "snapshots/ab.hold",
                "wal/7/1/000000010000000000000001",
            ]
            for name in names { try store.put(StoreKey(name), [UInt8](name.utf8), .create) }
            let prefixes = [
                "", "c", "config", "configs", "configs/", "p", "packs", "packs/", "packs/a", "packs/aa",
                "packs/aa/",
                "packs/aa/1", "packs/aa/1/", "packs/aa/12", "packs/z", "packs-", "snapshots/ab",
                "snapshots/ab.",
                "wal/", "wal/7/1/0000", "x", "x/y/z", "/", "/config", "packs//", "//", ".", "..", "../", "./",
                "packs/../", "packs/.", "packs/./aa", "\u{e4}", "packs/\u{e4}",
            ]
            for prefix in prefixes {
                let expected = names.filter { $0.utf8.starts(with: prefix.utf8) }.sorted()
                let got = try store.keys(prefix)
                try require(got == expected, "listing '\(prefix)' gives \(expected), not \(got)")
            }
        },
        StoreConformance("a listing tells sizes and times as stat does") { store in
            for count in [0, 1, 5000] { try store.put(StoreKey("index/\(count)"), pattern(count), .create) }
            for object in try store.list("index/") {
                try require(
                    object.key.description == "index/\(object.size)", "the size of \(object.key) is told")
                try require(try store.stat(object.key) == object, "stat of \(object.key) agrees")
            }
        },
        StoreConformance("a listing of keys finds what a listing finds") { store in
            for name in ["a/b", "a/bc/d", "a/bc/e", "ab", "b"] { try store.put(StoreKey(name), [1], .create) }
            for prefix in ["", "a", "a/", "a/b", "a/bc", "a/bc/", "a/bc/d", "c", "b/"] {
                var keys: [String] = []
                try store.listKeys(prefix) { keys.append($0.description) }
                let listed = try store.list(prefix).map(\.key.description)
                try require(keys.sorted() == listed.sorted(), "keys below '\(prefix)': \(keys), of \(listed)")
            }
        },
        StoreConformance("folders are what keys go on with behind a slash") { store in
            for name in ["a/b", "a/bc/d", "a/bc/e/f", "a/g/h", "ab", "b/c/d"] { try store.put(StoreKey(name), [1], .create) }
            for (folder, expected) in [("", ["a", "b"]), ("a", ["bc", "g"]), ("a/bc", ["e"]), ("a/b", []), ("b", ["c"]), ("none", [])] {
                let folders = try store.folders(in: folder).sorted()
                try require(folders == expected, "folders in '\(folder)': \(folders)")
            }
        },
        StoreConformance("what is there can be made durable, and what is not, too") { store in
            try store.put(StoreKey("a/b/c"), [1], .create)
            try store.makeDurable(StoreKey("a/b/c"))
            try store.makeDurable(StoreKey("a/b/d"))
            try store.makeDurable(StoreKey("x/y"))
            try require(try store.list("").count == 1, "making durable makes nothing")
        },
        StoreConformance("an empty store lists nothing") { store in
            for prefix in ["", "packs/", "packs/ab/c"] {
                try require(try store.keys(prefix).isEmpty, "nothing begins with '\(prefix)'")
            }
        },
        StoreConformance("5,000 objects are all listed, each once") { store in
            var expected: [String] = []
            for index in 0..<5000 {
                let digits = String(index * 7919 % 65_536 + 65_536, radix: 16).dropFirst()
                expected.append("wal/\(digits.prefix(2))/\(digits)-\(index)")
            }
            // Four threads: each put waits for the disk.
            let names = expected
            try onThreads(4) { thread in
                for index in stride(from: thread, to: names.count, by: 4) {
                    try store.put(StoreKey(names[index]), [UInt8](String(index).utf8), .create)
                }
            }
            try require(try store.keys("wal/") == expected.sorted(), "all 5,000 are listed once")
            let some = expected.filter { $0.hasPrefix("wal/7") }.sorted()
            try require(try store.keys("wal/7") == some, "a prefix selects \(some.count) of them")
        },
        StoreConformance("what stays is listed while others come and go") { store in
            let stable = (0..<300).map { "packs/\(10 + $0 % 20)/stable\($0)" }
            for name in stable { try store.put(StoreKey(name), [1], .create) }
            let expected = stable.sorted()
            let listing = Monitor(true)
            try onThreads(3) { thread in
                if thread == 0 {
                    defer { listing.withLock { $0 = false } }
                    for _ in 0..<20 {
                        let found = try store.keys("packs/").filter { !$0.contains("passing") }
                        try require(found == expected, "every stable object is listed, once")
                    }
                } else {
                    var round = 0
                    while listing.withLock({ $0 }) {
                        let key = StoreKey("packs/\(10 + round % 25)/passing\(thread)-\(round % 50)")
                        try store.put(key, [2], .replace)
                        try store.delete(key)
                        round += 1
                    }
                }
            }
        },
        StoreConformance("an error of the receiver ends the listing and is passed on") { store in
            struct Enough: Error {}
            for index in 0..<5 { try store.put(StoreKey("index/\(index)"), [1], .create) }
            var seen = 0
            do {
                try store.list("index/") { _ in
                    seen += 1
                    if seen == 2 { throw Enough() }
                }
                throw ConformanceFailure("the receiver's error is passed on")
            } catch is Enough {
                try require(seen == 2, "nothing is listed after the error")
            }
        },
        StoreConformance("the receiver of a listing may use the store") { store in
            for index in 0..<50 { try store.put(StoreKey("gc/\(index)/condemned"), [1], .create) }
            try store.list("gc/") { object in
                _ = try store.readRange(object.key, 0, 1)
                try store.delete(object.key)
            }
            try require(try store.keys("gc/").isEmpty, "all were listed and deleted")
        },
    ]
}
