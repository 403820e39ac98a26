import CChecksums
import PostgresFormats
import Testing

@Suite("CRC-32C")
struct CRC32CTests {
    @Test("the test vectors of RFC 3720, B.4")
    func vectors() {
        func checksum(_ bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes { CRC32C.of($0) } }
        #expect(checksum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(checksum([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
        #expect(checksum(Array(0..<32)) == 0x46DD_794E)
        #expect(checksum(Array((0..<32).reversed())) == 0x113F_DB5C)
        #expect(checksum(Array("123456789".utf8)) == 0xE306_9283)
        #expect(checksum([]) == 0)
    }

    @Test("the processor's instruction and the tables agree at every length and offset")
    func kernels() {
        let bytes = (0..<400).map { UInt8(truncatingIfNeeded: $0 &* 167 ^ $0 >> 3) }
        bytes.withUnsafeBytes { all in
            for offset in 0..<9 {
                for length in 0..<300 {
                    let start = all.baseAddress! + offset
                    #expect(repo_crc32c(7, start, length) == repo_crc32c_portable(7, start, length))
                }
            }
        }
    }
}
