/// Source: "Database File Format", section 1.3 (sqlite.org/fileformat2.html).
enum SQLiteDatabase {
    /// The page size of a database, or nothing for any other file.
    static func pageSize(_ header: FileHeader, size: UInt64) -> Int? {
        // The payload fractions at 21 are fixed; they tell a database from a text about one.
        guard header.has("SQLite format 3\0"), header.has([64, 32, 32], at: 21) else { return nil }
        let field = header.bigEndian16(16)
        guard let pageSize = (field == 1 ? 65536 : field).ifPowerOfTwo(in: 512...65536) else { return nil }
        return size >= UInt64(pageSize) ? pageSize : nil
    }
}
