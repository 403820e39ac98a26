import CChecksums
import CLibcrypto

/// Digests that protocols ask for (OpenSSL's EVP interface).
enum Digests {
    static func sha256(_ bytes: UnsafeRawBufferPointer) -> [UInt8] { digest(bytes, EVP_sha256(), 32) }

    static func sha256(_ text: String) -> [UInt8] {
        var text = text
        return text.withUTF8 { sha256(UnsafeRawBufferPointer($0)) }
    }

    /// RFC 1321; against accidents only.
    static func md5(_ bytes: UnsafeRawBufferPointer) -> [UInt8] { digest(bytes, EVP_md5(), 16) }

    private static func digest(_ bytes: UnsafeRawBufferPointer, _ kind: OpaquePointer?, _ size: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: size) { buffer, filled in
            var count: UInt32 = 0
            guard EVP_Digest(bytes.baseAddress, bytes.count, buffer.baseAddress, &count, kind, nil) == 1, count == size else {
                fatalError("libcrypto cannot compute a digest")
            }
            filled = size
        }
    }

    /// HMAC-SHA256 (RFC 2104).
    static func hmac(key: [UInt8], _ text: String) -> [UInt8] {
        let message = Array(text.utf8)
        return [UInt8](unsafeUninitializedCapacity: 32) { buffer, filled in
            var count = 0
            guard
                EVP_Q_mac(
                    nil, OSSL_MAC_NAME_HMAC, nil, "SHA256", nil, key, key.count, message, message.count, buffer.baseAddress, 32, &count)
                    != nil, count == 32
            else { fatalError("libcrypto cannot compute an HMAC") }
            filled = 32
        }
    }

    /// CRC-32C (RFC 3720, appendix B.4), as S3 writes it: big-endian, in Base64.
    static func crc32c(_ bytes: UnsafeRawBufferPointer) -> String {
        let value = ~repo_crc32c(0xffff_ffff, bytes.baseAddress, bytes.count)
        return base64(withUnsafeBytes(of: value.bigEndian) { Array($0) })
    }

    /// RFC 4648, section 4, with padding; nil for anything else.
    static func decoded(base64 text: String) -> [UInt8]? {
        let text = Array(text.utf8)
        guard text.count % 4 == 0 else { return nil }
        let padding = text.suffix(2).count { $0 == UInt8(ascii: "=") }
        var bytes: [UInt8] = []
        var bits: UInt32 = 0
        for (index, sign) in text.dropLast(padding).enumerated() {
            guard let value = value(ofBase64: sign) else { return nil }
            bits = bits << 6 | UInt32(value)
            if index % 4 == 3 {
                bytes += [UInt8(bits >> 16 & 255), UInt8(bits >> 8 & 255), UInt8(bits & 255)]
                bits = 0
            }
        }
        switch padding {
        case 1: bytes += [UInt8(bits >> 10 & 255), UInt8(bits >> 2 & 255)]
        case 2: bytes.append(UInt8(bits >> 4 & 255))
        default: break
        }
        // One form for each value.
        return base64(bytes).utf8.elementsEqual(text) ? bytes : nil
    }

    private static func value(ofBase64 sign: UInt8) -> UInt8? {
        switch sign {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): sign - UInt8(ascii: "A")
        case UInt8(ascii: "a")...UInt8(ascii: "z"): sign - UInt8(ascii: "a") + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): sign - UInt8(ascii: "0") + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }

    static func hex(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    /// RFC 4648, section 4.
    static func base64(_ bytes: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let bits = group.reduce(0) { $0 << 8 | UInt32($1) } << (8 * UInt32(3 - group.count))
            for index in 0..<4 {
                text.append(index <= group.count ? alphabet[Int(bits >> (18 - 6 * UInt32(index)) & 63)] : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
