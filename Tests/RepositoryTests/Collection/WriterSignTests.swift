import RepoBase
import Storage
import Testing

@testable import Repository

/// How collectors tell who is at work.
@Suite struct WriterSignTests {
    private let world: CollectionWorld
    private let repository: OpenRepository
    private let writer: WriterRegistration

    init() throws {
        world = try CollectionWorld()
        repository = try world.open()
        writer = try WriterRegistration.begin(repository)
    }

    /// Whether a collector that begins now would fence the writer after 1,000 seconds of silence.
    private func isGivenUp(seenOver store: (any Store)? = nil) throws -> Bool {
        let other = try WriterRegistration.begin(repository)
        defer { other.end() }
        let census = try WriterCensus(world.open(store), own: other.identifier, fenceAfter: 1_000)
        return try census.isGone(writer.identifier)
    }

    private func pass(_ seconds: Int64) { world.now.withLock { $0 += seconds } }

    @Test func aSignOfLifeCountsFromWhenItWasGiven() throws {
        pass(900)
        try writer.giveSign()
        pass(900)
        #expect(try !isGivenUp())
        pass(101)
        #expect(try isGivenUp())
        #expect(try writer.isFenced())
        writer.end()
        #expect(try world.store.list(WriterRegistration.prefix).isEmpty)
    }

    /// On some file systems a listing misses what is replaced meanwhile.
    @Test func aSignThatAListingMissedCounts() throws {
        pass(900)
        try writer.giveSign()
        pass(900)
        let partial = PartialListings(world.store) { $0.description.hasSuffix(".alive") }
        #expect(try !isGivenUp(seenOver: partial))
        writer.end()
    }

    /// Who is missed is not waited for: a registration must be an object that no listing may miss.
    @Test func aRegistrationIsNeverReplaced() throws {
        let registered = try #require(try world.store.stat(writer.key))
        pass(10)
        try writer.giveSign()
        #expect(try world.store.stat(writer.key) == registered)
        writer.end()
    }

    @Test func signsOfWritersThatWereFencedAreRemovedWithThem() throws {
        try writer.giveSign()
        var options = CollectionWorld.eager
        options.fenceAfter = 1_000
        pass(1_000)
        try world.prune(options)
        #expect(try world.store.list(WriterRegistration.prefix).count == 3)
        pass(1_000)
        try world.prune(options)
        #expect(try world.store.list(WriterRegistration.prefix).isEmpty)
        #expect(try writer.isFenced())
        writer.end()
    }

    /// It woke up long after it was fenced, gave a sign, and was killed.
    @Test func whatAFencedWriterLeftIsRemovedAlthoughItGaveASignSince() throws {
        var options = CollectionWorld.eager
        options.fenceAfter = 1_000
        pass(1_000)
        try world.prune(options)
        pass(10)
        try writer.giveSign()
        pass(995)
        try world.prune(options)
        #expect(try world.store.list(WriterRegistration.prefix).count == 3, "it was there a moment ago")
        pass(10)
        try world.prune(options)
        #expect(try world.store.list(WriterRegistration.prefix).isEmpty)
        #expect(try writer.isFenced())
        writer.end()
    }
}
