import CISAL

/// Reed-Solomon over GF(2^16) with a Cauchy matrix, so that every choice of survivors can be solved for what is lost (format.md, 13.1).
///
/// The coefficient of a shard in a row of parity depends on the two numbers alone, not on how many there are: shards may be added to a group and
/// taken from it without touching the others. A block is a vector of elements: its first half has their low bytes, its second the high ones.
public enum ErasureCode {
    /// Bytes that are coded together, and that a checksum vouches for.
    public static let blockSize = 64 << 10
    /// Data and parity together.
    public static let maximumShards = 1 << 16

    static let halfSize = blockSize / 2

    static func coefficient(row: Int, shard: Int) -> GaloisElement {
        precondition(row >= 0 && shard >= 0 && row + shard < maximumShards - 1)
        return (GaloisElement(UInt16(maximumShards - 1 - row)) + GaloisElement(UInt16(shard))).inverse
    }

    /// The coefficients over GF(2^8), row by row: two rows for each of `rows`, two columns for each of `shards`.
    static func matrix(rows: [Int], shards: [Int]) -> [UInt8] {
        let width = shards.count * 2
        var matrix = [UInt8](repeating: 0, count: rows.count * 2 * width)
        for (line, row) in rows.enumerated() {
            for (column, shard) in shards.enumerated() {
                let block = coefficient(row: row, shard: shard).matrix
                let top = line * 2 * width + column * 2
                (matrix[top], matrix[top + 1]) = (block.0, block.1)
                (matrix[top + width], matrix[top + width + 1]) = (block.2, block.3)
            }
        }
        return matrix
    }

    /// What solves `rows` for `shards`, as many of one as of the other.
    static func inverse(rows: [Int], shards: [Int]) -> [UInt8] {
        precondition(rows.count == shards.count)
        var matrix = matrix(rows: rows, shards: shards)
        var inverse = [UInt8](repeating: 0, count: matrix.count)
        // A square part of a Cauchy matrix is never singular.
        precondition(gf_invert_matrix(&matrix, &inverse, Int32(rows.count * 2)) == 0)
        return inverse
    }

    /// ISA-L's tables of a matrix: 32 bytes for each coefficient.
    static func tables(_ matrix: [UInt8], width: Int) -> [UInt8] {
        var matrix = matrix
        var tables = [UInt8](repeating: 0, count: matrix.count * 32)
        ec_init_tables(Int32(width), Int32(matrix.count / width), &matrix, &tables)
        return tables
    }
}
