import RepoBase

/// Files that are to be stored in one object, each loaded when it is its turn: of a batch of segments only as many are in memory as there
/// are threads.
struct WALFileSource: Sendable {
    let names: [String]
    /// Bytes of each.
    let lengths: [Int]
    private let loading: @Sendable (_ number: Int) throws -> WALFile

    /// - Parameter load: may be called again for a file, and from several threads; the content must be the same each time.
    init(names: [String], lengths: [Int], load: @escaping @Sendable (_ number: Int) throws -> WALFile) {
        (self.names, self.lengths, loading) = (names, lengths, load)
    }

    init(_ files: [WALFile]) {
        self.init(names: files.map(\.name), lengths: files.map(\.content.count)) { files[$0] }
    }

    /// Throws what loading throws, and `.sourceFailed` for a file that has another length than it was said to have.
    func load(_ number: Int) throws -> WALFile {
        let file = try loading(number)
        guard file.content.count == lengths[number] else {
            throw RepoError(.sourceFailed, "\(names[number]) has \(file.content.count) bytes instead of \(lengths[number])")
        }
        return file
    }
}
