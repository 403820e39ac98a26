import Glibc

/// The modules whose coverage a target is guided by.
///
/// After each input libFuzzer reads a counter for every edge of the program, 135,000 of them, though a parser can only reach the few thousand of its own modules:
/// that took up to two thirds of its time. So only the counters of those modules are registered with it. Calls from the compiler's constructors to the two
/// functions that register counters and their places (`sanitizer_cov` interface of LLVM's SanitizerCoverage) are led here by the linker's `--wrap`.
///
/// Which module a function is from is read in the program's own symbol table. Functions of no module, as specializations of the standard library are, belong to
/// both modules that lie around them.
enum CoverageScope {
    typealias Counters = UnsafeMutablePointer<UInt8>
    typealias Places = UnsafePointer<UInt>

    nonisolated(unsafe) static var counters: (start: Counters, end: Counters)?
    nonisolated(unsafe) static var isRegistered = false

    /// nil: of all.
    static func modules(of target: FuzzTarget) -> [String]? {
        switch target {
        case .segment, .control, .manifest, .history, .label, .facts, .dump: ["FuzzTargets", "RepoBase", "PostgresFormats"]
        case .logobject: ["FuzzTargets", "RepoBase", "PostgresFormats", "WALArchive"]
        case .xml, .json, .location, .sftp, .cloud: ["FuzzTargets", "RepoBase", "Storage", "StorageRemote"]
        case .trailer, .directory, .index, .zstd, .delta: ["FuzzTargets", "RepoBase", "BlobEngine"]
        case .tree, .list, .snapshot, .config, .key, .machinekey, .record, .parity: ["FuzzTargets", "RepoBase", "BlobEngine", "Repository"]
        case .remembered, .repository, .commands: nil
        }
    }

    /// Registers the counters of the target's modules, once, in the order of their addresses. Places are pairs: an address, and 1 where a function begins there.
    static func register(_ places: UnsafeBufferPointer<UInt>) {
        guard !isRegistered, let counters, let base = places.baseAddress else { return }
        isRegistered = true
        precondition(places.count == 2 * (counters.end - counters.start), "counters and places are not of one kind")
        let runs = modules(of: .chosen).map { ranges(of: Set($0), places) } ?? [0..<(places.count / 2)]
        for run in runs where !run.isEmpty {
            registerCounters(counters.start + run.lowerBound, counters.start + run.upperBound)
            registerPlaces(base + 2 * run.lowerBound, base + 2 * run.upperBound)
        }
    }

    /// In counters. Fewer between two runs are registered with them: each run costs more than that.
    private static let shortestGap = 48

    /// The runs of counters whose functions are of these modules, or of none beside one that is.
    private static func ranges(of modules: Set<String>, _ places: UnsafeBufferPointer<UInt>) -> [Range<Int>] {
        let symbols = ProgramSymbols()
        // Where functions begin, and whether they are wanted; nil: of no module.
        var functions: [(first: Int, isWanted: Bool?)] = []
        for index in stride(from: 0, to: places.count, by: 2) where places[index + 1] & 1 == 1 {
            functions.append((index / 2, symbols.module(at: places[index]).map(modules.contains)))
        }
        precondition(functions.contains { $0.isWanted == true }, "the program's symbols name none of \(modules.sorted())")
        var wanted = functions.map { $0.isWanted ?? false }
        for order in [Array(functions.indices), functions.indices.reversed()] {
            var last = false
            for number in order {
                if let known = functions[number].isWanted { last = known } else if last { wanted[number] = true }
            }
        }
        var ranges: [Range<Int>] = []
        for (number, function) in functions.enumerated() where wanted[number] {
            let end = number + 1 < functions.count ? functions[number + 1].first : places.count / 2
            if let last = ranges.last, function.first - last.upperBound < shortestGap {
                ranges[ranges.count - 1] = last.lowerBound..<end
            } else {
                ranges.append(function.first..<end)
            }
        }
        return ranges
    }
}

/// The functions of the running program by their addresses, from its ELF symbol table (`elf.h`).
private struct ProgramSymbols {
    private var starts: [UInt] = []
    private var modules: [String?] = []

    init() {
        let file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC)
        let size = Int(lseek(file, 0, SEEK_END))
        guard file >= 0, let image = mmap(nil, size, PROT_READ, MAP_PRIVATE, file, 0), image != MAP_FAILED else {
            preconditionFailure("the program cannot be read")
        }
        let header = image.load(as: Elf64_Ehdr.self)
        let sections = UnsafeBufferPointer(
            start: (image + Int(header.e_shoff)).assumingMemoryBound(to: Elf64_Shdr.self), count: Int(header.e_shnum))
        // What the program's addresses were moved by when it was loaded.
        let moved = getauxval(UInt(AT_PHDR)) - UInt(header.e_phoff)
        var found: [(UInt, String?)] = []
        for section in sections where section.sh_type == UInt32(SHT_SYMTAB) {
            let names = image + Int(sections[Int(section.sh_link)].sh_offset)
            let symbols = UnsafeBufferPointer(
                start: (image + Int(section.sh_offset)).assumingMemoryBound(to: Elf64_Sym.self),
                count: Int(section.sh_size) / MemoryLayout<Elf64_Sym>.stride)
            for symbol in symbols where symbol.st_info & 15 == UInt8(STT_FUNC) && symbol.st_value != 0 {
                let name = (names + Int(symbol.st_name)).assumingMemoryBound(to: CChar.self)
                found.append((UInt(symbol.st_value) + moved, Self.module(mangled: name)))
            }
        }
        close(file)
        found.sort { $0.0 < $1.0 }
        starts = found.map(\.0)
        modules = found.map(\.1)
        munmap(image, size)
    }

    /// The module of the function that begins at or before the address.
    func module(at address: UInt) -> String? {
        var (low, high) = (0, starts.count)
        while low < high {
            let middle = (low + high) / 2
            if starts[middle] <= address { low = middle + 1 } else { high = middle }
        }
        return low == 0 ? nil : modules[low - 1]
    }

    /// `$s8RepoBase…` is of `RepoBase` (Swift's ABI documents, "Mangling").
    private static func module(mangled name: UnsafePointer<CChar>) -> String? {
        guard name[0] == 0x24, name[1] == 0x73 else { return nil }
        var (length, at) = (0, 2)
        while case let digit = name[at], (0x30...0x39).contains(digit), length < 100 {
            length = length * 10 + Int(digit - 0x30)
            at += 1
        }
        guard length > 0, strnlen(name + at, length) == length else { return nil }
        return String(decoding: UnsafeRawBufferPointer(start: name + at, count: length), as: UTF8.self)
    }
}

@_silgen_name("getauxval")
private func getauxval(_ type: UInt) -> UInt

@_silgen_name("__real___sanitizer_cov_8bit_counters_init")
private func registerCounters(_ start: CoverageScope.Counters, _ end: CoverageScope.Counters)

@_silgen_name("__real___sanitizer_cov_pcs_init")
private func registerPlaces(_ start: CoverageScope.Places, _ end: CoverageScope.Places)

@_cdecl("__wrap___sanitizer_cov_8bit_counters_init")
public func wrappedCountersInit(_ start: UnsafeMutablePointer<UInt8>, _ end: UnsafeMutablePointer<UInt8>) {
    CoverageScope.counters = (start, end)
}

@_cdecl("__wrap___sanitizer_cov_pcs_init")
public func wrappedPlacesInit(_ start: UnsafePointer<UInt>, _ end: UnsafePointer<UInt>) {
    CoverageScope.register(UnsafeBufferPointer(start: start, count: end - start))
}
