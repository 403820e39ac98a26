import CISAL
import NumbersTesting
import RepoBase
import Testing

@testable import BlobEngine

/// format.md, 13.1, once more and slowly: nothing of ISA-L's.
private enum SlowField {
    static func multiply8(_ a: UInt8, _ b: UInt8) -> UInt8 {
        var (product, factor, rest) = (0, Int(a), Int(b))
        while rest > 0 {
            if rest & 1 == 1 { product ^= factor }
            factor <<= 1
            if factor & 0x100 != 0 { factor ^= 0x11D }
            rest >>= 1
        }
        return UInt8(product)
    }

    static func multiply(_ x: UInt16, _ y: UInt16) -> UInt16 {
        let (a, b) = (UInt8(truncatingIfNeeded: x), UInt8(x >> 8))
        let (u, v) = (UInt8(truncatingIfNeeded: y), UInt8(y >> 8))
        let both = multiply8(b, v)
        let low = multiply8(a, u) ^ multiply8(0x20, both)
        return UInt16(low) | UInt16(multiply8(a, v) ^ multiply8(b, u) ^ both) << 8
    }
}

extension GaloisElement {
    fileprivate var number: UInt16 { UInt16(low) | UInt16(high) << 8 }
}

@Suite struct ErasureCodeTests {
    @Test func everyElementButZeroHasAnInverse() {
        for number in 1...UInt16.max {
            let element = GaloisElement(number)
            #expect((element * element.inverse).number == 1)
        }
    }

    @Test func productsAreThoseOfTheFormat() {
        var random = SeededNumbers(seed: 1)
        for _ in 0..<20_000 {
            let (a, b) = (UInt16(truncatingIfNeeded: random.next()), UInt16(truncatingIfNeeded: random.next()))
            #expect((GaloisElement(a) * GaloisElement(b)).number == SlowField.multiply(a, b))
        }
    }

    /// The smallest field that ISA-L's own generator covers is the same where high bytes do not come into it.
    @Test func theFirstCoefficientsAreACauchyMatrix() {
        let shards = Array(0..<20)
        for row in 0..<5 {
            for shard in shards {
                let sum = UInt16(65_535 - row) ^ UInt16(shard)
                #expect(SlowField.multiply(ErasureCode.coefficient(row: row, shard: shard).number, sum) == 1)
            }
        }
    }

    @Test func rowsAreTheSumsOfTheFormat() {
        var random = SeededNumbers(seed: 2)
        let shards = [0, 3, 700]
        let sources = shards.map { _ in Self.block(&random) }
        let sums = ParitySums(rows: [0, 9], blocks: 1, threads: 2)
        sums.add(shards, sources)
        for (place, row) in [0, 9].enumerated() {
            let parity = sums.row(place)
            for element in [0, 1, 4095, 4096, 32_767] {
                var expected: UInt16 = 0
                for (number, shard) in shards.enumerated() {
                    let bytes = sources[number].all
                    let value = UInt16(bytes[element]) | UInt16(bytes[32_768 + element]) << 8
                    expected ^= SlowField.multiply(ErasureCode.coefficient(row: row, shard: shard).number, value)
                }
                #expect(UInt16(parity[element]) | UInt16(parity[32_768 + element]) << 8 == expected)
            }
        }
    }

    @Test(arguments: 0..<12) func anyChoiceOfSurvivorsGivesBackWhatIsLost(seed: UInt64) {
        var random = SeededNumbers(seed: seed)
        let count = Int.random(in: 1...40, using: &random)
        let parity = Int.random(in: 1...12, using: &random)
        let blocks = Int.random(in: 1...3, using: &random)
        let numbers = (0..<2000).shuffled(using: &random).prefix(count).sorted()
        let data = numbers.map { _ in Self.blocks(blocks, &random) }
        let all = ParitySums(rows: Array(0..<parity), blocks: blocks, threads: 2)
        all.add(numbers, data)

        let lostCount = Int.random(in: 1...min(parity, count), using: &random)
        let lost = numbers.indices.shuffled(using: &random).prefix(lostCount).sorted()
        let rows = (0..<parity).shuffled(using: &random).prefix(lostCount).sorted()
        let sums = ParitySums(rows: rows, blocks: blocks, threads: 2)
        for (place, row) in rows.enumerated() { sums.row(place).copyMemory(from: UnsafeRawBufferPointer(all.row(row))) }
        for start in stride(from: 0, to: numbers.count, by: 16) {
            let batch = (start..<min(start + 16, numbers.count)).filter { !lost.contains($0) }
            if !batch.isEmpty { sums.add(batch.map { numbers[$0] }, batch.map { data[$0] }) }
        }
        let targets = lost.map { _ in AlignedBuffer(capacity: blocks * ErasureCode.blockSize) }
        sums.solve(lost.map { numbers[$0] }, into: targets)
        for (place, index) in lost.enumerated() {
            #expect(targets[place].all.elementsEqual(data[index].all), "shard \(numbers[index]) by rows \(rows)")
        }
    }

    @Test func whatIsAddedAgainIsTakenOut() {
        var random = SeededNumbers(seed: 3)
        let (stays, leaves) = (Self.block(&random), Self.block(&random))
        let changed = ParitySums(rows: [0, 1], blocks: 1, threads: 1)
        changed.add([0, 1], [stays, leaves])
        changed.add([1], [leaves])
        let alone = ParitySums(rows: [0, 1], blocks: 1, threads: 1)
        alone.add([0], [stays])
        for row in 0..<2 { #expect(changed.row(row).elementsEqual(alone.row(row))) }
    }

    private static func block(_ random: inout SeededNumbers) -> AlignedBuffer { blocks(1, &random) }

    private static func blocks(_ count: Int, _ random: inout SeededNumbers) -> AlignedBuffer {
        let buffer = AlignedBuffer(capacity: count * ErasureCode.blockSize)
        for offset in stride(from: 0, to: buffer.capacity, by: 8) { buffer.all.storeBytes(of: random.next(), toByteOffset: offset, as: UInt64.self) }
        return buffer
    }
}
