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
        // The last word is never made a string, of which copies would stay in memory.
        let words = content.split { Self.isSpace($0) }
        func text(_ word: Int) -> String { String(decoding: words[word], as: UTF8.self) }
        guard words.count == 4, text(0) == MachineKeyFile.prefix, let repositoryID = RepositoryID(text(1)), let keyID = KeyID(text(2)),
            let secret = Self.secret(words[3])
        else {
            throw RepoError(
                .wrongKey, "the key file does not hold a machine key",
                advice: "It must be the one line that 'repo key add' or 'repo key export' wrote.")
        }
        self.init(repositoryID: repositoryID, keyID: keyID, secret: secret)
    }

    /// As ASCII has it.
    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }

    /// Of 64 digits of `0-9a-f`; nil otherwise.
    private static func secret(_ digits: ArraySlice<UInt8>) -> SecretBytes? {
        func value(_ digit: UInt8) -> UInt8? {
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
            default: nil
            }
        }
        guard digits.count == 2 * secretByteCount, digits.allSatisfy({ value($0) != nil }) else { return nil }
        return SecretBytes(count: secretByteCount) { space in
            for place in 0..<secretByteCount {
                let first = digits.startIndex + 2 * place
                space[place] = value(digits[first])! << 4 | value(digits[first + 1])!
            }
        }
    }

    /// The line with its end, for a file that only its owner can read.
    public var text: String {
        "\(MachineKeyFile.prefix) \(repositoryID) \(keyID) \(Hexadecimal.encode(secret.bytes))\n"
    }
}
