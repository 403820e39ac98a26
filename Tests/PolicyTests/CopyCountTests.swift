import Policy
import Testing

@Suite("Three copies, two storages, one elsewhere") struct CopyCountTests {
    private static let disk = CopyCount.Place(storage: "disk 8:1", isOffSite: false)
    private static let other = CopyCount.Place(storage: "disk 8:16", isOffSite: false)
    private static let bucket = CopyCount.Place(storage: "s3", isOffSite: true)

    @Test(
        "counted with the data itself",
        arguments: [
            ([], 1, ["two more verified copies", "a copy elsewhere"]), ([disk], 2, ["one more verified copy", "a copy elsewhere"]),
            ([bucket], 2, ["one more verified copy"]), ([disk, bucket], 3, []), ([disk, other], 3, ["a copy elsewhere"]),
            ([bucket, bucket], 3, ["a copy on another storage"]), ([disk, disk, bucket], 4, []),
        ])
    func count(_ places: [CopyCount.Place], _ copies: Int, _ lacks: [String]) {
        let count = CopyCount(places)
        #expect(count.copies == copies)
        #expect(count.lacks == lacks)
        #expect(count.isKept == lacks.isEmpty)
    }
}
