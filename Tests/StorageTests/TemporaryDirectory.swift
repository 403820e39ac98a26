import Glibc
import Testing

/// A directory that is gone with its content when the test ends.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/storage-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    deinit {
        for name in contents().reversed() { Self.remove("\(path)/\(name)") }
        Self.remove(path)
    }

    /// Every path below, relative, files and directories, sorted.
    func contents(_ directory: String = "") -> [String] {
        guard let stream = opendir("\(path)/\(directory)") else { return [] }
        defer { closedir(stream) }
        var found: [String] = []
        while let record = readdir(stream) {
            let name = withUnsafePointer(to: &record.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name == "." || name == ".." { continue }
            let below = directory.isEmpty ? name : "\(directory)/\(name)"
            found.append(below)
            if Int(record.pointee.d_type) == Int(DT_DIR) { found += contents(below) }
        }
        return found.sorted()
    }

    static func remove(_ path: String) { _ = Glibc.remove(path) }

    func write(_ name: String, _ bytes: [UInt8]) {
        let descriptor = open("\(path)/\(name)", O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        #expect(descriptor >= 0 && Glibc.write(descriptor, bytes, bytes.count) == bytes.count)
        close(descriptor)
    }

    func makeDirectory(_ name: String) { #expect(mkdir("\(path)/\(name)", 0o755) == 0) }

    func mode(_ name: String) -> mode_t? {
        var status = stat()
        return lstat("\(path)/\(name)", &status) == 0 ? status.st_mode & 0o7777 : nil
    }
}
