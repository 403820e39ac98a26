import RepoBase

/// Files that are to be stored in one object, each loaded when it is its turn: of a batch of segments only as many are in memory as there
/// are threads.
struct WALFileSource: Sendable {
    let names: [String]
    /// Bytes of each.
    let lengths: [Int]
    private let loading: @Sendable (_ number: Int) throws -> WALFile
    private let reading: @Sendable (_ number: Int) throws -> AlignedBuffer

    /// - Parameters:
    ///   - content: the content alone, for comparing; nil: of the loaded file.
    ///   - load: may be called again for a file, and from several threads; the content must be the same each time.
    init(
        names: [String], lengths: [Int], content: (@Sendable (_ number: Int) throws -> AlignedBuffer)? = nil,
        load: @escaping @Sendable (_ number: Int) throws -> WALFile
    ) {
        (self.names, self.lengths, loading) = (names, lengths, load)
        reading = content ?? { try load($0).content }
    }

    init(_ files: [WALFile]) {
        self.init(names: files.map(\.name), lengths: files.map(\.content.count)) { files[$0] }
    }

    /// Throws what loading throws, and `.sourceFailed` for a file that has another length than it was said to have.
    func load(_ number: Int) throws -> WALFile {
        let file = try loading(number)
        try check(file.content, number)
        return file
    }

    /// For comparing with what is there. Throws likewise.
    func content(_ number: Int) throws -> AlignedBuffer {
        let content = try reading(number)
        try check(content, number)
        return content
    }

    private func check(_ content: AlignedBuffer, _ number: Int) throws {
        guard content.count == lengths[number] else {
            throw RepoError(.sourceFailed, "\(names[number]) has \(content.count) bytes instead of \(lengths[number])")
        }
    }
}
