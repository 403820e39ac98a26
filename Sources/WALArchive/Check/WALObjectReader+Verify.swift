import PostgresFormats
import RepoBase

extension WALObjectReader {
    /// That the object is as long as it says, holds what its name promises, and that its facts open; its content is not read. Throws `.damaged`.
    ///
    /// - Parameter size: bytes that the store tells.
    func verify(_ name: WALObjectName, size: UInt64) throws(RepoError) {
        let object = "\(description.key)"
        guard length == size else { throw .damaged(object, "it has \(size) bytes instead of \(length)") }
        if let flaw = Self.flaw(of: description, name) { throw .damaged(object, flaw) }
        _ = try facts()
    }

    /// That every file's content opens, has its identity, and is what its facts say. Throws `.damaged`.
    func verifyContent() throws {
        let facts = try facts()
        for number in description.files.indices { _ = try verifiedContent(of: number, facts) }
    }

    /// The content of a file, which is what its name and its facts say. Throws `.damaged`.
    ///
    /// Of a part that was received, only that it opens: its facts may be those of more, of which a fault was cut off.
    /// Cost: reading a segment's records besides, at about 3 GB/s.
    func verifiedContent(of number: Int, _ facts: [WALFacts?]) throws -> AlignedBuffer {
        let content = try content(of: number, threads: 1)
        guard let claimed = description.factsIndex(of: number).flatMap({ facts[$0] }), let (system, holder) = WALObjectName.parse(description.key),
            !holder.isReceived
        else { return content }
        let (object, name) = ("\(description.key)", description.files[number].name)
        let isSilent = claimed == WALFacts()
        defer { extendLifetime(content) }
        // Among others whose facts are known, one that was archived although it is damaged has empty ones.
        guard let found = try? WALSegmentReader.read(content.bytes, object: object) else {
            if isSilent { return content }
            throw RepoError.damaged(object, "\(name) in it does not even begin as a segment of the log does")
        }
        if isSilent {
            switch found.end {
            case .full, .switched: break
            default: return content
            }
        }
        let identity = found.identity
        guard identity.systemIdentifier == system, WALSegment(name: String(name.prefix(24)), size: identity.segmentSize)?.start(identity.segmentSize) == identity.start
        else { throw RepoError.damaged(object, "what is in it as \(name) is the log of cluster \(identity.systemIdentifier) from \(identity.start) on") }
        guard found.facts == claimed else { throw RepoError.damaged(object, "what it says of the log in \(name) is not what is in it") }
        return content
    }

    /// Whether the object holds other files than its name promises.
    static func flaw(of description: WALObjectDescription, _ name: WALObjectName) -> String? {
        let names = description.files.map(\.name)
        switch name {
        case .file(let file):
            return names == [file.name] ? nil : "it holds \(names.joined(separator: ", "))"
        case .received(let segment, let length):
            return names == [segment] && description.files[0].length == Int(length) ? nil : "it holds \(names.joined(separator: ", "))"
        case .batch(let first, let last):
            guard let size = description.segmentSize, let from = WALSegment(name: first, size: size), let to = WALSegment(name: last, size: size)
            else { return "it does not tell its segment size" }
            let expected = (from.number...to.number).map { WALSegment(timeline: from.timeline, number: $0).name(size) }
            return names == expected ? nil : "it holds \(names.joined(separator: ", "))"
        }
    }
}
