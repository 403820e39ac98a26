import Glibc
import Testing

/// Wrong credentials, missing repositories, and objects that are not what they were: an exit status that says
/// which, no crash, and no wrong byte.
@Suite("The program on bad input")
struct ProgramDamageTests {
    @Test("A wrong password is told from a missing repository")
    func credentials() throws {
        let folder = try ProgramFolder()
        let wrong = try folder.program.with(["REPO_KEY_FILE": nil, "REPO_PASSWORD": "something else"])
        for arguments in [
            ["snapshots"], ["cat", "latest", "stream"], ["snapshot", "stdin", "--name", "stream"],
        ] {
            let before = FileTree.files(folder.repository)
            let outcome = try wrong.run(arguments)
            #expect(outcome.status == 11, "\(outcome)")
            #expect(outcome.output.isEmpty && !outcome.errors.isEmpty)
            #expect(FileTree.files(folder.repository) == before, "nothing is written before the key opens")
            for nowhere in ["\(folder.path)/nothing", folder.path] {
                let outcome = try wrong.with(["REPO_URL": nowhere]).run(arguments)
                #expect(outcome.status == 10, "\(outcome)")
                #expect(outcome.errors.contains(nowhere))
            }
        }
    }

    @Test("The key file of another repository is a wrong key")
    func otherKey() throws {
        let folder = try ProgramFolder()
        let other = "\(folder.path)/other"
        try #require(mkdir(other, 0o700) == 0)
        _ = try ProgramFolder.make(in: other)
        let outcome = try folder.program.with(["REPO_KEY_FILE": "\(other)/machine.key"]).run("snapshots")
        #expect(outcome.status == 11, "\(outcome)")
    }

    enum Damage: String, CaseIterable, Sendable {
        case flipped, truncated, emptied, extended, missing, swapped
    }

    /// Kinds of objects by folder, and what `cat` may exit with when one of them is damaged. A key that does not
    /// open is wrong before it is damaged; without config there is no repository; a snapshot that is gone is not found.
    struct Kind: Sendable, CustomTestStringConvertible {
        let folder: String
        let statuses: Set<Int32>

        init(_ folder: String, _ statuses: Set<Int32>) {
            self.folder = folder
            self.statuses = statuses
        }

        var testDescription: String { folder }
    }

    static let kinds = [
        Kind("config", [10, 11, 12]), Kind("keys", [11, 12]), Kind("snapshots", [1, 12]), Kind("index", [12]),
        Kind("packs", [12]),
    ]

    @Test(
        "Damage of any kind of object is an error that names it, and never a wrong byte",
        arguments: ProgramDamageTests.kinds, Damage.allCases)
    func damaged(kind: Kind, damage: Damage) throws {
        let folder = try ProgramFolder()
        var random = SeededNumbers(seed: 31)
        let stream = random.bytes(1 << 20)
        let id = try folder.snapshot("stream", stream)
        let objects = FileTree.files(folder.repository).filter {
            $0.hasPrefix("\(folder.repository)/\(kind.folder)")
        }
        .filter { !$0.hasPrefix("\(folder.repository)/configs/") }
        #expect(!objects.isEmpty)
        var noticed = 0
        for object in objects {
            let whole = try FileTree.read(object)
            let rounds = damage == .flipped ? Self.offsets(whole.count, &random) : [whole.count / 2]
            for offset in rounds {
                try Self.damage(object, whole, damage, at: offset, objects)
                // Tables made before the damage would hide it.
                FileTree.remove("\(folder.path)/cache")
                let outcome = try folder.program.run("cat", id, "stream")
                let place = "\(damage) \(object) at \(offset): \(outcome)"
                #expect(outcome.signal == 0, "\(place)")
                if outcome.status == 0 {
                    #expect(outcome.output == stream, "\(place)")
                } else {
                    noticed += 1
                    #expect(kind.statuses.contains(outcome.status ?? -1), "\(place)")
                    #expect(stream.starts(with: outcome.output), "wrong bytes: \(place)")
                    #expect(!outcome.errors.isEmpty, "\(place)")
                }
                // A key that is not in use opens nothing, and nothing is wrong with the rest; a snapshot that is
                // gone leaves no trace.
                if kind.folder != "keys", !(kind.folder == "snapshots" && damage == .missing) {
                    let checked = try folder.program.run("check", "--read-data")
                    #expect(
                        [10, 11, 12].contains(checked.status ?? -1),
                        "check after \(place): \(checked) \(checked.text)")
                    noticed += 1
                }
                try FileTree.write(object, whole)
            }
        }
        // A read may pass by what is damaged, as a byte behind a pack's end; a check may not.
        #expect(noticed > 0, "no damage was noticed")
        try folder.expect(id, "stream", stream)
    }

    /// The beginning, the ends of headers, the end, and some between.
    private static func offsets(_ size: Int, _ random: inout SeededNumbers) -> [Int] {
        // Bytes 14 to 16 of a key are the cost of scrypt, which a test cannot afford to raise.
        ([0, 9, 20, 70, size / 2, size - 1, size - 100, size - 190]
            + (0..<3).map { _ in Int.random(in: 17..<size, using: &random) })
            .filter { (0..<size).contains($0) }
    }

    private static func damage(
        _ object: String, _ whole: [UInt8], _ damage: Damage, at offset: Int, _ objects: [String]
    ) throws {
        var bytes = whole
        switch damage {
        case .flipped: bytes[offset] ^= 0x10
        case .truncated: bytes.removeLast(bytes.count - offset)
        case .emptied: bytes = []
        case .extended: bytes += [0]
        case .swapped:
            // Another object of its kind, or of none where it is the only one.
            bytes = try objects.first { $0 != object }.map(FileTree.read) ?? Array(whole.reversed())
        case .missing:
            try #require(unlink(object) == 0)
            return
        }
        try FileTree.write(object, bytes)
    }
}
