import BlobEngine
import RepoBase

/// Compares what trees and lists say of what they name with what that is: lengths of content, levels of lists, the order of names in directories of several
/// parts.
///
/// No reader gets as far as that with what a writer of ours has stored, so that a difference is a fault of the program or somebody's with a key; a restore
/// would find it on the day that it is needed. Memory: some 32 bytes for each list that several name.
struct ReferenceCheck {
    private struct ListFacts {
        /// Nil where the sum is too large for any file.
        let length: UInt64?
        let level: UInt8
    }

    /// By the first 8 bytes of a list's id.
    private var lists: [UInt64: ListFacts] = [:]

    // MARK: - Lists

    mutating func note(_ list: ContentList, _ id: BlobID) {
        lists[id.prefix] = ListFacts(length: Self.length(of: list), level: list.level)
    }

    private static func length(of list: ContentList) -> UInt64? {
        var total: UInt64 = 0
        for entry in list.entries {
            let (sum, overflow) = total.addingReportingOverflow(entry.length)
            guard !overflow else { return nil }
            total = sum
        }
        return total
    }

    /// What is wrong with how a list is named; nil where nothing is, and for one that was not noted.
    func flaw(of reference: Reachability.Reference) -> String? {
        guard let facts = lists[reference.id.prefix] else { return nil }
        guard let length = facts.length else { return "list \(reference.id) is longer than any file" }
        if let level = reference.level, level != facts.level { return "list \(reference.id) has level \(facts.level) and not \(level)" }
        guard let said = reference.length, said != length else { return nil }
        return "list \(reference.id) has \(length) bytes of content and not \(said)"
    }

    /// The same of any blob, by its place in the index: of another type than what names it takes it for, or a chunk of another length.
    static func flaw(of reference: Reachability.Reference, _ record: BlobRecord) -> String? {
        guard record.type == reference.type else { return "blob \(reference.id) is a \(record.type) and not a \(reference.type)" }
        guard record.type == .chunk, let length = reference.length, UInt64(record.rawLength) != length else { return nil }
        return "chunk \(reference.id) has \(record.rawLength) bytes and not \(length)"
    }

    // MARK: - Directories of several parts

    private struct Span {
        let first: [UInt8]
        let last: [UInt8]
        let count: UInt64
    }

    /// What is wrong with a directory in several parts; nil where nothing is, or where one of them does not read, which is told elsewhere. Reads every part.
    static func flaw(ofDirectory id: BlobID, _ reader: BlobReader) -> String? {
        var flaw: String?
        var known: [BlobID: Span] = [:]
        _ = span(id, depth: 0, reader, &known, &flaw)
        return flaw
    }

    private static func span(
        _ id: BlobID, depth: Int, _ reader: BlobReader, _ known: inout [BlobID: Span], _ flaw: inout String?
    ) -> Span? {
        if let span = known[id] { return span }
        guard depth <= TreeCursor.maximumDepth else {
            flaw = flaw ?? "tree \(id) has branches that are too deep"
            return nil
        }
        guard let bytes = try? reader.bytes(id, .tree), let node = try? TreeCodec.decode(bytes, object: "tree \(id)") else { return nil }
        switch node {
        case .leaf(let entries):
            guard let first = entries.first, let last = entries.last else { return Span(first: [], last: [], count: 0) }
            known[id] = Span(first: first.name, last: last.name, count: UInt64(entries.count))
        case .branch(let parts):
            var before: [UInt8]?
            var count: UInt64 = 0
            for part in parts {
                guard let span = span(part.id, depth: depth + 1, reader, &known, &flaw) else { return nil }
                guard span.first == part.firstName, span.count == part.entryCount, before.map({ isBefore($0, span.first) }) ?? true else {
                    flaw = flaw ?? "tree \(id) has parts with other names than it says, or out of order"
                    return nil
                }
                before = span.last
                count &+= span.count
            }
            known[id] = Span(first: parts.first?.firstName ?? [], last: before ?? [], count: count)
        }
        return known[id]
    }
}
