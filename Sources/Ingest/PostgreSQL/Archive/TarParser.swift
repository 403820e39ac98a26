import RepoBase

/// Takes a tar archive apart as it comes, in pieces of any length, keeping nothing but an unfinished header.
struct TarParser {
    private enum State {
        case header
        case content
        /// Up to the end of the last block of a content.
        case padding
    }

    private var state = State.header
    private var block: [UInt8] = []
    /// What is left of the content, or of the padding.
    private var rest: UInt64 = 0
    private var padding = 0
    /// Collects the content of `L` and `K`.
    private var collecting: UInt8?
    private var collected: [UInt8] = []
    private var longName: [UInt8]?
    private var longTarget: [UInt8]?

    /// What the archive's members are handed to, in order: `begin`, `content` as often as it takes, `end`.
    protocol Visitor {
        mutating func begin(_ member: TarMember) throws
        mutating func content(_ bytes: UnsafeRawBufferPointer) throws
        mutating func end() throws
    }

    /// Takes the next bytes. What the visitor throws goes through.
    mutating func take(_ bytes: UnsafeRawBufferPointer, _ visitor: inout some Visitor) throws {
        var bytes = bytes[...]
        while !bytes.isEmpty {
            switch state {
            case .header:
                let part = bytes.prefix(TarHeader.blockSize - block.count)
                bytes = bytes.dropFirst(part.count)
                block += part
                guard block.count == TarHeader.blockSize else { return }
                let header = try block.withUnsafeBytes { block throws(RepoError) in try TarHeader(block) }
                block.removeAll(keepingCapacity: true)
                if let header { try begin(header, &visitor) }
            case .content:
                let part = bytes.prefix(Int(min(rest, UInt64(bytes.count))))
                bytes = bytes.dropFirst(part.count)
                rest -= UInt64(part.count)
                if collecting != nil {
                    collected += part
                } else {
                    try visitor.content(UnsafeRawBufferPointer(rebasing: part))
                }
                if rest == 0 { try endContent(&visitor) }
            case .padding:
                let part = bytes.prefix(padding)
                bytes = bytes.dropFirst(part.count)
                padding -= part.count
                if padding == 0 { state = .header }
            }
        }
    }

    /// Throws when the archive ends within a member.
    mutating func finish() throws(RepoError) {
        guard state == .header, block.isEmpty else { throw TarHeader.broken("it ends too early") }
        self = TarParser()
    }

    private mutating func begin(_ header: TarHeader, _ visitor: inout some Visitor) throws {
        rest = header.member.size
        padding = Int((UInt64(TarHeader.blockSize) - rest % UInt64(TarHeader.blockSize)) % UInt64(TarHeader.blockSize))
        collecting = header.extends
        collected = []
        state = .content
        if collecting == nil {
            var member = header.member
            if let longName { member.name = longName }
            if let longTarget, case .symbolicLink = member.kind { member.kind = .symbolicLink(target: longTarget) }
            (longName, longTarget) = (nil, nil)
            try visitor.begin(member)
        }
        if rest == 0 { try endContent(&visitor) }
    }

    private mutating func endContent(_ visitor: inout some Visitor) throws {
        state = padding > 0 ? .padding : .header
        guard let collecting else { return try visitor.end() }
        let text = Array(collected.prefix { $0 != 0 })
        if collecting == UInt8(ascii: "L") { longName = text } else { longTarget = text }
        self.collecting = nil
    }
}
