import Testing

@testable import RepoBase

@Suite("Buffers")
struct AlignedBufferTests {
    @Test("Buffers that live at a time never share memory, whatever was freed before")
    func distinct() {
        var live: [(buffer: AlignedBuffer, mark: UInt8)] = []
        var state: UInt64 = 1
        func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        for round in 0..<2000 {
            if live.count > 40 || (next(3) == 0 && !live.isEmpty) {
                let (buffer, mark) = live.remove(at: next(live.count))
                #expect(stride(from: 0, to: buffer.count, by: 509).allSatisfy { buffer.bytes[$0] == mark })
                continue
            }
            let buffer = AlignedBuffer(capacity: [1, 5000, 40_000, 65_536, 65_537, 300_000, 524_288, 1_100_000][next(8)])
            #expect(UInt(bitPattern: buffer.base) % 4096 == 0)
            buffer.count = min(buffer.capacity, 70_000)
            let mark = UInt8(round & 255)
            for place in stride(from: 0, to: buffer.count, by: 509) { buffer.all[place] = mark }
            live.append((buffer, mark))
        }
    }

    @Test("A buffer has the capacity that was asked for, not that of the memory it got", arguments: [1, 4096, 40_000, 65_537, 1 << 20, 3 << 20])
    func capacity(_ capacity: Int) {
        let buffer = AlignedBuffer(capacity: capacity)
        #expect(buffer.capacity == capacity)
        #expect(buffer.all.count == capacity)
    }

    @Test("Memory that was freed is used again")
    func reused() {
        let freed = BufferStock.take(300_000)
        BufferStock.put(freed.base, size: freed.size)
        // Other tests take and give, too: one of a few is enough.
        let taken = (0..<64).map { _ in BufferStock.take(300_000) }
        #expect(taken.contains { $0.base == freed.base })
        for (base, size) in taken { BufferStock.put(base, size: size) }
    }

    @Test("memory in huge pages holds what was written, and is never two buffers' at once")
    func hugePages() {
        var held: [(AlignedBuffer, UInt8)] = []
        for round in 0..<40 as Range<UInt8> {
            let capacity = [3 << 20, (16 << 20) + 1, 100, 2 << 20][Int(round) % 4]
            let buffer = AlignedBuffer(capacity: capacity, isFilledAtOnce: true)
            buffer.all.initializeMemory(as: UInt8.self, repeating: round)
            if capacity >= 2 << 20 { #expect(Int(bitPattern: buffer.base) % (2 << 20) == 0) }
            held.append((buffer, round))
            if held.count > 3 { held.remove(at: Int(round) % 3) }
            for (buffer, mark) in held {
                #expect(buffer.all.first == mark && buffer.all.last == mark && buffer.all[buffer.capacity / 2] == mark)
            }
        }
    }
}
