import RepoBase
@testable import WALArchive

extension FuzzTarget {
    /// An object of the log: the beginning as it stands there, and the description that is sealed in it.
    func logObject(_ bytes: [UInt8]) {
        _ = try? WALObjectFrame(Array(bytes.prefix(WALObjectFrame.length)), object: "object")
        guard let description = try? WALObjectDescription(bytes, object: "object") else { return }
        let again = try? WALObjectDescription(description.encoded(), object: "object")
        precondition(again == description, "a description does not survive its own encoding")
        // What readers ask of one before they trust its content.
        precondition(description.piecesLength >= 0)
        for number in description.files.indices {
            let (ordinal, offset) = description.place(of: number)
            // An empty file has no piece.
            precondition((0...description.files.reduce(0) { $0 + $1.pieces.count }).contains(ordinal) && offset >= 0 && offset <= description.piecesLength)
            _ = description.factsIndex(of: number)
        }
        if let (_, name) = WALObjectName.parse(description.key) { _ = WALObjectReader.flaw(of: description, name) }
    }
}
