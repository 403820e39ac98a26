import CLibcrypto
import RepoBase

/// A JSON Web Token (RFC 7519) signed by RS256: RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518, section 3.3).
enum SignedToken {
    enum Claim {
        case text(String)
        case number(Int64)
    }

    /// - Parameters:
    ///   - key: PKCS#8 or PKCS#1, in PEM.
    ///   - source: where the key is from, for messages.
    ///
    /// Throws `.usage` for what is no RSA key.
    static func make(claims: [(String, Claim)], key: String, keyID: String?, from source: String) throws(RepoError) -> String {
        var header: [(String, Claim)] = [("alg", .text("RS256")), ("typ", .text("JWT"))]
        if let keyID { header.append(("kid", .text(keyID))) }
        let signed = base64URL(Array(json(header).utf8)) + "." + base64URL(Array(json(claims).utf8))
        guard let signature = sign(Array(signed.utf8), key) else {
            throw RepoError(.usage, "the private key in \(source) cannot be used", advice: "It has to be an RSA key in PEM, without a password.")
        }
        return signed + "." + base64URL(signature)
    }

    private static func json(_ members: [(String, Claim)]) -> String {
        let texts = members.map { name, claim in
            switch claim {
            case .text(let text): "\(quoted(name)):\(quoted(text))"
            case .number(let number): "\(quoted(name)):\(number)"
            }
        }
        return "{\(texts.joined(separator: ","))}"
    }

    /// RFC 8259, section 7.
    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": quoted += "\\\(scalar)"
            case _ where scalar.value < 32: quoted += "\\u00" + Digests.hex([UInt8(scalar.value)])
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }

    /// RFC 7515, appendix C.
    static func base64URL(_ bytes: [UInt8]) -> String {
        String(
            Digests.base64(bytes).compactMap { sign -> Character? in
                switch sign {
                case "+": "-"
                case "/": "_"
                case "=": nil
                default: sign
                }
            })
    }

    /// Nil for what is no RSA key.
    static func sign(_ message: [UInt8], _ pem: String) -> [UInt8]? {
        // Not copied by libcrypto: the text has to live as long as it is read.
        let read = Array(pem.utf8).withUnsafeBytes { text -> OpaquePointer? in
            guard let source = BIO_new_mem_buf(text.baseAddress, CInt(text.count)) else { return nil }
            defer { BIO_free(source) }
            // A callback that gives no password: libcrypto would ask on the terminal.
            return PEM_read_bio_PrivateKey(source, nil, { _, _, _, _ in -1 }, nil)
        }
        guard let key = read else {
            ERR_clear_error()
            return nil
        }
        defer { EVP_PKEY_free(key) }
        guard EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA, let context = EVP_MD_CTX_new() else { return nil }
        defer { EVP_MD_CTX_free(context) }
        var length = 0
        guard EVP_DigestSignInit(context, nil, EVP_sha256(), nil, key) == 1,
            EVP_DigestSign(context, nil, &length, message, message.count) == 1
        else { return nil }
        var signature = [UInt8](repeating: 0, count: length)
        guard EVP_DigestSign(context, &signature, &length, message, message.count) == 1 else { return nil }
        return Array(signature.prefix(length))
    }
}
