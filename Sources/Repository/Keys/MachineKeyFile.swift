public import BlobEngine
public import RepoBase

/// The local file of a machine key: one line of text (format.md, 4). Whoever has it can use the key.
///
/// The secret is random, so unlocking skips scrypt and takes well under a millisecond.
public struct MachineKeyFile: Sendable {
    public let repositoryID: RepositoryID
    public let keyID: KeyID
    /// 32 bytes.
    public let secret: SecretBytes

    static let secretByteCount = 32
    private static let prefix = "repo-key-1"

    init(repositoryID: RepositoryID, keyID: KeyID, secret: SecretBytes) {
        self.repositoryID = repositoryID
        self.keyID = keyID
        self.secret = secret
    }

    /// Parses the file's content; white space around the line is ignored. Throws `.wrongKey` for anything
    /// else.
    public init(parsing content: [UInt8]) throws(RepoError) {
        let line = String(decoding: content, as: UTF8.self)
        let words = line.split(whereSeparator: \.isWhitespace)
        guard words.count == 4, words[0] == MachineKeyFile.prefix, let repositoryID = RepositoryID(words[1]),
            let keyID = KeyID(words[2]), let secret = Hexadecimal.decode(words[3]),
            secret.count == MachineKeyFile.secretByteCount
        else {
            throw RepoError(
                .wrongKey, "the key file does not hold a machine key",
                advice: "It must be the one line that 'repo key add' or 'repo key export' wrote.")
        }
        self.init(repositoryID: repositoryID, keyID: keyID, secret: SecretBytes(secret))
    }

    /// The line with its end, for a file that only its owner can read.
    public var text: String {
        "\(MachineKeyFile.prefix) \(repositoryID) \(keyID) \(Hexadecimal.encode(secret.bytes))\n"
    }
}
