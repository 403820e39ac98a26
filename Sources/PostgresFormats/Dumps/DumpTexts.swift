import Glibc

/// Reads an archive's texts, which are in the encoding of the database that was dumped unless pg_dump was told another (`dumpEncoding`,
/// bin/pg_dump/pg_dump.c): converted by iconv(3), text for text.
final class DumpTexts {
    private let converter: iconv_t

    /// Nil where texts are read as they are: UTF-8, SQL_ASCII, what is not known here.
    ///
    /// - Parameter definition: of the archive's entry ENCODING: `SET client_encoding = 'LATIN1';`.
    init?(_ definition: String) {
        let parts = definition.split(separator: "'", omittingEmptySubsequences: false)
        guard parts.count == 3, let name = Self.codeset(String(parts[1])) else { return nil }
        // (iconv_t)-1 where the C library does not have it.
        guard let opened = iconv_open("UTF-8", name), Int(bitPattern: opened) != -1 else { return nil }
        converter = opened
    }

    deinit { iconv_close(converter) }

    /// What iconv calls an encoding of PostgreSQL (`pg_enc2name_tbl`, common/encnames.c).
    static func codeset(_ encoding: String) -> String? {
        guard !encoding.isEmpty, encoding.utf8.allSatisfy({ $0 == UInt8(ascii: "_") || (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) }) else { return nil }
        return switch encoding {
        case "UTF8", "SQL_ASCII", "MULE_INTERNAL": nil
        case "KOI8R": "KOI8-R"
        case "KOI8U": "KOI8-U"
        case "EUC_JIS_2004": "EUC-JISX0213"
        case "SHIFT_JIS_2004": "SHIFT_JISX0213"
        // WIN1252 is CP1252, EUC_JP is EUC-JP, ISO_8859_5 is ISO-8859-5; LATIN1 and others are the same.
        case _ where encoding.hasPrefix("WIN"): "CP" + encoding.dropFirst(3)
        default: String(encoding.map { $0 == "_" ? "-" : $0 })
        }
    }

    /// Nil for what is no text in the encoding.
    func decode(_ text: ArraySlice<UInt8>) -> String? {
        var source = Array(text).map { CChar(bitPattern: $0) }
        // No character of these encodings takes more than three times its bytes in UTF-8, and none less than one.
        var converted = [CChar](repeating: 0, count: source.count * 4)
        let count: Int? = source.withUnsafeMutableBufferPointer { source in
            converted.withUnsafeMutableBufferPointer { converted in
                var (from, fromLeft) = (source.baseAddress, source.count)
                var (to, toLeft) = (converted.baseAddress, converted.count)
                _ = iconv(converter, nil, nil, nil, nil)
                guard iconv(converter, &from, &fromLeft, &to, &toLeft) != -1, fromLeft == 0 else { return nil }
                return converted.count - toLeft
            }
        }
        return count.map { String(decoding: converted[..<$0].lazy.map(UInt8.init(bitPattern:)), as: UTF8.self) }
    }
}
