import RepoBase
import Storage

@testable import BlobEngine
@testable import Repository

/// The parts of an object's bytes, by docs/format.md: what a byte means depends on its place.
struct ObjectLayout {
    struct Part {
        let name: String
        let range: Range<Int>
    }

    let parts: [Part]

    /// Of those that are called the same, as the blobs of a pack, the first two and the last.
    var distinct: [Part] {
        parts.enumerated().filter { number, part in
            parts[..<number].count { $0.name == part.name } < 2 || !parts[(number + 1)...].contains { $0.name == part.name }
        }.map(\.element)
    }

    private init(_ count: Int, _ bounds: [(String, Int)]) {
        var start = 0
        parts = bounds.compactMap { name, end in
            let end = end < 0 ? count + end : min(end, count)
            defer { start = max(start, end) }
            return end > start ? Part(name: name, range: start..<end) : nil
        }
    }

    /// - Parameter blobs: of a pack.
    init(_ key: StoreKey, _ bytes: [UInt8], blobs: [BlobRecord] = []) {
        let text = key.description
        let frame: [(String, Int)] = [("magic", 8), ("version", 12), ("epoch", 16)]
        switch text.split(separator: "/")[0] {
        case "config", "configs":
            self.init(bytes.count, [("magic", 8), ("version", 12), ("length", 16), ("body", -64), ("signature", bytes.count)])
        case "keys":
            self.init(
                bytes.count,
                [
                    ("magic", 8), ("version", 12), ("kind", 13), ("role", 14), ("scrypt parameters", 17), ("salt", 49), ("nonce", 61), ("payload", -80), ("tag", -64),
                    ("signature", bytes.count),
                ])
        case "snapshots" where !text.hasSuffix(".hold"), "reports":
            self.init(
                bytes.count,
                frame + [
                    ("envelope's key", 48), ("envelope's secret", 80), ("envelope's tag", 96), ("signer", 112), ("signature", 176), ("fields", -16), ("tag", bytes.count),
                ])
        case "parity" where text.hasPrefix("parity/snapshots/"):
            self.init(StoreKey(String(text.dropFirst("parity/".count))), bytes)
        case "parity" where !text.contains("/group-"):
            self.init(bytes.count, (1...max(1, bytes.count >> 16)).map { ("block of a row", $0 << 16) })
        case "packs":
            let tail = bytes.count - PackTrailer.length
            let length = Int(UInt32(littleEndian: bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: tail + 4, as: UInt32.self) }))
            var bounds: [(String, Int)] = [("magic", 8)]
            for blob in blobs.sorted(by: { $0.offset < $1.offset }) {
                let end = Int(blob.offset + blob.storedLength)
                bounds += [("\(blob.type), \(blob.encoding)", end), ("tag of a \(blob.type)", end + 16)]
            }
            bounds += [("padding", tail - length), ("directory", tail - 16), ("directory's tag", tail)]
            let trailer = [
                ("version", 4), ("directory's length", 8), ("count", 12), ("epoch", 16), ("envelope", 96), ("nonce", 108), ("signer", 124), ("signature", 188), ("end", 196),
            ]
            self.init(bytes.count, bounds + trailer.map { ("trailer: \($0)", tail + $1) })
        default:
            self.init(bytes.count, frame + [("nonce", 28), ("signer", 44), ("signature", 108), ("body", -16), ("tag", bytes.count)])
        }
    }
}
